//! Every header that a chain reads: CORS, Accept, Accept-Encoding, credentials, Range.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pybolt_fuzz::request(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    pybolt_fuzz::driver::main("request", pybolt_fuzz::request, pybolt_fuzz::seeds::REQUEST)
}
