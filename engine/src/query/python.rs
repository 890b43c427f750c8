//! How Python and Django's encoder write decimals, dates and times.

use std::fmt::Write as _;

use super::cell::{Broken, Inline};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Days from the year 1 (proleptic Gregorian) to 1970-01-01.
const EPOCH: i64 = 719_162;
/// Days of the years 1 to 9999, which Python has dates for.
const DAYS: i64 = 3_652_059;

/// A `Decimal` of `digits` without leading zeros (`"0"` is zero) times ten to the power of
/// `exponent`, as `str` has it (the General Decimal Arithmetic's to-scientific-string).
pub fn decimal(negative: bool, digits: &str, exponent: i32) -> Inline {
    let mut out = Inline::new();
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let left = length + exponent;
    let mut write = || {
        if negative {
            out.write_char('-')?;
        }
        if exponent <= 0 && left > -6 {
            if exponent == 0 {
                out.write_str(digits)?;
            } else if left <= 0 {
                out.write_str("0.")?;
                (left..0).try_for_each(|_| out.write_char('0'))?;
                out.write_str(digits)?;
            } else {
                let (whole, rest) = digits.split_at(usize::try_from(left).unwrap_or_default());
                write!(out, "{whole}.{rest}")?;
            }
            return Ok(());
        }
        let (first, rest) = digits.split_at(1);
        out.write_str(first)?;
        if !rest.is_empty() {
            write!(out, ".{rest}")?;
        }
        write!(out, "E{:+}", left - 1)
    };
    let written: std::fmt::Result = write();
    written.expect("memory takes what is written");
    out
}

/// A `date`: `days` since 1970-01-01.
pub fn date(days: i64) -> Result<Inline, Broken> {
    let mut out = Inline::new();
    write_date(days, &mut out)?;
    Ok(out)
}

/// Year, month and day of a day since 1970-01-01.
pub fn calendar(days: i64) -> Result<(i64, i64, i64), Broken> {
    let since = days.checked_add(EPOCH).filter(|day| (0..DAYS).contains(day));
    since.map(civil).ok_or(Broken("a date that Python has no year for"))
}

/// Hour, minute, second and microsecond.
pub type Clock = (i64, i64, i64, i64);

/// The day and the time of a moment, in microseconds since 1970-01-01 00:00.
pub fn parts(microseconds: i64) -> Result<((i64, i64, i64), Clock), Broken> {
    let day = calendar(microseconds.div_euclid(DAY))?;
    let since = microseconds.rem_euclid(DAY);
    let seconds = since / SECOND;
    Ok((day, (seconds / 3600, seconds / 60 % 60, seconds % 60, since % SECOND)))
}

fn write_date(days: i64, out: &mut Inline) -> Result<(), Broken> {
    let (year, month, day) = calendar(days)?;
    write!(out, "{year:04}-{month:02}-{day:02}").expect("memory takes what is written");
    Ok(())
}

/// Year, month and day of a day since 0001-01-01, by eras of 400 years that begin in March.
fn civil(since: i64) -> (i64, i64, i64) {
    let shifted = since + 306;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a day, by eras of 400 years that begin in March.
pub const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 306 - EPOCH
}

/// `2026-01-31 12:00:00` or `2026-01-31 12:00:00.500000`, as `str(datetime)` has it.
pub fn moment(microseconds: i64) -> Result<Inline, Broken> {
    let mut out = Inline::new();
    write_date(microseconds.div_euclid(DAY), &mut out)?;
    out.write_char(' ').expect("memory takes what is written");
    let whole = microseconds.rem_euclid(DAY);
    write_time(whole - whole % SECOND, &mut out);
    if whole % SECOND > 0 {
        write!(out, ".{:06}", whole % SECOND).expect("memory takes what is written");
    }
    Ok(out)
}

/// A `datetime`, `microseconds` since 1970-01-01 00:00, in milliseconds as Django's encoder has it;
/// `aware`: of UTC.
pub fn datetime(microseconds: i64, aware: bool) -> Result<Inline, Broken> {
    let mut out = Inline::new();
    write_date(microseconds.div_euclid(DAY), &mut out)?;
    out.write_char('T').expect("memory takes what is written");
    write_time(microseconds.rem_euclid(DAY), &mut out);
    if aware {
        out.write_char('Z').expect("memory takes what is written");
    }
    Ok(out)
}

/// A `time`, `microseconds` since midnight, in milliseconds.
pub fn time(microseconds: i64) -> Result<Inline, Broken> {
    if !(0..DAY).contains(&microseconds) {
        return Err(Broken("a time that Python has not"));
    }
    let mut out = Inline::new();
    write_time(microseconds, &mut out);
    Ok(out)
}

fn write_time(microseconds: i64, out: &mut Inline) {
    let seconds = microseconds / SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let part = microseconds % SECOND;
    let mut write = || {
        write!(out, "{hour:02}:{minute:02}:{second:02}")?;
        if part > 0 { write!(out, ".{:03}", part / 1000) } else { Ok(()) }
    };
    let written: std::fmt::Result = write();
    written.expect("memory takes what is written");
}

/// A `timedelta` as Django's `duration_iso_string` has it.
pub fn duration(microseconds: i128) -> Result<Inline, Broken> {
    /// `timedelta.max` in days.
    const MAX_DAYS: i128 = 999_999_999;
    if !(-MAX_DAYS..=MAX_DAYS).contains(&microseconds.div_euclid(DAY.into())) {
        return Err(Broken("an interval that Python has not"));
    }
    let mut out = Inline::new();
    let sign = if microseconds < 0 { "-" } else { "" };
    let size = microseconds.unsigned_abs();
    let (second, day) = (u128::from(SECOND.unsigned_abs()), u128::from(DAY.unsigned_abs()));
    let (days, rest) = (size / day, size % day);
    let seconds = rest / second;
    let (hours, minutes, part) = (seconds / 3600, seconds / 60 % 60, rest % second);
    let mut write = || {
        write!(out, "{sign}P{days}DT{hours:02}H{minutes:02}M{:02}", seconds % 60)?;
        if part > 0 {
            write!(out, ".{part:06}")?;
        }
        out.write_char('S')
    };
    let written: std::fmt::Result = write();
    written.expect("memory takes what is written");
    Ok(out)
}

/// A `UUID`.
pub fn uuid(bytes: [u8; 16]) -> Inline {
    let mut out = Inline::new();
    for (number, byte) in bytes.iter().enumerate() {
        let hyphen = if matches!(number, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(out, "{hyphen}{byte:02x}").expect("memory takes what is written");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(inline: &Inline) -> &str {
        std::str::from_utf8(inline.as_bytes()).unwrap()
    }

    #[test]
    fn decimals_are_what_str_says() {
        for (negative, digits, exponent, expected) in [
            (false, "0", 0, "0"),
            (false, "0", -2, "0.00"),
            (true, "1250", -2, "-12.50"),
            (false, "1", -6, "0.000001"),
            (false, "1", -7, "1E-7"),
            (false, "0", -8, "0E-8"),
            (false, "12", -8, "1.2E-7"),
            (false, "5", 0, "5"),
            (false, "1", 2, "1E+2"),
            (false, "123", 2, "1.23E+4"),
        ] {
            assert_eq!(text(&decimal(negative, digits, exponent)), expected);
        }
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(text(&date(0).unwrap()), "1970-01-01");
        for day in [-EPOCH, -1, 0, 59, 60, 11_016, 20_000, DAYS - 1 - EPOCH] {
            let shown = date(day).unwrap();
            let part = |from: usize, to: usize| text(&shown)[from..to].parse().unwrap();
            assert_eq!(days(part(0, 4), part(5, 7), part(8, 10)), day);
        }
        assert_eq!(text(&date(-EPOCH).unwrap()), "0001-01-01");
        assert_eq!(text(&date(11_016).unwrap()), "2000-02-29");
        assert_eq!(text(&date(DAYS - 1 - EPOCH).unwrap()), "9999-12-31");
        assert!(date(DAYS - EPOCH).is_err() && date(-EPOCH - 1).is_err());
        assert_eq!(text(&datetime(0, true).unwrap()), "1970-01-01T00:00:00Z");
        assert_eq!(text(&datetime(-1, false).unwrap()), "1969-12-31T23:59:59.999");
        assert_eq!(text(&datetime(500, false).unwrap()), "1970-01-01T00:00:00.000");
        assert_eq!(text(&time(DAY - 1).unwrap()), "23:59:59.999");
        assert!(time(DAY).is_err());
        assert_eq!(text(&duration(0).unwrap()), "P0DT00H00M00S");
        assert_eq!(text(&duration(-1).unwrap()), "-P0DT00H00M00.000001S");
        assert_eq!(text(&duration(i128::from(DAY) + 3_661_000_000).unwrap()), "P1DT01H01M01S");
    }
}
