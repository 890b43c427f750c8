//! One set of declarations out of several documents, independent of their order.

use std::collections::BTreeMap;

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::document::{Document, GroupConfig, HandlerConfig, RouteConfig, Slots};
use crate::http::Method;
use crate::router::parameter_names;

/// The slots that apply to a route, the outermost first.
pub type Inherited<'a> = Vec<&'a Slots>;

/// One declaration of a route with its groups.
struct Declared<'a> {
    document: usize,
    pattern: String,
    route: &'a RouteConfig,
    groups: Inherited<'a>,
    group: Option<&'a str>,
}

/// A route with all that is said of it.
pub struct Merged<'a> {
    /// The full pattern.
    pub pattern: String,
    /// Its methods.
    pub methods: Vec<Method>,
    /// Its name.
    pub name: Option<String>,
    /// Its handler.
    pub handler: &'a HandlerConfig,
    /// Where it is declared, the handler's place first.
    pub locations: Vec<Location>,
    /// The slots of its groups and its own, the outermost first.
    pub slots: Inherited<'a>,
}

/// Two places that set the same thing differently.
pub fn conflict(what: &str, first: &Location, second: &Location) -> Diagnostic {
    Diagnostic::error("E050", second, format!("`{what}` is set in two places"))
        .at_key()
        .hint("keep one of them")
        .related(first, "also set here")
}

/// All routes of all documents.
pub fn routes<'a>(documents: &'a [Document], out: &mut Diagnostics) -> Vec<Merged<'a>> {
    let mut declared = Vec::new();
    for (document, source) in documents.iter().enumerate() {
        let config = &source.config;
        for route in &config.routes {
            declare(document, "", route, &[], None, &mut declared, out);
        }
        for group in &config.groups {
            flatten(document, "", group, &[], &mut declared, out);
        }
    }
    let mut patterns: BTreeMap<&str, Vec<&Declared<'a>>> = BTreeMap::new();
    for one in &declared {
        patterns.entry(&one.pattern).or_default().push(one);
    }
    let known: Vec<&str> = declared
        .iter()
        .filter(|one| one.route.handler.is_some())
        .map(|one| one.pattern.as_str())
        .collect();
    let mut merged: Vec<Merged<'a>> =
        patterns.values().flat_map(|same| merge(same, &known, out)).collect();
    merged.sort_by_key(|route| route.locations.first().map(|at| format!("{:?}", at.segments())));
    merged
}

fn flatten<'a>(
    document: usize,
    prefix: &str,
    group: &'a GroupConfig,
    outer: &[&'a Slots],
    declared: &mut Vec<Declared<'a>>,
    out: &mut Diagnostics,
) {
    let prefix = format!("{prefix}{}", group.prefix.value);
    if !group.prefix.is_empty() && (!group.prefix.starts_with('/') || group.prefix.ends_with('/')) {
        out.push(
            Diagnostic::error(
                "E053",
                &group.prefix.at,
                format!("`{}` cannot be a prefix", group.prefix.value),
            )
            .hint("a prefix begins with `/` and does not end with it: `/api`"),
        );
    }
    let groups: Vec<&Slots> = outer.iter().copied().chain([&group.slots]).collect();
    for route in &group.routes {
        declare(document, &prefix, route, &groups, group.name.as_deref(), declared, out);
    }
    for inner in &group.groups {
        flatten(document, &prefix, inner, &groups, declared, out);
    }
}

fn declare<'a>(
    document: usize,
    prefix: &str,
    route: &'a RouteConfig,
    groups: &[&'a Slots],
    group: Option<&'a str>,
    declared: &mut Vec<Declared<'a>>,
    out: &mut Diagnostics,
) {
    let pattern = format!("{prefix}{}", route.path.value);
    // In a group the prefix alone is a path.
    if prefix.is_empty() || !route.path.is_empty() {
        check_pattern(&route.path, out);
    }
    declared.push(Declared { document, pattern, route, groups: groups.to_vec(), group });
}

fn check_pattern(path: &Spanned<String>, out: &mut Diagnostics) {
    let mut fail = |message: String, hint: String| {
        out.push(Diagnostic::error("E053", &path.at, message).hint(hint));
    };
    if !path.starts_with('/') {
        fail(format!("`{}` is not a path", path.value), format!("write `/{}`", path.value));
    } else if let Some(converter) = path.split('<').nth(1).and_then(|rest| rest.split('>').next()) {
        let name = converter.rsplit(':').next().unwrap_or(converter);
        fail(
            format!("`<{converter}>` is Django's way to write a parameter"),
            format!("write `{{{name}}}`; the handler's annotation converts it"),
        );
    } else if path.contains(['?', '#', ' ']) {
        fail(
            format!("`{}` is more than a path", path.value),
            "a path has no query, fragment or spaces".into(),
        );
    } else {
        let mut names = parameter_names(path);
        names.sort_unstable();
        if let Some([twice, ..]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            fail(
                format!("`{twice}` is captured twice"),
                "give each parameter a name of its own".into(),
            );
        }
    }
}

fn methods(one: &Declared<'_>) -> Vec<Method> {
    match &one.route.methods {
        Some(methods) => methods.iter().map(|method| method.value.0.clone()).collect(),
        None => vec![Method::GET],
    }
}

/// The routes of one pattern.
fn merge<'a>(same: &[&Declared<'a>], known: &[&str], out: &mut Diagnostics) -> Vec<Merged<'a>> {
    let (handlers, policies): (Vec<_>, Vec<_>) =
        same.iter().partition(|one| one.route.handler.is_some());
    let mut merged: Vec<(usize, Merged<'a>)> = Vec::new();
    for one in handlers {
        let methods = methods(one);
        for (_, other) in &merged {
            if let Some(method) = methods.iter().find(|method| other.methods.contains(method)) {
                out.push(
                    Diagnostic::error(
                        "E051",
                        &one.route.at,
                        format!("{method} {} has two handlers", one.pattern),
                    )
                    .related(&other.locations[0], "the other one"),
                );
            }
        }
        let Some(handler) = &one.route.handler else { continue };
        let mut slots = one.groups.clone();
        slots.push(&one.route.slots);
        let name = one.route.name.clone().or_else(|| one.group.map(str::to_owned));
        merged.push((
            one.document,
            Merged {
                pattern: one.pattern.clone(),
                methods,
                name,
                handler: &handler.value,
                locations: vec![one.route.at.clone()],
                slots,
            },
        ));
    }
    for policy in policies {
        apply(policy, &mut merged, known, out);
    }
    merged.into_iter().map(|(_, route)| route).collect()
}

/// Adds a declaration without a handler to the routes that it speaks of.
fn apply<'a>(
    policy: &Declared<'a>,
    merged: &mut [(usize, Merged<'a>)],
    known: &[&str],
    out: &mut Diagnostics,
) {
    let wanted = policy.route.methods.as_ref().map(|_| methods(policy));
    let mut found = false;
    for (document, route) in merged.iter_mut() {
        let concerned = wanted
            .as_ref()
            .is_none_or(|wanted| route.methods.iter().any(|method| wanted.contains(method)));
        if !concerned {
            continue;
        }
        found = true;
        if *document == policy.document {
            out.push(
                Diagnostic::error(
                    "E051",
                    &policy.route.at,
                    format!("{} is declared twice", policy.pattern),
                )
                .related(&route.locations[0], "the other declaration"),
            );
            continue;
        }
        for slots in &route.slots {
            conflicts(slots, &policy.route.slots, out);
        }
        // What its groups say applies as well; what the route itself says stays the innermost.
        let innermost = route.slots.pop();
        route.slots.extend(policy.groups.iter().copied());
        route.slots.extend(innermost);
        route.slots.push(&policy.route.slots);
        route.locations.push(policy.route.at.clone());
    }
    if !found {
        let mut diagnostic = Diagnostic::error(
            "E052",
            &policy.route.path.at,
            format!("no handler for {}", policy.pattern),
        );
        diagnostic.hint = Some(match did_you_mean(&policy.pattern, known.iter().copied()) {
            Some(near) if near != policy.pattern => format!("did you mean `{near}`?"),
            _ => "add `handler: \"module:function\"`, or declare the route in Python".to_owned(),
        });
        out.push(diagnostic);
    }
}

/// Slots that two declarations of one route both set.
fn conflicts(first: &Slots, second: &Slots, out: &mut Diagnostics) {
    let pairs = first.places().into_iter().zip(second.places());
    for ((key, one), (_, other)) in pairs {
        if let (Some(one), Some(other)) = (one, other)
            && key != "rate_limit"
        {
            out.push(conflict(key, one, other));
        }
    }
}
