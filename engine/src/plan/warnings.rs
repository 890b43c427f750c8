//! What a configuration says and surely does not mean: reported, and an error under `--strict`; one
//! always, where it says of a route what does not hold there.

use super::merge::{Inherited, Merged};
use super::resolve::innermost;
use super::{Access, PythonRun, RoutePlan};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::slot::Slot;
use crate::http::Method;

/// A limit by who asks, on a route that asks nobody, is one bucket for all.
pub fn nobody_asked(route: &RoutePlan, slots: &Inherited<'_>, out: &mut Diagnostics) {
    let unknown = matches!(route.access, Access::Public | Access::Django);
    let Some(limit) = route.limits_after.first().filter(|_| unknown) else { return };
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

/// An in-flight limit by who asks, on a route that asks nobody, is one count for all.
pub fn nobody_held(route: &RoutePlan, slots: &Inherited<'_>, out: &mut Diagnostics) {
    let late = route.guards.in_flight.as_ref().is_some_and(|policy| policy.needs_identity());
    if late
        && matches!(route.access, Access::Public | Access::Django)
        && let Some(written) = innermost(slots, |s| s.in_flight.as_ref())
    {
        let message = "this counts by who asks, and nobody is asked: all share one count";
        out.push(Diagnostic::warning("W094", &written.at, message));
    }
}

/// A route that is denied answers before it knows who asks: its own limits by that never count.
pub fn nobody_counted(route: &RoutePlan, merged: &Merged<'_>, out: &mut Diagnostics) {
    let mut written = merged.slots().filter_map(|slots| slots.rate_limit.as_ref());
    let written = written.find(|limits| is_own(&limits.at, merged));
    if let (Access::Deny, [limit, ..], Some(written)) =
        (&route.access, &*route.limits_after, written)
    {
        let message = format!("the limit `{}` counts nothing: the route is denied", limit.name());
        out.push(Diagnostic::warning("W096", &written.at, message));
    }
}

/// What a browser sends by itself proves nothing of who made it write, and nobody asks.
pub fn nobody_asked_where_from(route: &RoutePlan, slots: &Inherited<'_>, out: &mut Diagnostics) {
    let Access::Authenticate(methods) = &route.access else { return };
    let reads = |method: &Method| matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let decided = innermost(slots, |s| s.csrf.as_ref()).is_some();
    let Some(auth) = innermost(slots, |s| s.auth.as_ref()) else { return };
    if decided || !methods.is_ambient() || route.methods.iter().all(reads) {
        return;
    }
    let message = "browsers send these credentials with the requests that other sites make";
    out.push(
        Diagnostic::warning("W131", &auth.at, message)
            .hint("write `csrf: on`, or `csrf: off` where no browser comes"),
    );
}

/// A way to run handlers, `run`, that the route itself asks for where no handler is to be run so;
/// what it inherits is meant for others. Whether that is a mistake here.
pub fn nobody_runs_so(
    route: &RoutePlan,
    run: PythonRun,
    merged: &Merged<'_>,
    out: &mut Diagnostics,
) -> bool {
    let slots: Inherited<'_> = merged.slots().collect();
    // What a policy says of a path is meant for whatever handlers there are.
    let declared = |at: &Location| merged.locations.first().is_some_and(|own| at.is_within(own));
    let own = innermost(&slots, |s| s.python.as_ref()).filter(|slot| declared(&slot.at));
    let is_django = route.handler.as_ref().is_some_and(|handler| handler.is_django);
    let why = match &route.answer {
        Some(answer) => format!("`{}` needs no handler", answer.slot()),
        None if is_django => "the Django project runs on threads".to_owned(),
        None => return false,
    };
    let holds = run == PythonRun::Auto || (is_django && run == PythonRun::Thread);
    let Some(slot) = own.filter(|_| !holds) else { return false };
    let written = match &slot.value {
        Slot::Inline(config) => config.run.as_ref(),
        Slot::On | Slot::Off | Slot::Name(_) => None,
    };
    let at = written.map_or(&slot.at, |run| &run.at);
    let message = format!("`run: {}` does not hold here: {why}", run.as_str());
    let hint = if is_django {
        "remove it, or name the `methods` of the handler that it is for; how many run at once is \
         said by `concurrency`"
    } else {
        "remove it"
    };
    out.push(Diagnostic::error("E128", at, message).hint(hint));
    true
}

/// Whether the declarations of a route itself say what is at `at`.
fn is_own(at: &Location, merged: &Merged<'_>) -> bool {
    merged.locations.iter().any(|route| at.is_within(route))
}

/// Slots of a handler on a route that has none: Rust answers it. `told`: of `python` that is told
/// already.
pub fn nothing_to_run(route: &RoutePlan, told: bool, merged: &Merged<'_>, out: &mut Diagnostics) {
    let Some(answer) = &route.answer else { return };
    let python = merged.slots().filter(|_| !told).filter_map(|slots| {
        let slot = slots.python.as_ref()?;
        (!matches!(slot.value, Slot::Off)).then_some(("python", &slot.at))
    });
    let request_headers = merged.slots().filter_map(|slots| {
        let slot = slots.request_headers.as_ref()?;
        (!matches!(slot.value, Slot::Off)).then_some(("request_headers", &slot.at))
    });
    let rewrite = merged.slots().filter_map(|slots| {
        let slot = slots.rewrite.as_ref()?;
        (!matches!(slot.value, Slot::Off)).then_some(("rewrite", &slot.at))
    });
    for (key, at) in python.chain(request_headers).chain(rewrite) {
        if is_own(at, merged) {
            let message =
                format!("`{key}` does nothing here: `{}` needs no handler", answer.slot());
            out.push(Diagnostic::warning("W124", at, message).at_key().hint("remove it"));
        }
    }
}
