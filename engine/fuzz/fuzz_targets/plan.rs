//! What a configuration compiles to.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pybolt_fuzz::plan(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    pybolt_fuzz::driver::main("plan", pybolt_fuzz::plan, pybolt_fuzz::seeds::PLAN)
}
