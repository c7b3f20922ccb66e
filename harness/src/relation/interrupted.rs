//! Code whose KVM_RUN comes back for reasons that are none of the guest's: `immediate_exit`, a signal that comes, a kick by another
//! thread.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use guests::Image;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Run, Seen, Turn};
use crate::kvm::Vcpu;
use crate::signal::{self, Alarm};
use crate::testbed::Setting;
use crate::{HostFault, Stop};

/// What comes between, before each KVM_RUN in turn, from the first again where there are more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruptions(pub Vec<Interruption>);

/// What comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interruption {
    /// Nothing.
    None,
    /// `immediate_exit`.
    Immediate,
    /// A signal so many microseconds later, which may be before KVM_RUN, in the guest, or after.
    Signal(u16),
    /// Another thread's kick, after it has gone round so often: `immediate_exit` and a signal, in the order in which VMMs do it.
    Kick(u16),
}

/// Not every KVM_RUN is kept from running, or the guest would come to no end.
const MOST: usize = 24;

impl Arbitrary for Interruptions {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let one = prop_oneof![
            Just(Interruption::None),
            Just(Interruption::Immediate),
            (1..400u16).prop_map(Interruption::Signal),
            (0..2000u16).prop_map(Interruption::Kick),
        ];
        proptest::collection::vec(one, 1..8).prop_map(Self).boxed()
    }
}

/// Runs the image with these interruptions; how often one of them ended KVM_RUN comes with what was seen.
pub fn interrupted(setting: &Setting, image: &Image, with: &Interruptions) -> Result<(Seen, usize), Stop> {
    let mut run = Run::on(setting, image)?;
    let mut all = with.0.iter().cycle().take(MOST);
    let mut kicker = None;
    let mut ended = 0;
    while !run.is_over() {
        let turn = match all.next().copied().unwrap_or(Interruption::None) {
            Interruption::None => run.plain_turn(),
            Interruption::Immediate => {
                run.testbed().vcpu().fields()?.put_immediate_exit(1);
                run.plain_turn()
            }
            Interruption::Signal(microseconds) => {
                let _alarm = Alarm::after(Duration::from_micros(microseconds.max(1).into()))?;
                run.plain_turn()
            }
            Interruption::Kick(rounds) => {
                if kicker.is_none() {
                    kicker = Some(Kicker::of(run.testbed().vcpu())?);
                }
                let kicked = kicker.as_ref().and_then(|kicker| kicker.kick(rounds));
                let Some(kicked) = kicked else {
                    return Err(Stop::HostFault(HostFault("the thread that kicks is gone".into())));
                };
                let turn = run.plain_turn();
                // The kick may come only now; the next KVM_RUN is not to be ended by it.
                let _ = kicked.recv();
                turn
            }
        };
        run.testbed().vcpu().fields()?.put_immediate_exit(0);
        ended += usize::from(turn? == Turn::Interrupted);
    }
    Ok((run.finish()?, ended))
}

/// A thread that kicks a vCPU out of KVM_RUN, for as long as this lives.
struct Kicker {
    orders: Option<Sender<u16>>,
    told: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Kicker {
    /// One for the vCPU that the calling thread runs.
    fn of(vcpu: &Vcpu) -> Result<Self, Stop> {
        let (orders, ordered) = channel::<u16>();
        let (tell, told) = channel();
        let (vcpu, signal) = (vcpu.another()?, signal::harmless());
        vcpu.run_page()?;
        let thread = std::thread::spawn(move || {
            for rounds in ordered {
                if tell.send(()).is_err() {
                    return;
                }
                (0..rounds).for_each(|_| std::hint::spin_loop());
                if let Ok(page) = vcpu.fields() {
                    page.put_immediate_exit(1);
                }
                // A thread that is gone needs no kick.
                let _ = signal.send();
                if tell.send(()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { orders: Some(orders), told, thread: Some(thread) })
    }

    /// Orders a kick, and waits until the thread goes round: one that has yet to wake up kicks when all is over. Returns what tells that
    /// it has kicked.
    fn kick(&self, rounds: u16) -> Option<&Receiver<()>> {
        self.orders.as_ref()?.send(rounds).ok()?;
        self.told.recv().ok()?;
        Some(&self.told)
    }
}

impl Drop for Kicker {
    fn drop(&mut self) {
        // Without orders the thread ends, and with it the second descriptor of the vCPU.
        drop(self.orders.take());
        self.thread.take().map(JoinHandle::join);
    }
}
