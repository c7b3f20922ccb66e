//! Builds images: code with what its mode needs, and what else is asked for.

use crate::map::{GDT_STEP, RAM, RING_0_STACK_STEP, STACK_STEP, TASK_STEP, VCPUS};
use crate::{Code, EntryState, Handlers, Image, ImageError, Mode, Paging, monitor};

/// What an image will be.
#[derive(Clone, Debug)]
pub struct Builder<'a> {
    code: &'a Code,
    entry: EntryState,
    paging: Option<Paging>,
    handlers: Option<Handlers>,
    user: bool,
    vcpus: usize,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl<'a> Builder<'a> {
    /// Code with what its mode needs.
    pub(crate) fn of(code: &'a Code) -> Self {
        let mut entry = EntryState::of(code.mode);
        entry.registers.rip = code.origin;
        Self { code, entry, paging: None, handlers: None, user: false, vcpus: 1, pieces: Vec::new() }
    }

    /// The page tables have this layout, and not the mode's own.
    #[must_use]
    pub fn under(self, paging: Paging) -> Self {
        Self { paging: Some(paging), ..self }
    }

    /// Interrupts and exceptions are handled.
    #[must_use]
    pub fn handled(self, handlers: Handlers) -> Self {
        Self { handlers: Some(handlers), ..self }
    }

    /// The code starts in ring 3, which reaches all memory and all ports.
    #[must_use]
    pub fn in_user_mode(self) -> Self {
        Self { user: true, ..self }
    }

    /// There are so many vCPUs, each with a stack, a task and a descriptor table of its own.
    #[must_use]
    pub fn on_vcpus(self, vcpus: usize) -> Self {
        Self { vcpus, ..self }
    }

    /// The state is changed before the tables are made of it.
    #[must_use]
    pub fn entered(self, change: impl FnOnce(EntryState) -> EntryState) -> Self {
        Self { entry: change(self.entry), ..self }
    }

    /// These bytes lie at this address too.
    #[must_use]
    pub fn with(mut self, address: u64, bytes: impl Into<Vec<u8>>) -> Self {
        self.pieces.push((address, bytes.into()));
        self
    }

    /// Lays it out.
    pub fn build(self) -> Result<Image, ImageError> {
        let mode = self.code.mode;
        let mut entry = self.entry;
        if let Some(paging) = self.paging {
            if !paging.suits(mode) {
                return Err(ImageError::NoSuchPaging { mode, paging });
            }
            entry = entry.under(paging);
        }
        if self.user {
            if !matches!(mode, Mode::Protected | Mode::Pae | Mode::Compat | Mode::Long) {
                return Err(ImageError::NoRing3(mode));
            }
            entry = entry.in_user_mode();
        }
        // The permission map of virtual-8086 mode's task is too long for one in each vCPU's.
        if !(1..=if mode == Mode::Virtual8086 { 1 } else { VCPUS }).contains(&self.vcpus) {
            return Err(ImageError::TooManyVcpus(self.vcpus));
        }
        let mut pieces = self.pieces;
        if let Some(handlers) = self.handlers {
            entry.idt = Handlers::table(mode);
            pieces.extend(handlers.pieces(mode).map_err(|error| ImageError::Assemble(error.to_string()))?);
        } else if mode == Mode::Virtual8086 {
            entry.idt = monitor::table();
            pieces.extend(monitor::pieces());
        }
        let others: Vec<EntryState> = (1..self.vcpus).map(|index| further(&entry, index)).collect();
        pieces.extend(entry.tables());
        for other in &others {
            // Page tables are everyone's.
            let own = |address: &u64| other.paging.is_none() || *address != other.cr3;
            pieces.extend(other.tables().into_iter().filter(|(address, _)| own(address)));
        }
        pieces.push((self.code.address(), self.code.bytes.clone()));
        let mut image = Image { size: RAM, pieces, code: self.code.clone(), entry, others };
        image.in_order()?;
        Ok(image)
    }
}

/// The state of a further vCPU: that of the first, with a stack, a task and a descriptor table of its own.
fn further(first: &EntryState, index: usize) -> EntryState {
    let index = index as u64;
    let mut entry = *first;
    entry.registers.rsp -= STACK_STEP * index;
    entry.gdt.base += GDT_STEP * index;
    entry.ring_0_stack -= RING_0_STACK_STEP * index;
    entry.tr.base += TASK_STEP * index;
    entry
}
