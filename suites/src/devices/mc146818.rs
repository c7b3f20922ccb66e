//! The MC146818 real-time clock: MC146818 data sheet (ADI-856R3). Its time is stepped, and so is exact.

use harness::{Outcome, Stop, claim, equal, holds};

use super::board::Board;

const IRQ: u32 = 8;
const SECOND: u64 = 1_000_000_000;
const A: u8 = 0x0a;
const B: u8 = 0x0b;
const C: u8 = 0x0c;
/// Of register B.
const SET: u8 = 0x80;
const PERIODIC: u8 = 0x40;
const ALARM: u8 = 0x20;
const ENDED: u8 = 0x10;
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;

struct Rtc(Board);

impl Rtc {
    fn new() -> Result<Self, Stop> {
        Board::of(&["mc146818"]).map(Self)
    }

    fn read(&self, register: u8) -> u8 {
        self.0.output(0x70, register);
        self.0.input(0x71)
    }

    fn write(&self, register: u8, byte: u8) {
        self.0.output(0x70, register);
        self.0.output(0x71, byte);
    }

    /// Sets a time of day, in the form that register B names.
    fn set(&self, form: u8, seconds: u32) {
        self.write(B, SET | form);
        for (register, value) in [(0, seconds % 60), (2, seconds / 60 % 60), (4, seconds / 3600)] {
            self.write(register, written(form, register, value));
        }
        // The divider is held, and let go: the first second is half as long.
        self.write(A, 0x70);
        self.write(A, 0x20);
        self.write(B, form);
    }

    fn time(&self) -> [u8; 3] {
        [4, 2, 0].map(|register| self.read(register))
    }
}

/// A value of a register as this form has it: data sheet, table 3.
fn written(form: u8, register: u8, value: u32) -> u8 {
    let (value, afternoon) = match register {
        4 | 5 if form & HOURS_24 == 0 => ((value + 11) % 12 + 1, value >= 12),
        _ => (value, false),
    };
    let digits = if form & BINARY != 0 { value } else { ((value / 10) << 4) | (value % 10) };
    (digits & 0x7f) as u8 | if afternoon { 0x80 } else { 0 }
}

fn form(bits: u8) -> u8 {
    bits & (BINARY | HOURS_24)
}

const DAY: u32 = 24 * 3600;

fn a_day_is_counted_in_each_form(bits: u8, from: u32, passed: u32) -> Outcome {
    let (form, from, passed) = (form(bits), from % DAY, passed % (2 * DAY));
    let rtc = Rtc::new()?;
    rtc.set(form, from);
    rtc.0.pass(SECOND / 2 + u64::from(passed) * SECOND);
    let now = (from + 1 + passed) % DAY;
    let expected = [(4, now / 3600), (2, now / 60 % 60), (0, now % 60)];
    equal(rtc.time(), expected.map(|(register, value)| written(form, register, value)))
}
claim!(
    a_day_is_counted_in_each_form,
    "A real-time clock counts from any time of day that is set, in binary or decimal digits, of 12 or 24 hours",
    [
        Manual("MC146818 data sheet (ADI-856R3), Time, Calendar, and Alarm Locations"),
        Manual("MC146818 data sheet (ADI-856R3), table 3, Time, Calendar, and Alarm Data Modes")
    ]
);

fn an_alarm_comes_at_its_second(bits: u8, at: u32, before: u16) -> Outcome {
    let (form, at) = (form(bits), at % DAY);
    let before = u32::from(before) % 600 + 2;
    let rtc = Rtc::new()?;
    rtc.set(form, (at + DAY - before) % DAY);
    for (register, value) in [(1, at % 60), (3, at / 60 % 60), (5, at / 3600)] {
        rtc.write(register, written(form, register, value));
    }
    rtc.read(C);
    rtc.write(B, form | ALARM);
    rtc.0.pass(SECOND / 2 + u64::from(before - 2) * SECOND);
    equal(rtc.0.is_high(IRQ), false)?;
    rtc.0.pass(SECOND);
    equal(rtc.0.is_high(IRQ), true)?;
    holds(rtc.read(C) & 0xa0 == 0xa0, "register C says that it was the alarm")?;
    equal((rtc.0.is_high(IRQ), rtc.read(C) & 0xa0), (false, 0))
}
claim!(
    an_alarm_comes_at_its_second,
    "A real-time clock's alarm interrupts in the second that it is set to, not one before, until register C is read",
    [Manual("MC146818 data sheet (ADI-856R3), Interrupts, Register C")]
);

fn any_hour_or_minute_alarms(minute: u8, dont_care: u8) -> Outcome {
    let at = u32::from(minute % 60) * 60;
    let rtc = Rtc::new()?;
    rtc.set(HOURS_24, at);
    for (register, value) in [(1, 0x30), (3, 0xc0 | dont_care), (5, 0xc0 | dont_care)] {
        rtc.write(register, value);
    }
    rtc.read(C);
    rtc.write(B, HOURS_24 | ALARM);
    let mut came = Vec::new();
    for second in 1..=120 {
        rtc.0.pass(if second == 1 { SECOND / 2 } else { SECOND });
        if rtc.read(C) & ALARM != 0 {
            came.push(second);
        }
    }
    equal(came, vec![30, 90])
}
claim!(
    any_hour_or_minute_alarms,
    "An alarm byte from 0xc0 to 0xff matches whatever the time has there",
    [Manual("MC146818 data sheet (ADI-856R3), Time, Calendar, and Alarm Locations: \"don't care\" codes")]
);

fn periodic_interrupts_have_their_rate(rate: u8) -> Outcome {
    let rate = rate & 0xf;
    // Table 5, with a crystal of 32.768 kHz, in ticks of it.
    let ticks = match rate {
        0 => None,
        1 | 2 => Some(1_u64 << (rate + 6)),
        rate => Some(1 << (rate - 1)),
    };
    let rtc = Rtc::new()?;
    rtc.write(A, 0x20 | rate);
    rtc.read(C);
    rtc.write(B, HOURS_24 | PERIODIC);
    let mut count = 0_u64;
    // A sixteenth of a second in steps that are shorter than the shortest period.
    for _ in 0..1024 {
        rtc.0.pass(SECOND / 16 / 1024);
        count += u64::from(rtc.read(C) & PERIODIC != 0);
    }
    let expected = ticks.map_or(0, |ticks| 2048 / ticks);
    holds(count.abs_diff(expected) <= 1, format_args!("about {expected} interrupts come, not {count}"))
}
claim!(
    periodic_interrupts_have_their_rate,
    "A real-time clock's periodic interrupts come as often as register A's rate says",
    [Manual("MC146818 data sheet (ADI-856R3), table 5, Periodic Interrupt Rate")]
);

fn no_update_is_hidden(seconds: u8, form_bits: u8) -> Outcome {
    let seconds = u64::from(seconds % 20) + 1;
    let rtc = Rtc::new()?;
    rtc.set(form(form_bits), 0);
    rtc.read(C);
    rtc.write(B, form(form_bits) | ENDED);
    let mut ended = 0;
    let mut before = rtc.time();
    let mut was_updating = rtc.read(A) & 0x80 != 0;
    for _ in 0..seconds * 1000 {
        rtc.0.pass(SECOND / 1000);
        let now = rtc.time();
        ended += u64::from(rtc.read(C) & ENDED != 0);
        if now != before {
            holds(was_updating, "UIP warned of the update a millisecond before")?;
        }
        (before, was_updating) = (now, rtc.read(A) & 0x80 != 0);
    }
    equal(ended, seconds)
}
claim!(
    no_update_is_hidden,
    "A real-time clock warns of each update by UIP, and says at its end that it was one",
    [Manual("MC146818 data sheet (ADI-856R3), Update Cycle")]
);

fn memory_keeps_every_byte(cells: Vec<(u8, u8)>) -> Outcome {
    let rtc = Rtc::new()?;
    let mut kept = [None; 128];
    for (cell, byte) in cells {
        let cell = 0x0e + cell % (128 - 0x0e);
        // A PC/AT counts the century there.
        if cell == 0x32 {
            continue;
        }
        rtc.write(cell, byte);
        kept[usize::from(cell)] = Some(byte);
    }
    rtc.0.pass(3 * SECOND);
    for (cell, byte) in (0..128_u8).zip(kept).filter_map(|(cell, byte)| Some((cell, byte?))) {
        equal(rtc.read(cell | 0x80), byte)?;
    }
    Ok(())
}
claim!(
    memory_keeps_every_byte,
    "The memory behind a real-time clock's registers keeps what is written, whatever bit 7 of the index says",
    [
        Manual("MC146818 data sheet (ADI-856R3), Address Map"),
        Manual("IBM PC/AT Technical Reference, RTC CMOS RAM: bit 7 is the NMI mask")
    ]
);
