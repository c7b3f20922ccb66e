//! A guest that a claim acts in as if by remote control: what it is told is done inside, and what became of that comes back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use guests::protocol::{self, READY_PORT, REPORT_PORT};
use guests::{Command, Control, Done, Event, Mode, Registers, Report, Width};

use crate::guest::Guest;
use crate::subject::fault;
use crate::{Broken, HostFault, Outcome, Stop, fixture};

/// After so many exits an act will not come to its end by itself any more.
const EXITS: usize = 1000;
/// How many acts a witness lists.
const REMEMBERED: usize = 8;

/// A vCPU that does what it is told, in long mode unless another is asked for.
#[derive(Debug)]
pub struct Puppet {
    guest: Rc<Guest>,
    puppet: Rc<guests::Puppet>,
    vcpu: usize,
    /// What it was told last, disassembled.
    told: RefCell<VecDeque<String>>,
}

/// The exception that an instruction of a puppet's raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception(pub Box<Report>);

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What left the guest while it was carried out.
    pub events: Vec<Event>,
    /// The registers afterwards, and the exception.
    pub done: Done,
}

fixture!(Puppet, || Puppet::of(Mode::Long));

impl Puppet {
    /// A puppet in a VM of its own, in code of `mode`.
    pub fn of(mode: Mode) -> Result<Self, Stop> {
        Self::several(mode, 1)?.pop().ok_or_else(|| fault("no puppet"))
    }

    /// The vCPUs of one VM, each a puppet.
    pub fn several(mode: Mode, vcpus: usize) -> Result<Vec<Self>, Stop> {
        let puppet = Rc::new(guests::Puppet::new(mode, vcpus).map_err(fault)?);
        let guest = Rc::new(Guest::of(&puppet.image)?);
        let all: Vec<Self> = (0..vcpus)
            .map(|vcpu| Self {
                guest: Rc::clone(&guest),
                puppet: Rc::clone(&puppet),
                vcpu,
                told: RefCell::default(),
            })
            .collect();
        for puppet in &all {
            puppet.until_ready(&mut std::iter::empty())?;
        }
        Ok(all)
    }

    /// The guest that it lives in.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// The mode that it runs in.
    pub fn mode(&self) -> Mode {
        self.puppet.mode()
    }

    /// The guest-physical address at which what it is told lies.
    pub fn buffer(&self) -> u64 {
        self.puppet.buffer(self.vcpu)
    }

    /// Carries out a command; the guest's reads get these replies in order, and all ones after the last.
    #[track_caller]
    pub fn tell(&self, command: &Command, replies: &[&[u8]]) -> Result<Told, Stop> {
        let act = command.act(self.mode()).map_err(fault)?;
        let listing = act.disassemble(self.buffer(), self.mode());
        self.remember(listing);
        for (address, bytes) in self.puppet.orders(self.vcpu, &act).map_err(fault)? {
            self.guest.memory().write(place(address)?, &bytes)?;
        }
        let (events, reported) = self
            .until_ready(&mut replies.iter().map(|reply| reply.to_vec()))
            .map_err(|stop| self.explained(stop))?;
        let length = place(protocol::BLOCK)?;
        let block = self.guest.memory().read(place(protocol::block(self.vcpu))?, length)?;
        let done = self.puppet.done(self.vcpu, &block, reported);
        Ok(Told { events, done: done.ok_or_else(|| fault("the puppet's block is short"))? })
    }

    /// Carries out a command that must not raise an exception, and says so where it does.
    #[track_caller]
    pub fn answer(&self, command: &Command, replies: &[&[u8]]) -> Result<Result<u64, Exception>, Stop> {
        let Told { done, .. } = self.tell(command, replies)?;
        Ok(match done.report {
            Some(report) => Err(Exception(Box::new(report))),
            None => Ok(command.value(&done.registers)),
        })
    }

    /// IN, which the host answers with `reply`.
    #[track_caller]
    pub fn input(&self, port: u16, width: Width, reply: &[u8]) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::In(port, width), &[reply])
    }

    /// OUT.
    #[track_caller]
    pub fn output(&self, port: u16, width: Width, value: u64) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::Out(port, width, value), &[])
    }

    /// MOV from an address, which the host answers with `reply` if there is no RAM.
    #[track_caller]
    pub fn read(&self, address: u64, width: Width, reply: &[u8]) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::Read(address, width), &[reply])
    }

    /// MOV to an address.
    #[track_caller]
    pub fn write(&self, address: u64, width: Width, value: u64) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::Write(address, width, value), &[])
    }

    /// RDMSR.
    #[track_caller]
    pub fn rdmsr(&self, number: u32) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::Rdmsr(number), &[])
    }

    /// WRMSR.
    #[track_caller]
    pub fn wrmsr(&self, number: u32, value: u64) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::Wrmsr(number, value), &[])
    }

    /// CPUID: EAX, EBX, ECX and EDX.
    #[track_caller]
    pub fn cpuid(&self, leaf: u32, index: u32) -> Result<Result<[u64; 4], Exception>, Stop> {
        let Done { registers: Registers { rax, rbx, rcx, rdx, .. }, report } =
            self.tell(&Command::Cpuid(leaf, index), &[])?.done;
        Ok(report.map_or(Ok([rax, rbx, rcx, rdx]), |report| Err(Exception(Box::new(report)))))
    }

    /// MOV from a control or debug register.
    #[track_caller]
    pub fn read_control(&self, control: Control) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::ReadControl(control), &[])
    }

    /// MOV to a control or debug register.
    #[track_caller]
    pub fn write_control(&self, control: Control, value: u64) -> Result<Result<u64, Exception>, Stop> {
        self.answer(&Command::WriteControl(control, value), &[])
    }

    /// Any instruction bytes in these registers.
    #[track_caller]
    pub fn run(&self, bytes: &[u8], registers: Registers) -> Result<Told, Stop> {
        self.tell(&Command::Run(bytes.to_vec(), registers), &[])
    }

    /// Where a check of what it was told breaks, the witness lists what it ran.
    pub fn witnessed(&self, outcome: Outcome) -> Outcome {
        outcome.map_err(|stop| self.explained(stop))
    }

    fn remember(&self, lines: Vec<String>) {
        let mut told = self.told.borrow_mut();
        told.push_back(lines.join("; "));
        if told.len() > REMEMBERED {
            told.pop_front();
        }
    }

    fn explained(&self, stop: Stop) -> Stop {
        let told = self.told.borrow();
        let lines = ["what the puppet ran, the last at the end:".to_owned()];
        let with = |broken: Broken| broken.with(lines.into_iter().chain(told.iter().cloned()));
        match stop {
            Stop::Broken(broken) => Stop::Broken(Box::new(with(*broken))),
            Stop::Hung(broken) => Stop::Hung(Box::new(with(*broken))),
            other => other,
        }
    }

    /// Runs until the puppet is ready again: what left the guest before, and whether an exception was reported.
    #[track_caller]
    fn until_ready(&self, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<(Vec<Event>, bool), Stop> {
        let (mut events, mut reported) = (Vec::new(), false);
        for _ in 0..EXITS {
            match self.guest.next(self.vcpu, replies)? {
                Event::Out { port: READY_PORT, size: 1, .. } => return Ok((events, reported)),
                Event::Out { port: REPORT_PORT, size: 1, .. } => reported = true,
                Event::Exit(exit) => {
                    return Err(Broken::new(format!("the puppet left with {exit}")).into());
                }
                event => events.push(event),
            }
        }
        let broken = Broken::new(format!("the puppet did not come to its end within {EXITS} exits"));
        Err(Stop::Hung(Box::new(broken)))
    }
}

fn place(address: u64) -> Result<usize, Stop> {
    usize::try_from(address).map_err(|_| Stop::HostFault(HostFault(format!("no RAM at {address:#x}"))))
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { vector, error, registers, .. } = *self.0;
        write!(f, "exception {vector} at {:#x}", registers.rip)?;
        error.map_or(Ok(()), |error| write!(f, ", error code {error:#x}"))
    }
}
