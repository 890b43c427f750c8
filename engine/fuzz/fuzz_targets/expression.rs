//! allow expressions.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pybolt_fuzz::expression(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    pybolt_fuzz::driver::main("expression", pybolt_fuzz::expression, pybolt_fuzz::seeds::EXPRESSION)
}
