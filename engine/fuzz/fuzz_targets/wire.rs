//! The bytes of a connection: the scanner, actix-http and a plain reader beside each other.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pybolt_fuzz::wire(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    pybolt_fuzz::driver::main("wire", pybolt_fuzz::wire, pybolt_fuzz::seeds::WIRE)
}
