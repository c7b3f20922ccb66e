//! What the thread does that runs a machine, while the vCPUs' threads run the guest: waits for the alarm of the clock, for input, and
//! for vCPUs that have come to their end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::accel::CpuError;
use crate::clock::{Bell, Clock};
use crate::irq::Interrupts;
use crate::machine::{MachineError, Stop};
use crate::{Bus, Console, End, Link, Nics};

/// Where text comes from that is typed into a console.
pub struct Input {
    /// What is read.
    pub from: OwnedFd,
    /// Where it goes.
    pub to: Console,
    /// Looks at what was read before it is typed, and may change it: whether the machine is to be stopped.
    pub filter: Filter,
}

/// What looks at typed text first.
pub type Filter = Box<dyn FnMut(&mut Vec<u8>) -> bool + Send>;

/// What a vCPU's thread says at its end.
pub(crate) type Ended = (usize, Result<(), CpuError>);

/// What the loop looks after.
pub(crate) struct Loop<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) clock: &'a Clock,
    pub(crate) bell: &'a Bell,
    pub(crate) ends: &'a Receiver<Ended>,
    pub(crate) stop: &'a Stop,
    pub(crate) inputs: &'a mut Vec<Input>,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) nics: &'a Nics,
}

/// Devices are not polled more often than this: a guest that has a timer run faster gets its interrupts together.
const REST: Duration = Duration::from_micros(20);

/// How many bytes are read of an input at once.
const AT_ONCE: usize = 256;
/// When a console that is full is looked at again.
const AGAIN: Duration = Duration::from_millis(5);

impl Loop<'_> {
    /// Waits for `count` vCPUs, and ends them all when one has asked for an end or cannot go on, or when the time is over.
    pub(crate) fn run(&mut self, count: usize, time: Duration) -> Result<(), MachineError> {
        let deadline = Instant::now().checked_add(time);
        let mut result = Ok(());
        let mut running = count;
        let mut is_told = false;
        // What has been typed before the machine ran is there for the devices, and what they wait for is known.
        self.bus.poll();
        while running > 0 {
            while let Ok((id, end)) = self.ends.try_recv() {
                running -= 1;
                if let Err(source) = end {
                    result = result.and(Err(MachineError::Cpu { id, source }));
                    self.stop.now(End::Stopped);
                }
            }
            if let Some(end) = self.stop.asked().filter(|_| !is_told) {
                is_told = true;
                self.stop.now(end);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) && !is_told {
                is_told = true;
                self.stop.now(End::OutOfTime);
            }
            if running > 0 {
                self.sleep(deadline.filter(|_| !is_told).map(|deadline| deadline - now))?;
                self.alarm();
            }
        }
        result
    }

    /// Polls the devices if the alarm's time has come.
    fn alarm(&self) {
        if self.clock.alarm().is_some_and(|alarm| alarm <= self.clock.now()) {
            self.clock.clear_alarm();
            self.bus.poll();
        }
    }

    /// Sleeps until the alarm, or so long at most, or until something comes.
    fn sleep(&mut self, most: Option<Duration>) -> Result<(), MachineError> {
        let now = self.clock.now();
        let alarm = self.clock.alarm().map(|alarm| Duration::from_nanos(alarm.saturating_sub(now)).max(REST));
        // What comes for a console that is full waits where it is: nobody tells when the guest has read on.
        let has_room: Vec<bool> = self.inputs.iter().map(|input| input.to.room() >= AT_ONCE).collect();
        let again = has_room.contains(&false).then_some(AGAIN);
        let timeout = [most, alarm, again].into_iter().flatten().min();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut waits = vec![PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN)];
        let triggers = self.interrupts.triggers();
        waits.extend(triggers.iter().map(|trigger| PollFd::new(&**trigger, PollFlags::IN)));
        let links = self.nics.links();
        let links: Vec<_> =
            links.iter().filter_map(|link| link.waits().map(|(fd, waits)| (link, fd, waits))).collect();
        waits.extend(links.iter().map(|(_, fd, waits)| PollFd::from_borrowed_fd(*fd, *waits)));
        let inputs = self.inputs.iter().zip(&has_room).filter(|(_, has_room)| **has_room);
        waits.extend(inputs.map(|(input, _)| PollFd::new(&input.from, PollFlags::IN)));
        match poll(&mut waits, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(MachineError::Wait(error.into())),
        }
        let came: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        if came[0] {
            self.bell.silence();
        }
        let (pulled, came) = came[1..].split_at(triggers.len());
        let pulled = triggers.iter().zip(pulled).filter(|(_, pulled)| **pulled);
        pulled.for_each(|(trigger, _)| self.interrupts.pull(trigger));
        let (linked, came) = came.split_at(links.len());
        let linked: Vec<&Link> =
            links.iter().zip(linked).filter_map(|((link, ..), came)| came.then_some(*link)).collect();
        linked.iter().for_each(|link| link.came());
        let mut came = came.iter();
        let came: Vec<bool> =
            has_room.iter().map(|has_room| *has_room && came.next() == Some(&true)).collect();
        self.read(&came, !linked.is_empty())
    }

    /// Types what has come, and polls the devices if there is anything new for them. An input at its end is left alone from then on.
    fn read(&mut self, came: &[bool], mut is_new: bool) -> Result<(), MachineError> {
        let mut index = 0;
        let mut buffer = [0; AT_ONCE];
        let stop = self.stop;
        self.inputs.retain_mut(|input| {
            index += 1;
            if !came.get(index - 1).copied().unwrap_or(false) {
                return true;
            }
            let length = match rustix::io::read(input.from.as_fd(), &mut buffer) {
                Ok(0) => return false,
                Ok(length) => length,
                Err(error) => return error == rustix::io::Errno::INTR || error == rustix::io::Errno::AGAIN,
            };
            let mut bytes = buffer[..length].to_vec();
            if (input.filter)(&mut bytes) {
                stop.now(End::Stopped);
            }
            input.to.type_in(&bytes);
            is_new = true;
            true
        });
        if is_new {
            self.bus.poll();
        }
        Ok(())
    }
}
