//! (method, path) → the route, or why there is none.
//!
//! matchit holds one entry for each distinct pattern with the methods that have routes there.
//! `HEAD` follows `GET`. `/{*rest}` also matches `/` of its prefix, with an empty `rest`, for every
//! method that has no route of its own there.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::http::{HeaderValue, Method};
use crate::request::RouteId;

/// Captured parameters: (name, value) in path order.
pub type Params = Vec<(Arc<str>, Box<str>)>;

/// A route and what its pattern captured.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteMatch {
    /// The route.
    pub route: RouteId,
    /// The captured parameters.
    pub params: Params,
}

/// Why no route runs.
#[derive(Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No pattern matches the path.
    NotFound,
    /// The path has routes, but none for the method.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: HeaderValue,
        /// Some route of that path, whose chain dresses the refusal.
        route: RouteId,
    },
    /// `OPTIONS` without a handler of its own.
    Options {
        /// The value of `Allow`.
        allow: HeaderValue,
        /// Some route of that path, whose chain dresses the answer.
        route: RouteId,
    },
}

/// Two patterns that cannot stand side by side, or one that cannot stand at all.
#[derive(Debug, PartialEq, Eq)]
pub struct RouterConflict {
    /// The route whose pattern was refused.
    pub route: RouteId,
    /// The pattern that is there already, where there is one.
    pub with: Option<String>,
    /// What the matter is.
    pub message: String,
}

/// The routing table. Immutable.
pub struct Router {
    table: matchit::Router<Entry>,
}

/// The routes of one pattern.
struct Entry {
    targets: Vec<Target>,
    allow: HeaderValue,
}

/// A route under one of its methods, with the names of its own pattern's parameters.
#[derive(Clone)]
struct Target {
    method: Method,
    route: RouteId,
    names: Arc<[Arc<str>]>,
}

impl Router {
    /// Builds the table from (route, pattern, methods).
    ///
    /// # Errors
    /// Every pattern that is malformed or conflicts with another.
    pub fn build(routes: &[(RouteId, &str, &[Method])]) -> Result<Self, Vec<RouterConflict>> {
        let mut patterns: BTreeMap<&str, Vec<Target>> = BTreeMap::new();
        for (route, pattern, methods) in routes {
            let names: Arc<[Arc<str>]> =
                parameter_names(pattern).into_iter().map(Arc::from).collect();
            let target = |method: &Method| Target {
                method: method.clone(),
                route: *route,
                names: Arc::clone(&names),
            };
            patterns.entry(pattern).or_default().extend(methods.iter().map(target));
        }
        let catch_alls: Vec<_> = patterns
            .iter()
            .filter_map(|(pattern, targets)| Some((catch_all_prefix(pattern)?, targets.clone())))
            .collect();
        for (prefix, targets) in catch_alls {
            let there = patterns.entry(prefix).or_default();
            // What the prefix itself handles stays its own; HEAD goes where GET goes.
            let own: Vec<Method> = there.iter().map(|target| target.method.clone()).collect();
            let taken = |method: &Method| {
                own.contains(method) || (*method == Method::HEAD && own.contains(&Method::GET))
            };
            there.extend(targets.into_iter().filter(|target| !taken(&target.method)));
        }
        let mut table = matchit::Router::new();
        let mut conflicts = Vec::new();
        for (pattern, targets) in patterns {
            let Some(route) = targets.first().map(|target| target.route) else { continue };
            if let Err(error) = table.insert(pattern, Entry::new(targets)) {
                let (with, message) = match error {
                    matchit::InsertError::Conflict { with } => {
                        let message = format!("the same paths as `{with}`");
                        (Some(with), message)
                    }
                    other => (None, other.to_string()),
                };
                conflicts.push(RouterConflict { route, with, message });
            }
        }
        if conflicts.is_empty() { Ok(Self { table }) } else { Err(conflicts) }
    }

    /// Finds the route of `method` and `path` (decoded).
    pub fn find(&self, method: &Method, path: &str) -> Result<RouteMatch, RouteError> {
        let Ok(found) = self.table.at(path) else { return Err(RouteError::NotFound) };
        let entry = found.value;
        if let Some(target) = entry.target(method) {
            return Ok(RouteMatch { route: target.route, params: target.params(&found.params) });
        }
        let route = entry.targets[0].route;
        let allow = entry.allow.clone();
        if *method == Method::OPTIONS {
            return Err(RouteError::Options { allow, route });
        }
        Err(RouteError::MethodNotAllowed { allow, route })
    }
}

impl Entry {
    fn new(targets: Vec<Target>) -> Self {
        let mut allowed: Vec<&str> = targets.iter().map(|target| target.method.as_str()).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.push("OPTIONS");
        allowed.sort_unstable();
        allowed.dedup();
        let allow = HeaderValue::from_str(&allowed.join(", ")).expect("methods are tokens");
        Self { targets, allow }
    }

    fn target(&self, method: &Method) -> Option<&Target> {
        let of = |wanted: &Method| self.targets.iter().find(|target| target.method == *wanted);
        of(method).or_else(|| if *method == Method::HEAD { of(&Method::GET) } else { None })
    }
}

impl Target {
    fn params(&self, captured: &matchit::Params<'_, '_>) -> Params {
        if self.names.is_empty() {
            return Vec::new();
        }
        let values = captured.iter().map(|(_, value)| value).chain(std::iter::repeat(""));
        self.names.iter().cloned().zip(values.map(Box::from)).collect()
    }
}

/// The names of a pattern's parameters, in order.
pub fn parameter_names(pattern: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(escaped) = rest.strip_prefix('{') {
            rest = escaped;
            continue;
        }
        let Some(close) = rest.find('}') else { break };
        names.push(rest[..close].trim_start_matches('*'));
        rest = &rest[close + 1..];
    }
    names
}

/// `/api/` of `/api/{*rest}`.
fn catch_all_prefix(pattern: &str) -> Option<&str> {
    let open = pattern.rfind("{*")?;
    let prefix = &pattern[..open];
    // After another brace it is an escaped one.
    (open > 0 && pattern.ends_with('}') && !prefix.ends_with('{')).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &[Method])]) -> Router {
        let routes: Vec<_> = routes
            .iter()
            .enumerate()
            .map(|(id, (pattern, methods))| {
                (RouteId(u32::try_from(id).unwrap()), *pattern, *methods)
            })
            .collect();
        Router::build(&routes).unwrap()
    }

    #[test]
    fn head_follows_get_and_405_carries_allow() {
        let router = router(&[("/a", &[Method::GET]), ("/a", &[Method::POST])]);
        assert_eq!(router.find(&Method::HEAD, "/a").unwrap().route, RouteId(0));
        assert_eq!(router.find(&Method::POST, "/a").unwrap().route, RouteId(1));
        let error = router.find(&Method::DELETE, "/a").unwrap_err();
        let allow = HeaderValue::from_static("GET, HEAD, OPTIONS, POST");
        assert_eq!(error, RouteError::MethodNotAllowed { allow, route: RouteId(0) });
        assert_eq!(router.find(&Method::GET, "/b"), Err(RouteError::NotFound));
    }

    #[test]
    fn a_catch_all_matches_the_slash_of_its_prefix() {
        let router = router(&[("/api/{*rest}", &[Method::GET]), ("/api/x", &[Method::GET])]);
        let found = router.find(&Method::GET, "/api/").unwrap();
        assert_eq!(found.params, [(Arc::from("rest"), Box::from(""))]);
        assert_eq!(router.find(&Method::GET, "/api/x").unwrap().route, RouteId(1));
        assert_eq!(&*router.find(&Method::GET, "/api/a/b").unwrap().params[0].1, "a/b");
        assert_eq!(router.find(&Method::GET, "/api"), Err(RouteError::NotFound));
    }

    #[test]
    fn a_catch_all_shares_the_slash_of_its_prefix_by_method() {
        let router = router(&[
            ("/{a}/{*rest}", &[Method::GET, Method::PUT]),
            ("/{a}/", &[Method::POST, Method::PUT]),
            ("/b/{*rest}", &[Method::HEAD]),
            ("/b/", &[Method::GET]),
        ]);
        let found = router.find(&Method::GET, "/x/").unwrap();
        let captured = [("a", "x"), ("rest", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(found, RouteMatch { route: RouteId(0), params: captured.into() });
        for (method, path, route, params) in [
            (Method::POST, "/x/", 1, 1),
            (Method::PUT, "/x/", 1, 1),
            (Method::PUT, "/x/y", 0, 2),
            (Method::HEAD, "/b/", 3, 0),
            (Method::HEAD, "/b/c", 2, 1),
        ] {
            let found = router.find(&method, path).unwrap();
            assert_eq!((found.route, found.params.len()), (RouteId(route), params), "{path}");
        }
    }
}
