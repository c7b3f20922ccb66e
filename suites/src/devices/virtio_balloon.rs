//! The memory balloon: virtio 1.2, 5.5 "Traditional Memory Balloon Device".

use harness::{Outcome, Stop, claim, equal, holds};
use vmm::Space;
use vmm::virtio::SLOTS;

use super::board::fault;
use super::virtio::{CONFIGURATION, CONFIGURED, Driver, EVENT_IDX, GENERATION, NEEDS_RESET, STATUS, wires};

const OPERATION: &str = "Virtual I/O Device (VIRTIO) 1.2, 5.5.6 Device Operation";
const STATISTICS: &str = "Virtual I/O Device (VIRTIO) 1.2, 5.5.6.3 Memory Statistics";
const STATS_VQ: u64 = 2;
const INFLATE: u16 = 0;
const DEFLATE: u16 = 1;
const STATS: u16 = 2;
/// The pages that claims give back, and what is in each first.
const PAGES: std::ops::Range<u32> = 0x80..0x90;
const PAGE: usize = 0x1000;

fn balloon() -> Result<Driver, Stop> {
    Driver::start("virtio-balloon", 3, STATS_VQ | EVENT_IDX, wires()?)
}

fn contents(driver: &Driver, page: u32) -> Result<Vec<u8>, Stop> {
    let mut bytes = vec![0; PAGE];
    driver.wires.ram.read(u64::from(page) * PAGE as u64, &mut bytes).map_err(fault)?;
    Ok(bytes)
}

fn pages_that_are_named_go_and_no_others(named: Vec<u8>) -> Outcome {
    let driver = balloon()?;
    for page in PAGES {
        driver.wires.ram.write(u64::from(page) * PAGE as u64, &[0x5a; PAGE]).map_err(fault)?;
    }
    let named: Vec<u32> = named.iter().take(256).map(|page| PAGES.start + u32::from(page % 16)).collect();
    let bytes: Vec<u8> = named.iter().flat_map(|page| page.to_le_bytes()).collect();
    driver.add(INFLATE, &bytes)?;
    driver.notify(INFLATE);
    equal(driver.used(INFLATE)?, vec![Vec::<u8>::new()])?;
    for page in PAGES {
        let expected = if named.contains(&page) { 0 } else { 0x5a };
        equal(contents(&driver, page)?, vec![expected; PAGE])?;
    }
    // A page that the guest takes again is its own again.
    driver.add(DEFLATE, &bytes)?;
    driver.notify(DEFLATE);
    equal(driver.used(DEFLATE)?.len(), 1)?;
    driver.wires.ram.write(u64::from(PAGES.start) * PAGE as u64, &[1; PAGE]).map_err(fault)?;
    equal(contents(&driver, PAGES.start)?, vec![1; PAGE])
}
claim!(
    pages_that_are_named_go_and_no_others,
    "A virtio balloon takes the pages that its inflate queue names, which are the guest's again after the deflate queue, and leaves all others",
    [Manual(OPERATION)]
);

fn what_is_no_memory_is_not_taken(number: u32, is_near: bool) -> Outcome {
    let driver = balloon()?;
    let number = if is_near { number % 0x140 } else { number };
    let is_memory = number < 0x100;
    driver.wires.ram.write(0x8_0000, &[0x5a; PAGE]).map_err(fault)?;
    // The driver's own rings stay.
    if (0x10..0x40).contains(&number) {
        return Ok(());
    }
    driver.add(INFLATE, &number.to_le_bytes())?;
    driver.notify(INFLATE);
    equal(driver.read(STATUS) & NEEDS_RESET != 0, !is_memory)?;
    equal(driver.used(INFLATE)?.len(), usize::from(is_memory))?;
    let expected = if number == 0x80 { 0 } else { 0x5a };
    equal(contents(&driver, 0x80)?, vec![expected; PAGE])
}
claim!(
    what_is_no_memory_is_not_taken,
    "A virtio balloon that is given a page outside of memory needs a reset, and changes no memory",
    [Manual("Virtual I/O Device (VIRTIO) 1.2, 2.1.2 Device Requirements: Device Status Field")]
);

fn a_target_is_told_by_an_interrupt_of_the_configuration(targets: Vec<u32>) -> Outcome {
    let driver = balloon()?;
    let mut before = 0;
    for target in targets {
        let generation = driver.read(GENERATION);
        driver.wires.balloon.aim_at(target);
        driver.poll();
        equal(driver.is_told(CONFIGURED), target != before)?;
        equal(driver.read(CONFIGURATION), target)?;
        equal(driver.read(GENERATION) != generation, target != before)?;
        let actual = target.wrapping_mul(3);
        let at = u64::from(SLOTS[0].address) + CONFIGURATION;
        driver.bus.write(Space::Memory, at + 4, &actual.to_le_bytes());
        driver.bus.write(Space::Memory, at, &actual.to_le_bytes());
        equal((driver.read(CONFIGURATION), driver.read(CONFIGURATION + 4)), (target, actual))?;
        equal(driver.wires.balloon.actual(), actual)?;
        before = target;
    }
    Ok(())
}
claim!(
    a_target_is_told_by_an_interrupt_of_the_configuration,
    "A virtio balloon tells its driver of another num_pages by a configuration interrupt and another generation, and keeps the actual that the driver writes",
    [
        Manual(OPERATION),
        Manual("Virtual I/O Device (VIRTIO) 1.2, 5.5.4 Device configuration layout"),
        Manual("Virtual I/O Device (VIRTIO) 1.2, 2.5.1 Device Requirements: Device Configuration Space"),
    ]
);

fn statistics_come_when_they_are_asked_for(rounds: Vec<Vec<(u16, u64)>>) -> Outcome {
    let driver = balloon()?;
    for (index, statistics) in rounds.iter().enumerate() {
        let statistics: Vec<_> = statistics.iter().copied().take(32).collect();
        let bytes: Vec<u8> = statistics
            .iter()
            .flat_map(|(tag, value)| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat())
            .collect();
        if index > 0 {
            driver.wires.balloon.ask();
            driver.poll();
            equal(driver.used(STATS)?.len(), 1)?;
        }
        let is_reached = driver.add(STATS, &bytes)?;
        holds(is_reached, "the device wants to hear of the next")?;
        driver.notify(STATS);
        equal(driver.waiting(STATS)?, 0)?;
        equal(driver.wires.balloon.statistics(), statistics)?;
    }
    Ok(())
}
claim!(
    statistics_come_when_they_are_asked_for,
    "A virtio balloon keeps the buffer of its statistics queue until newer statistics are wanted, and hears each by its tag",
    [Manual(STATISTICS)]
);
