//! What a configuration says and surely does not mean: reported, and an error under `--strict`.

use super::merge::{Inherited, Merged};
use super::resolve::innermost;
use super::{Access, RoutePlan};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};

/// A limit by who asks, on a route that asks nobody, is one bucket for all.
pub fn nobody_asked(route: &RoutePlan, slots: &Inherited<'_>, out: &mut Diagnostics) {
    let Some(limit) = route.limits_after.first().filter(|_| matches!(route.access, Access::Public))
    else {
        return;
    };
    let at = innermost(slots, |s| s.rate_limit.as_ref())
        .map_or_else(Location::default, |limits| limits.at.clone());
    out.push(Diagnostic::warning(
        "W094",
        &at,
        format!(
            "the limit `{}` counts by who asks, and nobody is asked: all share one bucket",
            limit.name()
        ),
    ));
}

/// A route that is denied answers before it knows who asks: its own limits by that never count.
pub fn nobody_counted(route: &RoutePlan, merged: &Merged<'_>, out: &mut Diagnostics) {
    let of_the_route = |at: &Location| merged.locations.iter().any(|route| at.is_within(route));
    let mut written = merged.slots().filter_map(|slots| slots.rate_limit.as_ref());
    let written = written.find(|limits| of_the_route(&limits.at));
    if let (Access::Deny, [limit, ..], Some(written)) =
        (&route.access, &*route.limits_after, written)
    {
        let message = format!("the limit `{}` counts nothing: the route is denied", limit.name());
        out.push(Diagnostic::warning("W096", &written.at, message));
    }
}
