//! Text of a request as a value of its declared type, in the form that PostgreSQL reads (durations in
//! microseconds); what does not fit is told in the words of `pybolt/scalars.py`.

use super::python;
use super::wire::Scalar;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Scalar {
    /// `text` as a value of this type; what was expected where it is none. `use_tz`: moments have
    /// an offset, and are told in UTC.
    pub fn read(self, text: &str, use_tz: bool) -> Result<String, &'static str> {
        if text.contains('\0') {
            return Err("expected a text without a zero byte");
        }
        let read = match self {
            Self::Str => Some(text.to_owned()),
            Self::Int => integer(text),
            Self::Float => is_number(text)
                .then(|| text.parse::<f64>().ok())
                .flatten()
                .filter(|value| value.is_finite())
                .map(|value| format!("{value:e}")),
            Self::Decimal => (is_number(text) && text.len() <= 100).then(|| text.to_owned()),
            Self::Bool => match text {
                "true" | "1" | "on" => Some("t".to_owned()),
                "false" | "0" | "off" => Some("f".to_owned()),
                _ => None,
            },
            Self::Uuid => uuid(text),
            Self::Date => date(text).filter(|(_, rest)| rest.is_empty()).map(|_| text.to_owned()),
            Self::Datetime => datetime(text, use_tz),
            Self::Time => time(text),
            Self::Duration => duration(text).map(|span| span.to_string()),
        };
        read.ok_or(self.expected())
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Str => "expected a text",
            Self::Int => "expected an integer",
            Self::Float => "expected a number",
            Self::Decimal => "expected a decimal number",
            Self::Bool => "expected true or false",
            Self::Uuid => "expected a UUID",
            Self::Date => "expected a date such as 2026-01-31",
            Self::Datetime => "expected a date and time such as 2026-01-31T12:00:00Z",
            Self::Time => "expected a time such as 12:00:00",
            Self::Duration => "expected a duration such as P1DT2H",
        }
    }
}

fn integer(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_integer = (1..=19).contains(&digits.len()) && all_digits(digits);
    let value: i64 = is_integer.then(|| text.parse().ok())??;
    Some(value.to_string())
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?`
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let (whole, part) = match number.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (number, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        digits.len() <= 3 && all_digits(digits)
    });
    all_digits(whole) && part.is_none_or(all_digits) && exponent_fits
}

/// With its hyphens or without any.
fn uuid(text: &str) -> Option<String> {
    let hyphens = [8, 13, 18, 23];
    let plain = match text.len() {
        32 => text.to_owned(),
        36 if hyphens.iter().all(|&at| text.as_bytes()[at] == b'-') => text.replace('-', ""),
        _ => return None,
    };
    let fits = plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| {
        let text = plain.to_ascii_lowercase();
        [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
    })
}

/// The day since 1970-01-01 that `text` begins with, and what follows.
fn date(text: &str) -> Option<(i64, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, b'-', [4, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    let fits = year > 0 && (1..=days).contains(&day);
    fits.then(|| (python::days(year.into(), month.into(), day.into()), rest))
}

/// Numbers of so many digits with `between` between them.
fn numbers<const N: usize>(text: &str, between: u8, lengths: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(char::from(between));
    let mut found = [0; N];
    for (found, length) in found.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length && all_digits(part))?;
        *found = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// RFC 3339, to the microsecond. PostgreSQL knows offsets of less than 16 hours, so that what is told
/// is of UTC.
fn datetime(text: &str, use_tz: bool) -> Option<String> {
    let (day, rest) = date(text)?;
    let (clock, zone) = clock(rest.strip_prefix(['T', 't', ' '])?)?;
    let offset = match zone {
        // A project of another zone is read in Python.
        "" => 0,
        _ if !use_tz => return None,
        "Z" | "z" => 0,
        _ => offset(zone)?,
    };
    let moment = moment(day * DAY + clock - offset)?;
    Some(if use_tz { format!("{moment}+00:00") } else { moment })
}

/// As `str(datetime)` has it.
fn moment(microseconds: i64) -> Option<String> {
    let shown = python::moment(microseconds).ok()?;
    std::str::from_utf8(shown.as_bytes()).ok().map(str::to_owned)
}

/// Microseconds of `+05:30` or `-0530`, which is less than a day.
fn offset(zone: &str) -> Option<i64> {
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let [hours, minutes] = numbers(&format!("{hours}:{minutes}"), b':', [2, 2])?;
    let fits = hours < 24 && minutes < 60;
    fits.then(|| sign * i64::from(hours * 60 + minutes) * 60 * SECOND)
}

/// Microseconds since midnight of `12:00:00` or `12:00:00.5`, rounded, that `text` begins with, and
/// what follows.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (clock, rest) = text.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, b':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let whole = i64::from((hour * 60 + minute) * 60 + second) * SECOND;
    let Some(rest) = rest.strip_prefix('.') else { return Some((whole, rest)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at(length);
    let micro: i64 = format!("{digits:0<6}")[..6].parse().ok()?;
    let more = digits.as_bytes().get(6).is_some_and(|digit| *digit >= b'5');
    (length > 0).then_some((whole + micro + i64::from(more), rest))
}

fn time(text: &str) -> Option<String> {
    let (clock, _) = clock(text).filter(|(_, rest)| rest.is_empty())?;
    moment(clock % DAY).map(|moment| moment["1970-01-01 ".len()..].to_owned())
}

/// Microseconds of an ISO 8601 duration of days, hours, minutes and seconds: `P1DT2H`, `-PT0.5S`.
fn duration(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let rest = rest.strip_prefix('P')?;
    let (days, clock) = rest.split_once('T').map_or((rest, None), |(days, it)| (days, Some(it)));
    if clock.is_some_and(str::is_empty) || (days.is_empty() && clock.is_none()) {
        return None;
    }
    let mut sum = span(days, &[('D', 86_400)])?;
    sum = sum.checked_add(span(clock.unwrap_or_default(), &[('H', 3600), ('M', 60), ('S', 1)])?)?;
    // `timedelta` has no more.
    (sum < 1_000_000_000 * 86_400 * 1_000_000).then(|| i64::try_from(sign * sum).ok())?
}

/// Microseconds of amounts of `units`, in their order.
fn span(text: &str, units: &[(char, i128)]) -> Option<i128> {
    let (mut rest, mut sum) = (text, 0_i128);
    for (unit, seconds) in units {
        let Some((amount, after)) = rest.split_once(*unit) else { continue };
        let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
        let fits = whole.len() <= 12 && part.len() <= 6;
        if !fits || !all_digits(whole) || !all_digits(part) {
            return None;
        }
        let micro: i128 = format!("{part:0<6}").parse().ok()?;
        sum += (whole.parse::<i128>().ok()? * 1_000_000 + micro) * seconds;
        rest = after;
    }
    rest.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_read_and_nothing_else() {
        let read = |scalar: Scalar, text: &str| scalar.read(text, true).ok();
        for (scalar, text, expected) in [
            (Scalar::Int, "7", Some("7")),
            (Scalar::Int, "-007", Some("-7")),
            (Scalar::Int, "9223372036854775807", Some("9223372036854775807")),
            (Scalar::Int, "9223372036854775808", None),
            (Scalar::Int, "+7", None),
            (Scalar::Int, "", None),
            (Scalar::Int, "1e3", None),
            (Scalar::Int, "٧", None),
            (Scalar::Float, "1.50", Some("1.5e0")),
            (Scalar::Float, "1e999", None),
            (Scalar::Float, "nan", None),
            (Scalar::Float, ".5", None),
            (Scalar::Decimal, "12.50", Some("12.50")),
            (Scalar::Decimal, "1E+3", Some("1E+3")),
            (Scalar::Decimal, "1E1000", None),
            (Scalar::Bool, "on", Some("t")),
            (Scalar::Bool, "True", None),
            (Scalar::Str, "a'b", Some("a'b")),
            (Scalar::Str, "a\0b", None),
            (
                Scalar::Uuid,
                "6F9619FF8B86D011B42D00CF4FC964FF",
                Some("6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
            ),
            (Scalar::Uuid, "6f9619ff-8b86d011-b42d-00cf4fc964ff-", None),
            (Scalar::Uuid, "{6f9619ff-8b86-d011-b42d-00cf4fc964f}", None),
            (Scalar::Date, "2024-02-29", Some("2024-02-29")),
            (Scalar::Date, "2023-02-29", None),
            (Scalar::Date, "0000-01-01", None),
            (Scalar::Date, "2024-1-1", None),
            (Scalar::Date, "2024-01-01T00:00:00Z", None),
            (Scalar::Datetime, "2026-01-31t12:00:00z", Some("2026-01-31 12:00:00+00:00")),
            (
                Scalar::Datetime,
                "2026-01-31T12:00:00.5+05:30",
                Some("2026-01-31 06:30:00.500000+00:00"),
            ),
            (Scalar::Datetime, "2026-12-31T23:00:00-02:00", Some("2027-01-01 01:00:00+00:00")),
            (Scalar::Datetime, "2026-01-31T12:00:00+16:30", Some("2026-01-30 19:30:00+00:00")),
            (Scalar::Datetime, "2026-01-31T12:00:00-2359", Some("2026-02-01 11:59:00+00:00")),
            (Scalar::Datetime, "2026-01-31T12:00:00+24:00", None),
            (Scalar::Datetime, "2026-01-31T12:00:00+05:60", None),
            (Scalar::Datetime, "2026-01-31T12:00:00+05", None),
            (Scalar::Datetime, "2026-01-31T12:00:00+05:30:00", None),
            (Scalar::Datetime, "2026-01-31T12:00:00 05:30", None),
            (Scalar::Datetime, "0001-01-01T00:00:00+00:01", None),
            (Scalar::Datetime, "9999-12-31T23:59:59-00:01", None),
            (Scalar::Datetime, "2026-01-31T23:59:59.9999995Z", Some("2026-02-01 00:00:00+00:00")),
            (
                Scalar::Datetime,
                "2026-01-31T12:00:00.00000149Z",
                Some("2026-01-31 12:00:00.000001+00:00"),
            ),
            (Scalar::Time, "12:00:00", Some("12:00:00")),
            (Scalar::Time, "12:00:00.0", Some("12:00:00")),
            (Scalar::Time, "12:00:00.25", Some("12:00:00.250000")),
            (Scalar::Time, "23:59:59.9999999", Some("00:00:00")),
            (Scalar::Time, "12:00:00.", None),
            (Scalar::Time, "12:00:00Z", None),
            (Scalar::Time, "24:00:00", None),
            (Scalar::Duration, "P1DT2H", Some("93600000000")),
            (Scalar::Duration, "-pt0.5s", Some("-500000")),
            (Scalar::Duration, "P1.5D", Some("129600000000")),
            (Scalar::Duration, "P1DT", None),
            (Scalar::Duration, "P", None),
            (Scalar::Duration, "P1W", None),
            (Scalar::Duration, "PT1M1H", None),
            (Scalar::Duration, "P9999999999D", None),
            (Scalar::Datetime, "2026-01-31T12:00:00", Some("2026-01-31 12:00:00+00:00")),
            (Scalar::Datetime, "2026-01-31T24:00:00Z", None),
            (Scalar::Datetime, "2026-01-31T12:00:00.Z", None),
            (Scalar::Datetime, "2026-01-31T12:00:00+99:00", None),
        ] {
            assert_eq!(read(scalar, text).as_deref(), expected, "{scalar:?} {text}");
        }
        assert_eq!(
            Scalar::Datetime.read("2026-01-31T12:00:00", false).as_deref(),
            Ok("2026-01-31 12:00:00")
        );
        assert!(Scalar::Datetime.read("2026-01-31T12:00:00Z", false).is_err());
    }
}
