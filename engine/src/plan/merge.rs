//! One set of declarations out of several documents, independent of their order.

use std::collections::BTreeMap;

use super::mounting;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::document::{Document, GroupConfig, RouteConfig, Slots};
use crate::config::route::HandlerConfig;
use crate::config::slot::Limits;
use crate::config::target::TargetConfig;
use crate::http::Method;
use crate::router::parameter_names;

/// The slots that apply to a route, the outermost first.
pub type Inherited<'a> = Vec<&'a Slots>;

/// One declaration of a route with its groups.
pub(super) struct Declared<'a> {
    document: usize,
    pub pattern: String,
    pub route: &'a RouteConfig,
    groups: Inherited<'a>,
    /// The names of its groups, the outermost first.
    pub inside: Vec<&'a str>,
    group: Option<&'a str>,
}

impl<'a> Declared<'a> {
    /// The slots of its groups and its own, the outermost first.
    fn slots(&self) -> Inherited<'a> {
        self.groups.iter().copied().chain([&self.route.slots]).collect()
    }

    /// The name of the group that it stands in.
    pub fn group_name(&self) -> Option<String> {
        self.group.map(str::to_owned)
    }
}

/// What answers a route.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// What its declaration says.
    Written(&'a Spanned<TargetConfig>),
    /// The Django project, by its own URLs.
    Django(&'a HandlerConfig),
}

/// A route with all that is said of it.
pub struct Merged<'a> {
    /// The full pattern.
    pub pattern: String,
    /// Its methods.
    pub methods: Vec<Method>,
    /// Its name.
    pub name: Option<String>,
    /// The names of the groups that it is in, in the document of its target.
    pub inside: Vec<&'a str>,
    /// What answers it.
    pub target: Target<'a>,
    /// Where it is declared, the target's place first.
    pub locations: Vec<Location>,
    /// The document that declares the target.
    pub(super) document: Option<usize>,
    /// The slots of its groups, in every document, the outermost first.
    pub(super) groups: Inherited<'a>,
    /// The slots of the declarations themselves.
    pub(super) own: Inherited<'a>,
}

impl<'a> Merged<'a> {
    /// The slots of its groups and its own, the outermost first.
    pub fn slots(&self) -> impl Iterator<Item = &'a Slots> {
        self.groups.iter().chain(&self.own).copied()
    }

    /// The same route for some of its methods.
    fn part(&self, methods: Vec<Method>) -> Self {
        Self {
            pattern: self.pattern.clone(),
            methods,
            name: self.name.clone(),
            inside: self.inside.clone(),
            target: self.target,
            locations: self.locations.clone(),
            document: self.document,
            groups: self.groups.clone(),
            own: self.own.clone(),
        }
    }
}

/// Two places that set the same thing differently.
pub fn conflict(what: &str, first: &Location, second: &Location) -> Diagnostic {
    Diagnostic::error("E050", second, format!("`{what}` is set in two places"))
        .at_key()
        .hint("keep one of them")
        .related(first, "also set here")
}

/// The defaults of all documents, slot by slot.
pub fn defaults<'a>(documents: &'a [Document], out: &mut Diagnostics) -> Inherited<'a> {
    let all: Vec<&Slots> = documents.iter().map(|document| &document.config.defaults).collect();
    for (at, second) in all.iter().enumerate() {
        for first in &all[..at] {
            conflicts(first, second, out);
        }
    }
    all
}

/// All routes of all documents; what nothing else answers `django` does. With them come the slots of
/// the declarations that hold for nothing, because of a mistake that is recorded.
pub fn routes<'a>(
    documents: &'a [Document],
    django: Option<&'a HandlerConfig>,
    out: &mut Diagnostics,
) -> (Vec<Merged<'a>>, Vec<Inherited<'a>>) {
    let mut declared = Vec::new();
    for (document, source) in documents.iter().enumerate() {
        let config = &source.config;
        for route in &config.routes {
            declare(document, "", route, &[], &[], &mut declared, out);
        }
        for group in &config.groups {
            flatten(document, "", group, &[], &[], &mut declared, out);
        }
    }
    let mut patterns: BTreeMap<&str, Vec<&Declared<'a>>> = BTreeMap::new();
    for one in &declared {
        patterns.entry(&one.pattern).or_default().push(one);
    }
    let known: Vec<&str> = declared
        .iter()
        .filter(|one| one.route.target.is_some())
        .map(|one| one.pattern.as_str())
        .collect();
    let mut idle = Vec::new();
    let mut merged: Vec<Merged<'a>> =
        patterns.values().flat_map(|same| merge(same, django, &known, &mut idle, out)).collect();
    merged.sort_by_key(|route| route.locations.first().map(|at| format!("{:?}", at.segments())));
    (merged, idle)
}

fn flatten<'a>(
    document: usize,
    prefix: &str,
    group: &'a GroupConfig,
    outer: &[&'a Slots],
    outer_names: &[Option<&'a str>],
    declared: &mut Vec<Declared<'a>>,
    out: &mut Diagnostics,
) {
    let prefix = format!("{prefix}{}", group.prefix.value);
    check_prefix(&group.prefix, out);
    let groups: Vec<&Slots> = outer.iter().copied().chain([&group.slots]).collect();
    let names: Vec<_> = outer_names.iter().copied().chain([group.name.as_deref()]).collect();
    for route in &group.routes {
        declare(document, &prefix, route, &groups, &names, declared, out);
    }
    for inner in &group.groups {
        flatten(document, &prefix, inner, &groups, &names, declared, out);
    }
}

fn declare<'a>(
    document: usize,
    prefix: &str,
    route: &'a RouteConfig,
    groups: &[&'a Slots],
    names: &[Option<&'a str>],
    declared: &mut Vec<Declared<'a>>,
    out: &mut Diagnostics,
) {
    let pattern = format!("{prefix}{}", route.path.value);
    // In a group the prefix alone is a path.
    if prefix.is_empty() || !route.path.is_empty() {
        check_path(&route.path, &pattern, out);
    }
    let (inside, group) =
        (names.iter().copied().flatten().collect(), names.last().copied().flatten());
    declared.push(Declared { document, pattern, route, groups: groups.to_vec(), inside, group });
}

fn check_prefix(prefix: &Spanned<String>, out: &mut Diagnostics) {
    let (message, hint) = if prefix.is_empty() {
        return;
    } else if !prefix.starts_with('/') || prefix.ends_with('/') {
        (
            format!("`{}` cannot be a prefix", prefix.value),
            "a prefix begins with `/` and does not end with it: `/api`".to_owned(),
        )
    } else if let Some(problem) = malformed(prefix) {
        problem
    } else {
        return;
    };
    out.push(Diagnostic::error("E053", &prefix.at, message).hint(hint));
}

/// Checks the path of a route whose full pattern is `pattern`.
fn check_path(path: &Spanned<String>, pattern: &str, out: &mut Diagnostics) {
    let mut names = parameter_names(pattern);
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair.first() == pair.last());
    let (message, hint) = if !path.starts_with('/') {
        (format!("`{}` is not a path", path.value), format!("write `/{}`", path.value))
    } else if let Some(problem) = malformed(path) {
        problem
    } else if let Some([twice, ..]) = twice {
        (
            format!("`{twice}` is captured twice in `{pattern}`"),
            "give each parameter a name of its own".to_owned(),
        )
    } else {
        if is_unreachable(path) {
            let message = format!("no request can have the path `{}`", path.value);
            let hint = "paths are matched decoded: without escapes, backslashes and dot segments";
            out.push(Diagnostic::warning("W053", &path.at, message).hint(hint));
        }
        return;
    };
    out.push(Diagnostic::error("E053", &path.at, message).hint(hint));
}

/// Whether path identity refuses every request for `path`, or decodes it to another one.
fn is_unreachable(path: &str) -> bool {
    path.contains(['%', '\\']) || path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// What keeps `text` from being part of a path, and how to mend it.
fn malformed(text: &str) -> Option<(String, String)> {
    if let Some(converter) = text.split('<').nth(1).and_then(|rest| rest.split('>').next()) {
        let name = converter.rsplit(':').next().unwrap_or(converter);
        return Some((
            format!("`<{converter}>` is Django's way to write a parameter"),
            format!("write `{{{name}}}`; the handler's annotation converts it"),
        ));
    }
    text.contains(['?', '#', ' ']).then(|| {
        (
            format!("`{text}` is more than a path"),
            "a path has no query, fragment or spaces".to_owned(),
        )
    })
}

pub(super) fn methods(one: &Declared<'_>) -> Vec<Method> {
    match &one.route.methods {
        Some(methods) => methods.iter().map(|method| method.value.0.clone()).collect(),
        None => vec![Method::GET],
    }
}

/// The routes of one pattern.
fn merge<'a>(
    same: &[&Declared<'a>],
    django: Option<&'a HandlerConfig>,
    known: &[&str],
    idle: &mut Vec<Inherited<'a>>,
    out: &mut Diagnostics,
) -> Vec<Merged<'a>> {
    let (targets, policies): (Vec<_>, Vec<_>) =
        same.iter().partition(|one| one.route.target.is_some());
    let mut merged: Vec<Merged<'a>> = Vec::new();
    for one in targets {
        let methods = methods(one);
        for other in &merged {
            if let Some(method) = methods.iter().find(|method| other.methods.contains(method)) {
                out.push(
                    Diagnostic::error(
                        "E051",
                        &one.route.at,
                        format!("{method} {} is answered twice", one.pattern),
                    )
                    .related(&other.locations[0], "the other one"),
                );
            }
        }
        let Some(target) = &one.route.target else { continue };
        merged.push(Merged {
            pattern: one.pattern.clone(),
            methods,
            name: one.route.name.clone().or_else(|| one.group_name()),
            inside: one.inside.clone(),
            target: Target::Written(target),
            locations: vec![one.route.at.clone()],
            document: Some(one.document),
            groups: one.groups.clone(),
            own: vec![&one.route.slots],
        });
    }
    merged.extend(django.and_then(|django| mounting::mounted(&policies, &merged, django)));
    // HEAD goes where GET goes, unless a policy speaks of HEAD itself.
    let names_head =
        |one: &&Declared<'_>| one.route.methods.is_some() && methods(one).contains(&Method::HEAD);
    let head_follows = !policies.iter().any(names_head);
    for policy in policies {
        if !reaches(policy, &merged, known, out) {
            idle.push(policy.slots());
        }
        let mut wanted = policy.route.methods.as_ref().map(|_| methods(policy));
        if let Some(wanted) = wanted.as_mut().filter(|wanted| wanted.contains(&Method::GET))
            && head_follows
        {
            wanted.push(Method::HEAD);
        }
        merged = merged
            .into_iter()
            .flat_map(|route| apply(policy, wanted.as_deref(), route, idle, out))
            .collect();
    }
    merged
}

/// Adds a declaration without a handler to `route`. Where it speaks of some of the methods only,
/// these become a route of their own: what is said of one method holds for no other.
fn apply<'a>(
    policy: &Declared<'a>,
    wanted: Option<&[Method]>,
    route: Merged<'a>,
    idle: &mut Vec<Inherited<'a>>,
    out: &mut Diagnostics,
) -> Vec<Merged<'a>> {
    let (concerned, others): (Vec<_>, Vec<_>) = route
        .methods
        .iter()
        .cloned()
        .partition(|method| wanted.is_none_or(|wanted| wanted.contains(method)));
    if concerned.is_empty() {
        return vec![route];
    }
    if route.document == Some(policy.document) {
        out.push(
            Diagnostic::error(
                "E051",
                &policy.route.at,
                format!("{} is declared twice", policy.pattern),
            )
            .related(&route.locations[0], "the other declaration"),
        );
        idle.push(policy.slots());
        return vec![route];
    }
    // Which document would be the inner one is anybody's guess, so none of them is. What both
    // declarations stand in is settled by its own nesting.
    let theirs = policy.slots();
    let ours: Vec<&Slots> = route.slots().collect();
    for one in ours.iter().filter(|one| !has(&theirs, one)) {
        for other in theirs.iter().filter(|other| !has(&ours, other)) {
            conflicts(one, other, out);
        }
    }
    let mut part = route.part(concerned);
    part.groups.extend(policy.groups.iter().filter(|group| !has(&ours, group)));
    part.own.push(&policy.route.slots);
    part.locations.push(policy.route.at.clone());
    if others.is_empty() { vec![part] } else { vec![part, route.part(others)] }
}

/// Whether `slots` are these very ones.
fn has(among: &[&Slots], slots: &Slots) -> bool {
    among.iter().any(|known| std::ptr::eq(*known, slots))
}

/// Whether a policy has a handler for everything that it speaks of; otherwise that is recorded
/// (`E052`).
fn reaches(
    policy: &Declared<'_>,
    merged: &[Merged<'_>],
    known: &[&str],
    out: &mut Diagnostics,
) -> bool {
    let at = &policy.route.path.at;
    if merged.is_empty() {
        let diagnostic =
            Diagnostic::error("E052", at, format!("no handler for {}", policy.pattern));
        let hint = match did_you_mean(&policy.pattern, known.iter().copied()) {
            Some(near) if near != policy.pattern => format!("did you mean `{near}`?"),
            _ => "add `handler: \"module:function\"`, declare it in Python, or name a Django project's \
                  `settings`"
                .to_owned(),
        };
        out.push(diagnostic.hint(hint));
        return false;
    }
    let handled = |method: &Method| merged.iter().any(|route| route.methods.contains(method));
    let join = |methods: &mut dyn Iterator<Item = &Method>| {
        methods.map(Method::as_str).collect::<Vec<_>>().join(", ")
    };
    let wanted = policy.route.methods.as_ref().map(|_| methods(policy)).unwrap_or_default();
    let missing = join(&mut wanted.iter().filter(|method| !handled(method)));
    if !missing.is_empty() {
        let there = join(&mut merged.iter().flat_map(|route| &route.methods));
        let message = format!("no handler for {missing} {}", policy.pattern);
        let diagnostic = Diagnostic::error("E052", at, message);
        out.push(diagnostic.related(&merged[0].locations[0], format!("handles {there}")));
    }
    missing.is_empty()
}

/// Slots that two declarations both set; limits are compared by name.
pub fn conflicts(first: &Slots, second: &Slots, out: &mut Diagnostics) {
    if let (Some(one), Some(other)) = (&first.rate_limit, &second.rate_limit)
        && let (Limits::Named(one), Limits::Named(other)) = (&one.value, &other.value)
    {
        for (name, limit) in &one.entries {
            if let Some((_, twice)) = other.entries.iter().find(|(known, _)| known == name) {
                out.push(conflict(&format!("rate_limit.{name}"), &limit.at, &twice.at));
            }
        }
    }
    let by_name = [first, second].into_iter().all(|slots| {
        matches!(slots.rate_limit.as_ref().map(|limits| &limits.value), Some(Limits::Named(_)))
    });
    let pairs = first.places().into_iter().zip(second.places());
    for ((key, one), (_, other)) in pairs {
        if let (Some(one), Some(other)) = (one, other)
            && !(by_name && key == "rate_limit")
        {
            out.push(conflict(key, one, other));
        }
    }
}
