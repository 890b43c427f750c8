//! How long an answer may take to begin and how long a request's body may be.

use super::StagePlan;
use super::merge::Inherited;
use super::resolve::innermost;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::slot::Switch;
use crate::config::units::Size;
use crate::middleware::timeout::TimeoutPolicy;

/// A body longer than this is refused where nothing is said, in bytes.
pub const DEFAULT_BODY_LIMIT: u64 = 2 << 20;

const MAX_BODY_LIMIT: u64 = 1 << 40;

/// The innermost timeout.
pub fn timeout(
    slots: &Inherited<'_>,
    stages: &mut Vec<StagePlan>,
    out: &mut Diagnostics,
) -> Option<TimeoutPolicy> {
    let written = innermost(slots, |s| s.timeout.as_ref())?;
    let Switch::Value(config) = &written.value else { return None };
    let policy = config.compile(&written.at, out);
    stages.push(StagePlan {
        order: 13,
        slot: "timeout",
        origin: vec![written.at.clone()],
        name: None,
        summary: policy.to_string(),
    });
    Some(policy)
}

/// The innermost limit of the body, in bytes.
pub fn body_limit(
    slots: &Inherited<'_>,
    stages: &mut Vec<StagePlan>,
    out: &mut Diagnostics,
) -> Option<u64> {
    let written = innermost(slots, |s| s.body_limit.as_ref());
    let limit = match written.map(|limit| (&limit.value, &limit.at)) {
        None => DEFAULT_BODY_LIMIT,
        Some((Switch::Off, _)) => return None,
        Some((Switch::Value(size), at)) => {
            if size.0 > MAX_BODY_LIMIT {
                out.push(
                    Diagnostic::error("E115", at, "a body limit is at most 1024GiB")
                        .hint("write `off` for none"),
                );
            }
            size.0
        }
    };
    stages.push(StagePlan {
        order: 14,
        slot: "body_limit",
        origin: written.iter().map(|limit| limit.at.clone()).collect(),
        name: None,
        summary: Size(limit).to_string(),
    });
    Some(limit)
}
