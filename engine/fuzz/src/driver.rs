//! A driver for stable: seeds and words, mutated at random, for a time.
//!
//! Environment: `FUZZ_SECONDS` (5), `FUZZ_SEED` (from the clock; a failure tells it). An argument is
//! a file with one input to try again. An input that fails, or takes longer than two seconds, is
//! written to `fuzz-artifacts/` and ends the run.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for people

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use super::seeds::Seeds;

/// Inputs stay this short.
const MAX_LENGTH: usize = 4096;

/// So many inputs are kept to be mutated again.
const KEPT: usize = 512;

/// So long one input may take.
const TOO_LONG: Duration = Duration::from_secs(2);

/// xorshift64*: no more is needed to be anywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from((self.next() >> 16) % bound).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Runs `target` for a while, or on the one input that an argument names.
pub fn main(name: &str, target: fn(&[u8]), (seeds, words): Seeds) -> ExitCode {
    if let Some(file) = env::args_os().nth(1) {
        let input = fs::read(&file).expect("the input can be read");
        target(&input);
        println!("{name}: {} holds", file.display());
        return ExitCode::SUCCESS;
    }
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = number("FUZZ_SEED").unwrap_or_else(|| u64::from(clock().subsec_nanos())) | 1;
    let span = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(5));
    let mut random = Random(seed);
    let mut kept: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let begun = Instant::now();
    let mut tried = 0_u64;
    while begun.elapsed() < span {
        let mut input = kept[random.below(kept.len())].clone();
        for _ in 0..=random.below(6) {
            let other = random.below(kept.len());
            mutate(&mut input, &mut random, words, &kept[other]);
        }
        input.truncate(MAX_LENGTH);
        tried += 1;
        let before = Instant::now();
        let held = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
        if !held || before.elapsed() > TOO_LONG {
            return fail(name, &input, seed);
        }
        if random.below(8) == 0 {
            // Those that the seeds lead to, so that mutations pile up; the seeds stay.
            let place = seeds.len() + random.below(KEPT);
            if place < kept.len() { kept[place] = input } else { kept.push(input) }
        }
    }
    println!("{name}: {tried} inputs in {:?}, seed {seed}: all hold", begun.elapsed());
    ExitCode::SUCCESS
}

fn mutate(input: &mut Vec<u8>, random: &mut Random, words: &[&str], other: &[u8]) {
    let at = random.below(input.len() + 1);
    let end = at + random.below(input.len() - at + 1).min(32);
    match random.below(8) {
        0 if at < input.len() => input[at] = random.byte(),
        1 if at < input.len() => input[at] ^= 1 << random.below(8),
        2 => drop(input.drain(at..end)),
        3 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        4 => {
            let from = random.below(other.len() + 1);
            let to = from + random.below(other.len() - from + 1);
            input.splice(at..end, other[from..to].iter().copied());
        }
        5 => input.insert(at, random.byte()),
        _ => {
            let word = words[random.below(words.len())];
            input.splice(at..at, word.bytes());
        }
    }
}

fn fail(name: &str, input: &[u8], seed: u64) -> ExitCode {
    let file = format!("fuzz-artifacts/{name}-{seed}");
    let written = fs::create_dir_all("fuzz-artifacts").and_then(|()| fs::write(&file, input));
    eprintln!("{name}: does not hold, or took long, for {:?}", input.escape_ascii().to_string());
    match written {
        Ok(()) => eprintln!("try it again: cargo run -p pybolt-fuzz --bin {name} -- {file}"),
        Err(error) => eprintln!("the input could not be written to {file}: {error}"),
    }
    ExitCode::FAILURE
}
