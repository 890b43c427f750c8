//! Who may ask a route, how often, and what they must have: limits, auth and `allow`.

use std::sync::Arc;

use super::merge::{Inherited, Merged};
use super::resolve::{Resolver, innermost};
use super::{Access, RoutePlan, StagePlan};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::directories::Directories;
use crate::config::document::{Document, Slots};
use crate::config::slot::{AnyAuth, AuthRef, AuthSlot, Limits, Slot, Switch};
use crate::http::HeaderName;
use crate::middleware::authenticate::{AuthConfig, Authentication, Candidate};
use crate::middleware::authorize::Requirement;
use crate::middleware::rate_limit::{
    LimitChange, LimitConfig, MAX_LIMITS, RateLimitConfig, RateLimitPolicy,
};

/// Whether any document mentions auth: then a route without a decision is denied.
pub(super) fn has_auth(documents: &[Document], routes: &[Merged<'_>]) -> bool {
    let method = |slots: &&Slots| {
        slots.auth.as_ref().is_some_and(|auth| !matches!(auth.value, AuthSlot::Public))
    };
    documents.iter().any(|document| {
        document
            .config
            .define
            .as_ref()
            .and_then(|define| define.0.as_ref())
            .is_some_and(|define| !define.auth.entries.is_empty() || !define.auth.broken.is_empty())
            || method(&&document.config.defaults)
    }) || routes.iter().any(|route| route.slots().any(|slots| method(&slots)))
}

/// `auth: django` needs Django: of what is answered otherwise nobody would decide.
pub(super) fn check_django(route: &RoutePlan, slots: &Inherited<'_>, out: &mut Diagnostics) {
    let mounted = route.handler.as_ref().is_some_and(|handler| handler.is_django);
    let Some(written) = innermost(slots, |s| s.auth.as_ref()) else { return };
    if mounted || !matches!(route.access, Access::Django) {
        return;
    }
    let what = match (&route.handler, &route.answer) {
        (Some(handler), _) => format!("`{}`", handler.name),
        (None, Some(answer)) => format!("`{}`", answer.slot()),
        // What should have answered is a mistake that has been told of.
        (None, None) => return,
    };
    let message = format!("`auth: django` on a route that {what} answers: Django never sees it");
    let hint = "write `public`, `deny` or an auth method on this route";
    let own = route.locations.iter().any(|place| written.at.is_within(place));
    out.push(match route.locations.first() {
        Some(place) if !own => Diagnostic::error("E026", place, message)
            .hint(hint)
            .related(&written.at, "it is inherited from here"),
        _ => Diagnostic::error("E026", &written.at, message).hint(hint),
    });
}

/// The headers that any auth method reads: no log writes their values.
pub(super) fn credentials(documents: &[Document], routes: &[Merged<'_>]) -> Vec<HeaderName> {
    let defined = documents
        .iter()
        .filter_map(|document| document.config.define.as_ref()?.0.as_ref())
        .flat_map(|define| define.auth.entries.iter().map(|(_, method)| &method.value));
    let inline = documents
        .iter()
        .map(|document| &document.config.defaults)
        .chain(routes.iter().flat_map(Merged::slots))
        .filter_map(|slots| slots.auth.as_ref())
        .flat_map(|auth| match &auth.value {
            AuthSlot::Inline(method) => vec![&**method],
            AuthSlot::Any(several) => several.any.iter().filter_map(|one| one.inline()).collect(),
            AuthSlot::Public | AuthSlot::Deny | AuthSlot::Django | AuthSlot::Name(_) => Vec::new(),
        });
    let mut headers: Vec<HeaderName> =
        defined.chain(inline).filter_map(AuthConfig::header).collect();
    headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    headers.dedup();
    headers
}

/// A limit's name and what is said of it.
type Limit<'a> = (&'a str, &'a Spanned<Slot<LimitConfig>>);

/// The limits that hold where `slots` are inherited: a child adds, replaces and switches off by
/// name.
pub(super) fn limits<'a>(slots: &Inherited<'a>) -> Vec<Limit<'a>> {
    let mut named: Vec<Limit<'a>> = Vec::new();
    for limits in slots.iter().filter_map(|slots| slots.rate_limit.as_ref()) {
        match &limits.value {
            Limits::Off => named.clear(),
            Limits::Named(limits) => {
                for (name, value) in &limits.entries {
                    named.retain(|(known, _)| known != name);
                    named.push((name, value));
                }
            }
        }
    }
    named
}

/// A limit as an entry of the slot means it: its name, what defines it and where, and what the
/// entry itself changes.
struct Found<'a> {
    called: &'a str,
    definition: &'a RateLimitConfig,
    own: Option<&'a LimitChange>,
    at: &'a Location,
}

impl<'a> Resolver<'a> {
    pub(super) fn limits(
        &mut self,
        slots: &Inherited<'a>,
        stages: &mut Vec<StagePlan>,
        out: &mut Diagnostics,
    ) -> (Vec<Arc<RateLimitPolicy>>, Vec<Arc<RateLimitPolicy>>) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut seen: Vec<(&Location, &Location)> = Vec::new();
        for (name, value) in limits(slots) {
            let Some(Found { called, definition, own, at }) = self.find_limit(name, value, out)
            else {
                continue;
            };
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == at) {
                out.push(
                    Diagnostic::error(
                        "E095",
                        &value.at,
                        format!(
                            "`{called}` limits this route already: a request would count twice"
                        ),
                    )
                    .hint("keep one of them")
                    .related(first, "the same limit"),
                );
                continue;
            }
            seen.push((at, &value.at));
            let Some(policy) =
                self.limit(called, definition, own.map(|own| (own, &value.at)), at, out)
            else {
                continue;
            };
            let late = policy.needs_identity();
            let origin =
                if at == &value.at { vec![at.clone()] } else { vec![value.at.clone(), at.clone()] };
            stages.push(StagePlan {
                order: if late { 12 } else { 9 },
                slot: "rate_limit",
                origin,
                name: Some(name.to_owned()),
                summary: policy.summary(),
            });
            if late { after.push(policy) } else { before.push(policy) }
        }
        if before.len().max(after.len()) > MAX_LIMITS {
            let at = innermost(slots, |s| s.rate_limit.as_ref())
                .map_or_else(Location::default, |limits| limits.at.clone());
            let hint = format!("at most {MAX_LIMITS} count in one place");
            out.push(Diagnostic::error("E192", &at, "too many limits on a route").hint(hint));
        }
        (before, after)
    }

    /// What an entry of the slot means: a definition counts under its own name, whatever a route
    /// calls it.
    fn find_limit(
        &mut self,
        name: &'a str,
        value: &'a Spanned<Slot<LimitConfig>>,
        out: &mut Diagnostics,
    ) -> Option<Found<'a>> {
        let mut defined = |called: &'a str, own| {
            let definition = self.rate_limit.named(called, &value.at, out)?;
            Some(Found { called, definition: &definition.value, own, at: &definition.at })
        };
        match &value.value {
            Slot::Off => None,
            Slot::Inline(LimitConfig::Changed(change)) => defined(name, Some(change)),
            Slot::Inline(LimitConfig::Own(config)) => {
                Some(Found { called: name, definition: config, own: None, at: &value.at })
            }
            Slot::On => defined(name, None),
            Slot::Name(other) => defined(other, None),
        }
    }

    /// The compiled limit; `own` is what the route itself changes of it.
    fn limit(
        &mut self,
        called: &str,
        definition: &RateLimitConfig,
        own: Option<(&LimitChange, &Location)>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Arc<RateLimitPolicy>> {
        let stores = &mut self.stores;
        if let Some((own, place)) = own {
            return self.rate_limit.policy(place, || {
                let policy = own.over(definition).compile(called, place, out)?;
                Some(policy.told_apart("defined").counted_with(stores))
            });
        }
        let is_defined = self.rate_limit.defines(called, at);
        let alike = &mut self.alike;
        self.rate_limit.policy(at, || {
            let policy = definition.compile(called, at, out)?.counted_with(stores);
            if is_defined {
                return Some(policy.told_apart("defined"));
            }
            let number = alike.entry(policy.identity().to_owned()).or_default();
            *number += 1;
            Some(policy.told_apart(&number.to_string()))
        })
    }

    pub(super) fn access(
        &mut self,
        slots: &Inherited<'a>,
        stages: &mut Vec<StagePlan>,
        out: &mut Diagnostics,
    ) -> (Access, Option<Arc<Requirement>>) {
        let written = innermost(slots, |s| s.auth.as_ref());
        let mut stage = |origin: Vec<Location>, name: Option<String>, summary: String| {
            stages.push(StagePlan { order: 10, slot: "auth", origin, name, summary });
        };
        let access = match written.map(|auth| (&auth.value, &auth.at)) {
            None if self.has_auth => {
                stage(
                    Vec::new(),
                    None,
                    "denied: auth is declared, and nothing is said here".into(),
                );
                Access::Deny
            }
            None => {
                stage(Vec::new(), None, "public: no auth is declared anywhere".into());
                Access::Public
            }
            Some((AuthSlot::Public, at)) => {
                stage(vec![at.clone()], None, "public".into());
                Access::Public
            }
            Some((AuthSlot::Deny, at)) => {
                stage(vec![at.clone()], None, "denied".into());
                Access::Deny
            }
            Some((AuthSlot::Django, at)) => {
                stage(vec![at.clone()], None, "django: its own session decides".into());
                Access::Django
            }
            Some((slot, at)) => self.methods(slot, at, stages, out),
        };
        let requirement = self.requirement(slots, &access, stages, out);
        (access, requirement)
    }

    /// Whom the methods of a slot know.
    fn methods(
        &mut self,
        slot: &'a AuthSlot,
        at: &'a Location,
        stages: &mut Vec<StagePlan>,
        out: &mut Diagnostics,
    ) -> Access {
        let mut origin = vec![at.clone()];
        let mut name = None;
        let known = match slot {
            AuthSlot::Name(named) => {
                name = Some(named.clone());
                let definition = self.auth.named(named, at, out);
                origin.extend(definition.map(|config| config.at.clone()));
                definition.and_then(|config| self.one(at, &config.value, &config.at, out))
            }
            AuthSlot::Inline(config) => self.one(at, config, at, out),
            AuthSlot::Any(several) => self.several(several, at, &mut origin, out),
            AuthSlot::Public | AuthSlot::Deny | AuthSlot::Django => None,
        };
        let summary = known.as_ref().map(|methods| methods.summary()).unwrap_or_default();
        stages.push(StagePlan { order: 10, slot: "auth", origin, name, summary });
        known.map_or(Access::Deny, Access::Authenticate)
    }

    /// The one method of the slot at `at`, which is written at `written`.
    fn one(
        &mut self,
        at: &Location,
        config: &AuthConfig,
        written: &Location,
        out: &mut Diagnostics,
    ) -> Option<Arc<Authentication>> {
        let (inherited, directories) = (self.before, Directories(self.documents));
        let compile =
            || config.compile(directories, written, out).map(|method| inherited.method(method));
        let method = self.auth.policy(written, compile)?;
        self.authentications.policy(at, || Some(Authentication::one(method, config.optional())))
    }

    /// The methods of an `any`.
    fn several(
        &mut self,
        several: &'a AnyAuth,
        at: &Location,
        origin: &mut Vec<Location>,
        out: &mut Diagnostics,
    ) -> Option<Arc<Authentication>> {
        if several.any.is_empty() {
            out.push(
                Diagnostic::error("E085", &several.any.at, "no methods")
                    .hint("name one, or write `public` or `deny`"),
            );
            return None;
        }
        let mut optional = several.optional.unwrap_or(true);
        let mut candidates = Vec::new();
        for one in several.any.iter() {
            let (label, config, written) = match &one.value {
                AuthRef::Inline(config) => {
                    (format!("any[{}]", candidates.len()), &**config, &one.at)
                }
                AuthRef::Name(name) => match self.auth.named(name, &one.at, out) {
                    None => continue,
                    Some(definition) => {
                        origin.push(definition.at.clone());
                        (name.clone(), &definition.value, &definition.at)
                    }
                },
            };
            optional &= several.optional == Some(true) || config.optional();
            let (inherited, directories) = (self.before, Directories(self.documents));
            let compile =
                || config.compile(directories, written, out).map(|method| inherited.method(method));
            if let Some(method) = self.auth.policy(written, compile) {
                candidates.push(Candidate { at: one.at.clone(), label, method });
            }
        }
        if candidates.len() < several.any.len() {
            return None;
        }
        self.authentications.policy(at, || Authentication::any(&candidates, optional, out))
    }

    /// What the one who asks must have.
    fn requirement(
        &mut self,
        slots: &Inherited<'a>,
        access: &Access,
        stages: &mut Vec<StagePlan>,
        out: &mut Diagnostics,
    ) -> Option<Arc<Requirement>> {
        let Switch::Value(text) = &innermost(slots, |s| s.allow.as_ref())?.value else {
            return None;
        };
        match access {
            Access::Public => out.push(
                Diagnostic::error(
                    "E024",
                    &text.at,
                    "`allow` on a public route: there is nobody to ask it of",
                )
                .hint("name an auth method, or remove `allow`"),
            ),
            Access::Authenticate(methods) if methods.is_optional() => out.push(
                Diagnostic::warning(
                    "W025",
                    &text.at,
                    "`allow` on a route whose auth is optional: nobody's requests are refused all the same",
                )
                .hint("remove `optional`, or `allow: off`"),
            ),
            Access::Django => out.push(
                Diagnostic::error(
                    "E024",
                    &text.at,
                    "`allow` where Django decides: nobody is known before it",
                )
                .hint("name an auth method, or remove `allow` and ask in the view"),
            ),
            Access::Authenticate(_) | Access::Deny => {}
        }
        let parsed =
            self.requirements.policy(&text.at, || Requirement::parse(text, &text.at, out))?;
        stages.push(StagePlan {
            order: 11,
            slot: "allow",
            origin: vec![text.at.clone()],
            name: None,
            summary: parsed.to_string(),
        });
        Some(parsed)
    }
}
