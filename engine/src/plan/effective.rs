//! What holds for every route once everything is inherited, as places in the documents: for
//! `bolt dump` and `bolt diff`, which show the values that stand there.

use serde_json::{Value, json};

use super::Plan;
use super::access::limits;
use super::merge::{self, Inherited, Merged, Target};
use super::resolve::innermost;
use crate::config::diagnostic::{Diagnostics, Location};
use crate::config::document::{self, Slots};
use crate::http::Method;

/// The effective slots of every route of `wire`, in the order of [`Plan::routes_json`], and where
/// secrets stand. What is wrong is `check`'s to tell.
pub fn effective(wire: &str) -> Option<Value> {
    let wire = serde_json::from_str(wire).ok()?;
    let mut out = Diagnostics::default();
    let documents = document::decode(&wire, &mut out);
    let django = document::django(&wire, &mut out);
    let defaults = merge::defaults(&documents, &mut out);
    let (merged, _) = merge::routes(&documents, django.as_ref(), &mut out);
    let routes: Vec<Value> = merged.iter().map(|route| describe(route, &defaults)).collect();
    Some(json!({"routes": routes, "secrets": out.secrets()}))
}

fn describe<'a>(route: &Merged<'a>, defaults: &Inherited<'a>) -> Value {
    let slots: Inherited<'a> = defaults.iter().copied().chain(route.slots()).collect();
    let of_all = Slots::KEYS.iter().filter(|key| **key != "rate_limit");
    let places: Vec<(&str, &Location)> =
        of_all.filter_map(|key| Some((*key, place(&slots, key)?))).collect();
    let limits: Vec<(&str, &Location)> =
        limits(&slots).into_iter().map(|(name, value)| (name, &value.at)).collect();
    json!({
        "path": route.pattern,
        "methods": route.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
        "name": route.name,
        "locations": route.locations,
        "target": match route.target {
            Target::Written(target) => Some(&target.at),
            Target::Django(_) => None,
        },
        "slots": places,
        "limits": limits,
        "no_limits": innermost(&slots, |slots| slots.rate_limit.as_ref()).map(|limits| &limits.at),
    })
}

/// Where the innermost setting of a slot stands.
fn place<'a>(slots: &Inherited<'a>, key: &str) -> Option<&'a Location> {
    slots.iter().rev().find_map(|slots| {
        slots.places().into_iter().find_map(|(known, at)| at.filter(|_| known == key))
    })
}

impl Plan {
    /// The route that answers `method` on the decoded `path`, by its place in [`Plan::routes`].
    pub fn find(&self, method: &str, path: &str) -> Option<u32> {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        self.router.find(&method, path).ok().map(|found| found.route.0)
    }
}
