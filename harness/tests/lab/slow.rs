//! Claims after which nothing is heard of a kernel any more, though it does not die.
#![expect(unsafe_code, reason = "takes the processor for itself")]

use std::fs::{self, File};

use harness::{HostFault, Outcome, Stop, claim, equal};
use rustix::termios::{Action, tcflow};

/// With the only processor for itself, no other process comes to its turn, and init is one.
fn a_takes_the_processor() -> Outcome {
    fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1").map_err(fault)?;
    let highest = libc::sched_param { sched_priority: 99 };
    // SAFETY: the structure lives as long as the call, which only reads it.
    equal(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const highest) }, 0)?;
    loop {
        std::hint::spin_loop();
    }
}
claim!(a_takes_the_processor, "A kernel is heard of whatever runs on it", [Observed("never")], Lab);

/// Stops what is written to the second serial line, which is the channel.
fn b_stops_the_channel() -> Outcome {
    let channel = File::open("/dev/ttyS1").map_err(fault)?;
    tcflow(&channel, Action::OOff).map_err(|errno| fault(errno.into()))?;
    equal(1, 1)
}
claim!(b_stops_the_channel, "The channel cannot be stopped", [Observed("never")], Lab);

fn c_holds() -> Outcome {
    equal(3 + 3, 6)
}
claim!(c_holds, "Three and three are six", [Observed("in the last place")]);

fn fault(error: std::io::Error) -> Stop {
    Stop::HostFault(HostFault(error.to_string()))
}
