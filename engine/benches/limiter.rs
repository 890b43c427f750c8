//! What one decision of the limiter's table costs, in one process. `make bench-limiter` prints a line
//! of JSON for each figure: nanoseconds a decision, the median of rounds.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program that a person reads

use std::hash::Hasher;
use std::hint::black_box;
use std::time::{Duration, Instant};

use pybolt_engine::middleware::rate_limit::{Key, Pace, Quota, Table};
use serde_json::json;

const ROUNDS: usize = 21;
const DECISIONS: u32 = 100_000;

fn measure(name: &str, mut decide: impl FnMut(u32)) {
    let mut rounds: Vec<f64> = (0..=ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            (0..DECISIONS).for_each(&mut decide);
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(DECISIONS)
        })
        .skip(1) // the first round warms up
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{}", json!({"name": name, "figure": rounds[ROUNDS / 2], "unit": "ns"}));
}

fn main() {
    let pace = |count| Pace::from(Quota { count, period: Duration::from_secs(3600), burst: count });
    let table = Table::anonymous(32 << 20).unwrap();
    let limit = table.hasher("limit");
    let key = |number: u32| {
        let mut hasher = limit;
        hasher.write(&number.to_le_bytes());
        Key::from(&hasher)
    };
    measure("limiter_hash", |number| {
        black_box(key(black_box(number)));
    });
    let wide = pace(1_000_000_000);
    let one = key(0);
    measure("limiter_admits_one_key", |_| assert!(table.decide(one, wide, 1, true).admitted));
    measure("limiter_admits_many_keys", |number| {
        assert!(table.decide(key(number), wide, 1, true).admitted);
    });
    let narrow = pace(1);
    let spent = key(u32::MAX);
    table.decide(spent, narrow, 1, true);
    measure("limiter_refuses", |_| assert!(!table.decide(spent, narrow, 1, true).admitted));
    measure("limiter_refuses_for_a_store", |_| assert!(table.refuses(spent, narrow, 1).is_some()));
}
