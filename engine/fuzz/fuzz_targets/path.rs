//! Path identity.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pybolt_fuzz::path(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    pybolt_fuzz::driver::main("path", pybolt_fuzz::path, pybolt_fuzz::seeds::PATH)
}
