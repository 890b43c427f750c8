//! `tests/vectors/limiter_clock.yaml` against the local table; Python reads it against Redis.

#![allow(clippy::unwrap_used)] // a table that cannot be read is a failed test

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pybolt_engine::middleware::rate_limit::{Clock, Key, MIN_SIZE, Pace, Quota, Table};
use serde_json::Value;

const MILLISECOND: u64 = 1_000_000;

#[test]
fn the_local_table_over_a_clock_that_is_set() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/limiter_clock.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: Value = serde_norway::from_str(&text).unwrap();
    let rows = vectors["rows"].as_array().unwrap();
    assert!(rows.len() >= 7);
    for row in rows {
        let number = |key: &str| row["quota"][key].as_u64().unwrap();
        let (count, burst) = (number("count"), number("burst"));
        let quota = Quota { count, period: Duration::from_millis(number("period")), burst };
        // Any moment but the very first.
        let begin = 1_000_000 * MILLISECOND;
        let time = Arc::new(AtomicU64::new(begin));
        let clock = Arc::clone(&time);
        let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let table = Table::with_clock(MIN_SIZE, clock).unwrap();
        for step in row["steps"].as_array().unwrap() {
            let number = |at: usize| step[at].as_u64().unwrap();
            time.store(begin + number(0) * MILLISECOND, Ordering::Relaxed);
            let key = Key::from(&table.hasher(step[1].as_str().unwrap()));
            let decision = table.decide(key, Pace::from(quota), number(2), true);
            let admitted = step[3].as_bool().unwrap();
            let found = (
                decision.admitted,
                decision.remaining,
                u64::try_from(decision.after.as_millis()).unwrap(),
            );
            assert_eq!(found, (admitted, number(4), number(5)), "{}: {step}", row["name"]);
        }
    }
}
