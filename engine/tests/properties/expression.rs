//! `allow` expressions: what is read means the same when it is written out and read again.

use pybolt_engine::config::diagnostic::{Diagnostics, Location};
use pybolt_engine::middleware::authenticate::Principal;
use pybolt_engine::middleware::authorize::Requirement;

fn parse(text: &str) -> Result<Requirement, Vec<&'static str>> {
    let mut out = Diagnostics::default();
    let parsed = Requirement::parse(text, &Location::document(0), &mut out);
    let codes: Vec<&str> = out.as_slice().iter().map(|item| item.code).collect();
    parsed.ok_or(codes)
}

/// Reads `text`: a requirement that survives its own spelling, or one mistake with a code.
pub fn holds(text: &str) {
    let requirement = match parse(text) {
        Ok(requirement) => requirement,
        Err(codes) => {
            assert!(
                matches!(codes[..], ["E080" | "E081" | "E082" | "E083"]),
                "{text:?}: {codes:?}"
            );
            return;
        }
    };
    let spelled = requirement.to_string();
    let again = parse(&spelled).unwrap_or_else(|codes| panic!("{text:?}: {spelled:?}: {codes:?}"));
    assert_eq!(again, requirement, "{text:?}");
    let nobody = Principal::default();
    assert_eq!(again.is_met_by(&nobody), requirement.is_met_by(&nobody), "{text:?}");
}
