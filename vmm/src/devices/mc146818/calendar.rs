//! Time in the cells of an MC146818: data sheet, table 2 "Time, calendar, and alarm data modes".

/// How the cells are to be read.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) is_binary: bool,
    pub(super) is_24_hours: bool,
}

const SECONDS: usize = 0;
const MINUTES: usize = 2;
const HOURS: usize = 4;
const WEEKDAY: usize = 6;
const DAY: usize = 7;
const MONTH: usize = 8;
const YEAR: usize = 9;
/// Where PCs keep the century.
const CENTURY: usize = 0x32;
const DAY_SECONDS: u64 = 86_400;
const AFTERNOON: u8 = 0x80;
/// From here on an alarm cell matches everything.
const ANY: u8 = 0xc0;

/// Sets the cells to a time, in seconds since 1970.
pub(super) fn set(cells: &mut [u8], form: Form, time: u64) {
    let (days, second) = (time / DAY_SECONDS, time % DAY_SECONDS);
    let (year, month, day) = date(days);
    cells[SECONDS] = form.cell(second % 60);
    cells[MINUTES] = form.cell(second / 60 % 60);
    cells[HOURS] = form.hour(second / 3600);
    cells[WEEKDAY] = form.cell((days + 4) % 7 + 1);
    cells[DAY] = form.cell(day);
    cells[MONTH] = form.cell(month);
    cells[YEAR] = form.cell(year % 100);
    cells[CENTURY] = form.cell(year / 100);
}

/// Counts so many seconds.
pub(super) fn add(cells: &mut [u8], form: Form, seconds: u64) {
    let second = second_of_day(cells, form).saturating_add(seconds);
    let month = form.number(cells[MONTH]).clamp(1, 12);
    let year = form.number(cells[CENTURY]) * 100 + form.number(cells[YEAR]);
    let first = days_before(year.clamp(1970, 9999), month);
    let days = first + form.number(cells[DAY]).clamp(1, 31) - 1;
    let weekday = form.number(cells[WEEKDAY]);
    let later = second / DAY_SECONDS;
    let time = days.saturating_add(later).min(2_932_896) * DAY_SECONDS + second % DAY_SECONDS;
    set(cells, form, time);
    // The chip counts weekdays by themselves, whatever the date says.
    cells[WEEKDAY] = form.cell((weekday.max(1) - 1 + later % 7) % 7 + 1);
}

/// Whether the alarm is at one of the next so many seconds.
pub(super) fn alarm_within(cells: &[u8], form: Form, seconds: u64) -> bool {
    let now = second_of_day(cells, form);
    let is_at = |second: u64| {
        let parts = [
            (SECONDS, form.cell(second % 60)),
            (MINUTES, form.cell(second / 60 % 60)),
            (HOURS, form.hour(second / 3600)),
        ];
        parts.iter().all(|&(index, cell)| cells[index + 1] >= ANY || cells[index + 1] == cell)
    };
    (1..=seconds.min(DAY_SECONDS)).any(|later| is_at((now + later) % DAY_SECONDS))
}

fn second_of_day(cells: &[u8], form: Form) -> u64 {
    let hour = form.hours(cells[HOURS]).min(23);
    hour * 3600 + form.number(cells[MINUTES]).min(59) * 60 + form.number(cells[SECONDS]).min(59)
}

impl Form {
    fn number(self, cell: u8) -> u64 {
        if self.is_binary { cell.into() } else { u64::from(cell >> 4) * 10 + u64::from(cell & 0xf) }
    }

    fn cell(self, number: u64) -> u8 {
        let number = u8::try_from(number % 100).unwrap_or(0);
        if self.is_binary { number } else { ((number / 10) << 4) | (number % 10) }
    }

    fn hours(self, cell: u8) -> u64 {
        if self.is_24_hours {
            return self.number(cell);
        }
        let hour = self.number(cell & !AFTERNOON) % 12;
        if cell & AFTERNOON != 0 { hour + 12 } else { hour }
    }

    fn hour(self, hour: u64) -> u8 {
        if self.is_24_hours {
            return self.cell(hour);
        }
        let afternoon = if hour >= 12 { AFTERNOON } else { 0 };
        self.cell(if hour.is_multiple_of(12) { 12 } else { hour % 12 }) | afternoon
    }
}

/// Year, month and day, so many days after the beginning of 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    (year, month, days - days_before(year, month) + 1)
}

/// How many days lie between the beginning of 1970 and that of a month.
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let month = usize::try_from(month.saturating_sub(1)).unwrap_or(0).min(11);
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + BEFORE[month] + u64::from(is_leap && month > 1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{date, days_before};

    #[rstest]
    #[case(0, (1970, 1, 1))]
    #[case(59, (1970, 3, 1))]
    #[case(11_016, (2000, 2, 29))]
    #[case(19_782, (2024, 2, 29))]
    #[case(19_783, (2024, 3, 1))]
    #[case(20_819, (2027, 1, 1))]
    fn days_have_dates(#[case] days: u64, #[case] expected: (u64, u64, u64)) {
        assert_eq!(date(days), expected);
    }

    #[test]
    fn days_are_counted_one_by_one() {
        for days in 0..200_000 {
            let (year, month, day) = date(days);
            assert_eq!(days_before(year, month) + day - 1, days);
        }
    }
}
