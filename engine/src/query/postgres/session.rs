//! What holds for every statement, as a session's settings, or, behind a pooler, which keeps none, as
//! those of a transaction: it is read-only and bounded, in Django's time zone and with its options.

use std::fmt::Write;
use std::time::Duration;

use crate::query::wire;

/// Settings whose value is a list, which `SET` takes for one item where it is quoted.
const LISTS: [&str; 2] = ["search_path", "temp_tablespaces"];

/// The settings, later ones before earlier ones.
fn settings(from: &wire::Postgres, timeout: Duration) -> impl Iterator<Item = (&str, String)> {
    let ours = [
        ("default_transaction_read_only", "on".to_owned()),
        ("statement_timeout", timeout.as_millis().to_string()),
        ("TimeZone", from.timezone.clone()),
    ];
    let theirs = from.options.iter().map(|(name, value)| (name.as_str(), value.clone()));
    theirs.chain(ours)
}

/// The options that a session begins with.
pub fn options(from: &wire::Postgres, timeout: Duration) -> String {
    let options =
        settings(from, timeout).map(|(name, value)| format!("-c {name}={}", word(&value)));
    options.collect::<Vec<_>>().join(" ")
}

/// What begins a transaction.
pub fn begin(from: &wire::Postgres, timeout: Duration) -> String {
    let mut begin = "BEGIN".to_owned();
    for (name, value) in settings(from, timeout) {
        let value = literal(&value);
        // They are sorted: the isolation is set before anything is selected.
        let written = if LISTS.contains(&name) {
            write!(begin, "; SELECT pg_catalog.set_config('{name}', {value}, true)")
        } else {
            // Defaults are those of the next one.
            let own = name.strip_prefix("default_").filter(|own| own.starts_with("transaction_"));
            write!(begin, "; SET LOCAL {} = {value}", own.unwrap_or(name))
        };
        written.expect("a string takes whatever is written");
    }
    begin
}

/// A value within `options`, where white space ends one.
fn word(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if character == '\\' || character.is_ascii_whitespace() || character == '\x0b' {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A value within SQL, whatever `standard_conforming_strings` says.
fn literal(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(options: &serde_json::Value) -> wire::Postgres {
        let told = json!({
            "hosts": ["h"], "ports": [5432], "user": "", "password": "", "dbname": "",
            "sslmode": "prefer", "sslrootcert": null, "sslcert": null, "sslkey": null,
            "application_name": null, "options": options, "timezone": "UTC", "use_tz": true,
            "pool": 2, "prepare": false,
        });
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn a_session_and_a_transaction_have_the_same_settings() {
        let from = told(&json!({"search_path": r#""a b", c\d"#, "work_mem": "7'MB"}));
        let timeout = Duration::from_secs(2);
        assert_eq!(
            options(&from, timeout),
            r#"-c search_path="a\ b",\ c\\d -c work_mem=7'MB -c default_transaction_read_only=on -c statement_timeout=2000 -c TimeZone=UTC"#
        );
        assert_eq!(
            begin(&from, timeout),
            r#"BEGIN; SELECT pg_catalog.set_config('search_path', E'"a b", c\\d', true); SET LOCAL work_mem = E'7''MB'; SET LOCAL transaction_read_only = E'on'; SET LOCAL statement_timeout = E'2000'; SET LOCAL TimeZone = E'UTC'"#
        );
    }

    #[test]
    fn nothing_is_selected_before_the_isolation_is_set_and_ours_are_last() {
        let theirs = json!({
            "search_path": "a", "statement_timeout": "0", "default_transaction_read_only": "off",
            "default_transaction_isolation": "serializable",
        });
        let begin = begin(&told(&theirs), Duration::from_millis(7));
        let at = |part: &str| begin.find(part).unwrap();
        assert!(at("transaction_isolation = E'serializable'") < at("SELECT"));
        assert!(at("read_only = E'off'") < at("read_only = E'on'"));
        assert!(at("timeout = E'0'") < at("timeout = E'7'"));
    }
}
