//! The thresholds by which driver and device say what they want to be told of: virtio 1.2, 2.7.7 and 2.7.10.

use harness::{Outcome, Stop, claim, equal, holds};

use super::virtio::{Driver, EVENT_IDX, SIZE, USED, wires};

const SUPPRESSION: &str = "Virtual I/O Device (VIRTIO) 1.2, 2.7.7 Used Buffer Notification Suppression";
const NOTIFICATION: &str =
    "Virtual I/O Device (VIRTIO) 1.2, 2.7.10 Available Buffer Notification Suppression";

/// A device that gives each chain back at once, in the queue of this number.
const DONE_AT_ONCE: [(&str, u16); 2] = [("virtio-rng", 0), ("virtio-console", 1)];

/// What a driver does: adds so many chains, and then looks at what has come back and wants to be told of one so far behind.
type Rounds = Vec<(u8, bool, u8)>;

/// Does it: for each addition, whether the device was told, whether the driver was, and whether it should have been.
fn rounds(rounds: &Rounds, model: &str, queue: u16, features: u64) -> Result<Vec<(bool, bool, bool)>, Stop> {
    let driver = Driver::start(model, queue + 1, features, wires()?)?;
    let (mut threshold, mut seen) = (0, Vec::new());
    for (count, looks, behind) in rounds {
        let before = driver.waiting(queue)?;
        let count = u16::from(*count).min(SIZE - before);
        let mut is_reached = false;
        for _ in 0..count {
            is_reached |= if queue == 0 { driver.add_room(queue, 4)? } else { driver.add(queue, b"text")? };
        }
        if is_reached || features & EVENT_IDX == 0 && count > 0 {
            driver.notify(queue);
        }
        equal(driver.waiting(queue)?, before + count)?;
        let should = (before..before + count).contains(&threshold);
        seen.push((is_reached, driver.is_told(USED), should));
        if *looks {
            let at = driver.waiting(queue)?;
            driver.used(queue)?;
            threshold = u16::from(*behind) % SIZE;
            driver.wants(queue, threshold)?;
            holds(at <= SIZE, "no more comes back than there is")?;
        }
    }
    Ok(seen)
}

fn a_driver_is_told_at_its_threshold_alone(deeds: Rounds) -> Outcome {
    for (model, queue) in DONE_AT_ONCE {
        for (_, told, should) in rounds(&deeds, model, queue, EVENT_IDX)? {
            equal(told, should)?;
        }
    }
    Ok(())
}
claim!(
    a_driver_is_told_at_its_threshold_alone,
    "With VIRTIO_F_EVENT_IDX a virtio device interrupts its driver when the used index passes used_event, and for nothing else",
    [Manual(SUPPRESSION)]
);

fn a_device_hears_of_all_at_its_threshold(deeds: Rounds) -> Outcome {
    // That all were done is looked at after each addition, of which the device is told only where it wants to be.
    for (model, queue) in DONE_AT_ONCE {
        let seen = rounds(&deeds, model, queue, EVENT_IDX)?;
        let added = deeds.iter().any(|(count, ..)| *count > 0);
        holds(!added || seen.iter().any(|(told, ..)| *told), "the first chain is told of")?;
    }
    Ok(())
}
claim!(
    a_device_hears_of_all_at_its_threshold,
    "With VIRTIO_F_EVENT_IDX a driver that notifies a virtio device only when it adds at avail_event gets every chain done",
    [Manual(NOTIFICATION)]
);

fn without_thresholds_every_use_is_told(deeds: Rounds) -> Outcome {
    for (model, queue) in DONE_AT_ONCE {
        let driver = Driver::start(model, queue + 1, 0, wires()?)?;
        for (_, _, behind) in &deeds {
            driver.wants(queue, u16::from(*behind))?;
            let _ = if queue == 0 { driver.add_room(queue, 4)? } else { driver.add(queue, b"text")? };
            driver.notify(queue);
            equal((driver.used(queue)?.len(), driver.is_told(USED)), (1, true))?;
        }
    }
    Ok(())
}
claim!(
    without_thresholds_every_use_is_told,
    "Without VIRTIO_F_EVENT_IDX used_event means nothing, and a virtio device interrupts its driver for each use that flags do not suppress",
    [Manual(SUPPRESSION)]
);
