//! One line: what is known of a request before and after it was answered, as JSON or text.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::config::AccessLogPolicy;
use crate::http::{HeaderValue, Method};
use crate::middleware::authenticate::Principal;
use crate::middleware::rate_limit::RateLimitPolicy;
use crate::middleware::rejection::RejectionKind;
use crate::request::Parts;

/// What the line says of the request.
pub struct Entry {
    pub policy: Arc<AccessLogPolicy>,
    pub begun: Instant,
    pub client: IpAddr,
    pub method: Method,
    pub target: Box<str>,
    pub request_id: Option<HeaderValue>,
    pub fields: Vec<Option<HeaderValue>>,
}

/// What the line says of the answer.
#[derive(Default)]
pub struct Outcome {
    pub status: u16,
    pub bytes: u64,
    pub rejection: Option<RejectionKind>,
    pub principal: Option<Arc<Principal>>,
    pub shadowed: Option<Arc<RateLimitPolicy>>,
    pub cut: bool,
}

impl Entry {
    /// Takes what a line needs off a request. Query strings carry secrets and are not logged.
    pub fn new(policy: &Arc<AccessLogPolicy>, parts: &Parts) -> Self {
        let field = |(name, hidden): &(_, bool)| {
            let value = parts.headers.get(name)?;
            Some(if *hidden { HeaderValue::from_static("***") } else { value.clone() })
        };
        Self {
            policy: Arc::clone(policy),
            begun: Instant::now(),
            client: parts.client_ip,
            method: parts.method.clone(),
            target: parts.uri.path().into(),
            request_id: parts.request_id.clone(),
            fields: policy.fields.iter().map(field).collect(),
        }
    }

    /// The line, with its end.
    pub fn line(&self, outcome: &Outcome) -> String {
        let mut line = String::with_capacity(256);
        if self.policy.json {
            self.json(outcome, &mut line);
        } else {
            self.text(outcome, &mut line);
        }
        line.push('\n');
        line
    }

    fn json(&self, outcome: &Outcome, line: &mut String) {
        line.push_str("{\"time\":\"");
        push_time(line);
        line.push_str("\",\"client\":\"");
        push(line, format_args!("{}", self.client));
        line.push_str("\",\"method\":");
        push_json(line, self.method.as_str().as_bytes());
        line.push_str(",\"path\":");
        push_json(line, self.target.as_bytes());
        push(line, format_args!(",\"status\":{},\"bytes\":{}", outcome.status, outcome.bytes));
        push(line, format_args!(",\"duration_us\":{}", micros(self.begun.elapsed())));
        for (name, value) in self.named(outcome) {
            push_json_member(line, name, value);
        }
        if outcome.cut {
            line.push_str(",\"cut\":true");
        }
        line.push('}');
    }

    fn text(&self, outcome: &Outcome, line: &mut String) {
        push_time(line);
        push(line, format_args!(" {} {} ", self.client, self.method));
        push_visible(line, self.target.as_bytes());
        push(
            line,
            format_args!(
                " {} {}B {}us",
                outcome.status,
                outcome.bytes,
                micros(self.begun.elapsed())
            ),
        );
        for (name, value) in self.named(outcome) {
            push(line, format_args!(" {name}="));
            push_visible(line, value);
        }
        if outcome.cut {
            line.push_str(" cut");
        }
    }

    /// The members that are there only sometimes.
    fn named<'a>(&'a self, outcome: &'a Outcome) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let request_id = self.request_id.as_ref().map(|id| ("request_id", id.as_bytes()));
        let rejection = outcome.rejection.map(|kind| ("rejection", kind.code().as_bytes()));
        let principal = outcome.principal.as_ref().map(|known| ("principal", known.id.as_bytes()));
        let shadowed =
            outcome.shadowed.as_ref().map(|limit| ("shadow_limited", limit.name().as_bytes()));
        let fields = self.policy.fields.iter().zip(&self.fields);
        let fields = fields
            .filter_map(|((name, _), value)| Some((name.as_str(), value.as_ref()?.as_bytes())));
        request_id.into_iter().chain(rejection).chain(principal).chain(shadowed).chain(fields)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn push(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a string takes whatever is written");
}

fn push_json_member(line: &mut String, name: &str, value: &[u8]) {
    line.push(',');
    push_json(line, name.as_bytes());
    line.push(':');
    push_json(line, value);
}

/// A JSON string of any bytes; what is not UTF-8 becomes U+FFFD.
fn push_json(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            control if control.is_control() => {
                push(line, format_args!("\\u{:04x}", control as u32));
            }
            other => line.push(other),
        }
    }
    line.push('"');
}

/// Bytes as visible ASCII without spaces: nothing can begin another field or line.
fn push_visible(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'!'..=b'~' if *byte != b'%' => line.push(char::from(*byte)),
            b'%' => line.push('%'),
            _ => push(line, format_args!("\\x{byte:02x}")),
        }
    }
}

/// The time as RFC 3339 with milliseconds, in UTC.
fn push_time(line: &mut String) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = since.as_secs() / 86_400;
    let (year, month, day) = civil(days);
    let second = since.as_secs() % 86_400;
    push(
        line,
        format_args!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            second / 3600,
            second / 60 % 60,
            second % 60,
            since.subsec_millis()
        ),
    );
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar, counted in the
/// 400-year cycles that begin on 1 March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
    }

    #[test]
    fn nothing_of_a_client_can_forge_a_line() {
        let mut line = String::new();
        push_visible(&mut line, b"/a b\r\nfake");
        assert_eq!(line, "/a\\x20b\\x0d\\x0afake");
        let mut line = String::new();
        push_json(&mut line, b"\"\\\n\xff");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), "\"\\\n\u{fffd}");
    }
}
