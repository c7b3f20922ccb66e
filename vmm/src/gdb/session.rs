//! A debugger's session: the machine runs when it says so, and stops for it.

use std::marker::PhantomData;
use std::os::fd::OwnedFd;

use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason};
use gdbstub::target::ext::breakpoints::WatchKind;

use super::line::Talk;
use super::target::{Action, Debugged, thread_of};
use crate::accel::{Debugging, Stopped, Touch};
use crate::{End, Limit, Machine, MachineError};

type Reason = MultiThreadStopReason<u64>;

/// Lets a debugger have the machine, which stands, until it goes or the machine comes to its end: that end then.
pub fn serve(machine: &mut Machine, stream: OwnedFd) -> Result<Option<End>, MachineError> {
    let talk = Talk::new(stream);
    match talk.input() {
        Ok(input) => machine.add_input(input),
        Err(error) => return Err(MachineError::Wait(error)),
    }
    let mut target = Debugged::new(machine);
    let ended = GdbStub::new(talk).run_blocking::<Loop<'_>>(&mut target);
    target.clear();
    for (id, cpu) in target.machine.cpus.iter_mut().enumerate() {
        // A vCPU that was never debugged has nothing to forget.
        cpu.debug(&Debugging::default()).map_err(|source| MachineError::Cpu { id, source })?;
    }
    match ended {
        Ok(DisconnectReason::Kill) => Ok(Some(End::Stopped)),
        Ok(_) => Ok(target.end),
        // A debugger that hangs up leaves the machine to itself.
        Err(error) => match error.into_target_error() {
            Some(error) => Err(error),
            None => Ok(target.end),
        },
    }
}

struct Loop<'m>(PhantomData<&'m ()>);

impl<'m> BlockingEventLoop for Loop<'m> {
    type Target = Debugged<'m>;
    type Connection = Talk;
    type StopReason = Reason;

    fn wait_for_stop_reason(
        target: &mut Debugged<'m>,
        talk: &mut Talk,
    ) -> Result<Event<Reason>, WaitForStopReasonError<MachineError, std::io::Error>> {
        // What came together with the word to go on has been read already.
        if let Some(byte) = talk.peek().map_err(WaitForStopReasonError::Connection)? {
            let _ = talk.heard();
            return Ok(Event::IncomingData(byte));
        }
        loop {
            target.arm().map_err(WaitForStopReasonError::Target)?;
            let runs: Vec<bool> = (0..target.actions.len()).map(|cpu| target.action(cpu).is_some()).collect();
            let end = target.machine.run_some(Limit::default(), &|cpu| runs.get(cpu) == Some(&true));
            let end = end.map_err(WaitForStopReasonError::Target)?;
            if end == End::Stopped
                && let Some(byte) = talk.heard()
            {
                return Ok(Event::IncomingData(byte));
            }
            if let Some(reason) = target.reason(end) {
                return Ok(Event::TargetStopped(reason));
            }
        }
    }

    fn on_interrupt(_: &mut Debugged<'m>) -> Result<Option<Reason>, MachineError> {
        Ok(Some(Reason::SignalWithThread { tid: thread_of(0), signal: Signal::SIGINT }))
    }
}

impl Debugged<'_> {
    /// Tells each vCPU what it is to leave the guest for.
    fn arm(&mut self) -> Result<(), MachineError> {
        let gives_back = self.gives_back.take();
        for id in 0..self.actions.len() {
            let how = Debugging {
                steps: self.action(id) == Some(Action::Step),
                breaks: !self.points.instructions.is_empty(),
                watches: self.points.watches,
                gives_back: gives_back == Some(id),
            };
            let armed = self.machine.cpu(id)?.debug(&how);
            armed.map_err(|source| MachineError::Cpu { id, source })?;
        }
        Ok(())
    }

    /// What the debugger is told of an end; nothing if the machine is to go on.
    fn reason(&mut self, end: End) -> Option<Reason> {
        let status = match end {
            End::Trapped { cpu, stopped, at } => return self.trap(cpu, stopped, at),
            End::Exited { status } => u8::try_from(status & 0xff).unwrap_or(u8::MAX),
            End::Panicked => 1,
            _ => 0,
        };
        self.end = Some(end);
        Some(Reason::Exited(status))
    }

    fn trap(&mut self, cpu: usize, stopped: Stopped, at: u64) -> Option<Reason> {
        let tid = thread_of(cpu);
        match stopped {
            Stopped::Step => Some(Reason::SignalWithThread { tid, signal: Signal::SIGTRAP }),
            Stopped::Break if self.points.instructions.contains_key(&at) => Some(Reason::SwBreak(tid)),
            Stopped::Break => {
                self.gives_back = Some(cpu);
                None
            }
            Stopped::Watch(index) => {
                let watch = self.points.watches.get(index).copied().flatten();
                let kind = match watch?.touch {
                    Touch::Executes => return Some(Reason::HwBreak(tid)),
                    Touch::Writes => WatchKind::Write,
                    Touch::ReadsOrWrites => WatchKind::ReadWrite,
                };
                Some(Reason::Watch { tid, kind, addr: watch?.address })
            }
        }
    }
}
