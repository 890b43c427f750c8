//! Forwarded and X-Forwarded-For.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pybolt_fuzz::forwarded(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    pybolt_fuzz::driver::main("forwarded", pybolt_fuzz::forwarded, pybolt_fuzz::seeds::FORWARDED)
}
