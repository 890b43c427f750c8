//! What may be written, and what it is compiled to.

use super::origin::{Origin, OriginConfig};
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::units::Span;
use crate::http::{HeaderName, HeaderValue, Method};

config! {
    /// A CORS policy.
    pub struct CorsConfig {
        /// The origins that may read answers, or `"*"`.
        origins: Spanned<Vec<Spanned<OriginConfig>>> = required like ["https://app.example.com"],
        /// Whether cookies and HTTP authentication may go along.
        credentials: bool = default(false),
        /// The methods that a page may use; GET, HEAD and POST always may.
        allow_methods: Spanned<Vec<Spanned<String>>> = optional(["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]),
        /// The request header fields that a page may set.
        allow_headers: Spanned<Vec<Spanned<String>>> = optional([] as [&str; 0]) like ["authorization", "content-type"],
        /// The response header fields that a page may read.
        expose_headers: Spanned<Vec<Spanned<String>>> = optional([] as [&str; 0]) like ["x-request-id"],
        /// How long a browser may remember a preflight: whole seconds, at most 24 h; `0s` = not at
        /// all.
        max_age: Spanned<Span> = optional like "10m",
    }
}

/// The longest time that browsers remember a preflight for.
const MAX_AGE: u64 = 24 * 60 * 60;

const DEFAULT_METHODS: &str = "DELETE, GET, HEAD, PATCH, POST, PUT";

/// Header fields that no page may set: the Fetch standard's forbidden request headers, which begin
/// with `proxy-` and `sec-` too.
const FORBIDDEN_IN_REQUESTS: [&str; 22] = [
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Header fields that no page may read: the Fetch standard's forbidden response headers.
const FORBIDDEN_IN_ANSWERS: [&str; 2] = ["set-cookie", "set-cookie2"];

/// A compiled CORS policy; every value is built.
#[derive(Debug)]
pub struct CorsPolicy {
    /// The allowed origins; `None` = any.
    pub(super) origins: Option<Vec<Origin>>,
    pub(super) credentials: bool,
    pub(super) allow_methods: HeaderValue,
    pub(super) allow_headers: Option<HeaderValue>,
    pub(super) expose_headers: Option<HeaderValue>,
    pub(super) max_age: Option<HeaderValue>,
}

impl CorsConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<CorsPolicy> {
        let origins = self.origins(out);
        let allow_methods = self.methods(out);
        let allow_headers = self.header_names(self.allow_headers.as_ref(), true, out);
        let expose_headers = self.header_names(self.expose_headers.as_ref(), false, out);
        let max_age = match &self.max_age {
            None => Some(None),
            Some(age) => match age.whole_seconds() {
                Some(seconds) if seconds <= MAX_AGE => Some(Some(HeaderValue::from(seconds))),
                seconds => {
                    let (message, hint) = if seconds.is_some() {
                        ("no browser remembers a preflight for so long", "write at most `24h`")
                    } else {
                        ("browsers count whole seconds", "write for example `10m`")
                    };
                    out.push(Diagnostic::error("E068", &age.at, message).hint(hint));
                    None
                }
            },
        };
        Some(CorsPolicy {
            origins: origins?,
            credentials: self.credentials,
            allow_methods: allow_methods?,
            allow_headers: allow_headers?,
            expose_headers: expose_headers?,
            max_age: max_age?,
        })
    }

    fn origins(&self, out: &mut Diagnostics) -> Option<Option<Vec<Origin>>> {
        let written = &self.origins;
        if written.is_empty() {
            out.push(
                Diagnostic::error("E060", &written.at, "no origins")
                    .hint("name the origins, or switch the slot `off`"),
            );
            return None;
        }
        let any = written.iter().find(|origin| origin.value == OriginConfig::Any);
        if let Some(any) = any {
            if self.credentials {
                out.push(
                    Diagnostic::error(
                        "E069",
                        &any.at,
                        "`*` with credentials lets every site act as your users",
                    )
                    .hint("name the origins"),
                );
                return None;
            }
            if written.len() == 1 {
                return Some(None);
            }
            out.push(
                Diagnostic::error("E060", &any.at, "`*` stands for every origin already")
                    .hint("keep the `*`, or the origins"),
            );
        }
        let mut compiled = Vec::with_capacity(written.len());
        for origin in written.iter().filter(|origin| origin.value != OriginConfig::Any) {
            let origin = Origin::compile(origin, self.credentials, &origin.at, out)
                .map(|compiled| (compiled, &origin.at));
            if let Some((origin, at)) = &origin
                && compiled.contains(&Some(origin.clone()))
            {
                out.push(Diagnostic::warning("W060", at, "this origin is named twice"));
            }
            compiled.push(origin.map(|(origin, _)| origin));
        }
        compiled.into_iter().collect::<Option<Vec<_>>>().filter(|_| any.is_none()).map(Some)
    }

    fn methods(&self, out: &mut Diagnostics) -> Option<HeaderValue> {
        let Some(methods) = &self.allow_methods else {
            return Some(HeaderValue::from_static(DEFAULT_METHODS));
        };
        let mut fine = true;
        for method in &methods.value {
            let upper = method.to_ascii_uppercase();
            let forbidden = matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK");
            if forbidden || upper != method.value || Method::from_bytes(method.as_bytes()).is_err()
            {
                fine = false;
                let hint = if forbidden {
                    "pages may not use it".to_owned()
                } else {
                    format!("write `{upper}`")
                };
                out.push(
                    Diagnostic::error(
                        "E068",
                        &method.at,
                        format!("`{}` cannot be allowed", method.value),
                    )
                    .hint(hint),
                );
            }
        }
        fine.then(|| HeaderValue::from_str(&join(methods)).ok()).flatten()
    }

    fn header_names(
        &self,
        names: Option<&Spanned<Vec<Spanned<String>>>>,
        request: bool,
        out: &mut Diagnostics,
    ) -> Option<Option<HeaderValue>> {
        let Some(names) = names.filter(|names| !names.is_empty()) else { return Some(None) };
        let mut fine = true;
        for name in &names.value {
            let lower = name.to_ascii_lowercase();
            let problem = if lower == "*" {
                self.credentials
                    .then_some("`*` is not a wildcard with credentials: name the fields")
            } else if HeaderName::from_bytes(lower.as_bytes()).is_err() {
                Some("this is not a header name")
            } else if request
                && (FORBIDDEN_IN_REQUESTS.contains(&lower.as_str())
                    || lower.starts_with("sec-")
                    || lower.starts_with("proxy-"))
            {
                Some("browsers let no page set this field")
            } else if !request && FORBIDDEN_IN_ANSWERS.contains(&lower.as_str()) {
                Some("browsers let no page read this field")
            } else {
                None
            };
            if let Some(problem) = problem {
                fine = false;
                out.error("E068", &name.at, problem);
            }
        }
        fine.then(|| HeaderValue::from_str(&join(names)).ok())
    }
}

fn join(names: &Spanned<Vec<Spanned<String>>>) -> String {
    names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(", ")
}

impl CorsPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let origins = match &self.origins {
            None => "any origin".to_owned(),
            Some(origins) => origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        format!("{origins}{}", if self.credentials { " with credentials" } else { "" })
    }

    /// The value of `Access-Control-Allow-Origin` for a request from `origin`, if from any. Where
    /// every origin is allowed it is on every answer, so that none of them varies.
    pub(super) fn allow_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let Some(origins) = &self.origins else { return Some(HeaderValue::from_static("*")) };
        origin.filter(|origin| origins.iter().any(|o| o.matches(origin.as_bytes()))).cloned()
    }

    /// Whether answers differ by origin.
    pub(super) fn varies(&self) -> bool {
        self.origins.is_some()
    }
}
