//! Routes that name nothing that answers them: the Django project does, by its own URLs.

use super::merge::{Declared, Merged, Target, methods};
use crate::config::route::HandlerConfig;
use crate::http::Method;

/// What a path without `methods` is asked with. `HEAD` goes where `GET` goes.
const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// The route of the methods that `policies`, which are of one pattern, speak of and none of the
/// routes in `answered` has; every policy is still to be applied to it. A policy without `methods`
/// speaks of those that are answered, and of all where none is.
pub(super) fn mounted<'a>(
    policies: &[&Declared<'a>],
    answered: &[Merged<'a>],
    django: &'a HandlerConfig,
) -> Option<Merged<'a>> {
    let first = policies.first()?;
    let has = |method: &Method| answered.iter().any(|route| route.methods.contains(method));
    let follows = |method: &Method| *method == Method::HEAD && has(&Method::GET);
    let mut wanted: Vec<Method> = Vec::new();
    for policy in policies {
        let spoken_of = match &policy.route.methods {
            Some(_) => methods(policy),
            None if answered.is_empty() => METHODS.to_vec(),
            None => continue,
        };
        for method in spoken_of {
            if !has(&method) && !follows(&method) && !wanted.contains(&method) {
                wanted.push(method);
            }
        }
    }
    (!wanted.is_empty()).then(|| Merged {
        pattern: first.pattern.clone(),
        methods: wanted,
        name: policies.iter().find_map(|one| one.route.name.clone()).or_else(|| first.group_name()),
        inside: first.inside.clone(),
        target: Target::Django(django),
        locations: Vec::new(),
        document: None,
        groups: Vec::new(),
        own: Vec::new(),
    })
}
