//! `Permissions-Policy`: which features a page, and the frames in it, may use (a dictionary of
//! structured fields, RFC 9651).

use serde_json::{Value, json};

use crate::config::decode::{Decode, Named, Node, OneOrMany, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::config::schema::{self, Book};
use crate::http::HeaderValue;
use crate::middleware::host::split_port;

/// The features of the W3C's list, of CSP's and WICG's proposals that browsers have.
const FEATURES: [&str; 55] = [
    "accelerometer",
    "ambient-light-sensor",
    "aria-notify",
    "attribution-reporting",
    "autoplay",
    "bluetooth",
    "browsing-topics",
    "camera",
    "captured-surface-control",
    "clipboard-read",
    "clipboard-write",
    "compute-pressure",
    "cross-origin-isolated",
    "deferred-fetch",
    "deferred-fetch-minimal",
    "display-capture",
    "encrypted-media",
    "execution-while-not-rendered",
    "execution-while-out-of-viewport",
    "fullscreen",
    "gamepad",
    "geolocation",
    "gyroscope",
    "hid",
    "identity-credentials-get",
    "idle-detection",
    "interest-cohort",
    "join-ad-interest-group",
    "keyboard-map",
    "language-detector",
    "local-fonts",
    "magnetometer",
    "microphone",
    "midi",
    "otp-credentials",
    "payment",
    "picture-in-picture",
    "private-state-token-issuance",
    "private-state-token-redemption",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "run-ad-auction",
    "screen-wake-lock",
    "serial",
    "speaker-selection",
    "storage-access",
    "summarizer",
    "sync-xhr",
    "translator",
    "unload",
    "usb",
    "web-share",
    "window-management",
    "xr-spatial-tracking",
    "local-network-access",
];

/// Who may use a feature.
#[derive(Debug, Clone)]
pub enum Allowed {
    /// Nobody: `off`.
    Nobody,
    /// Every page and frame: `"*"`.
    Everybody,
    /// `self`, `src` and origins.
    These(Vec<Spanned<String>>),
}

impl Decode for Allowed {
    const EXPECTED: &'static str = "`off`, `\"*\"`, or a list of `self`, `src` and origins";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match node.value {
            Value::Bool(false) => Some(Self::Nobody),
            Value::String(text) if matches!(text.as_str(), "off" | "false") => Some(Self::Nobody),
            Value::String(text) if text == "*" => Some(Self::Everybody),
            Value::String(_) | Value::Array(_) => {
                OneOrMany::decode(node, out).map(|these: OneOrMany<_>| Self::These(these.0))
            }
            _ => {
                node.mismatch(Self::EXPECTED, out);
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        let text = json!({"type": "string"});
        schema::either([schema::off_or(text.clone()), schema::list(text)])
    }
}

/// The field's value; nothing where no feature is named, and every mistake is recorded (`E108`).
pub fn compile(features: &Named<Allowed>, out: &mut Diagnostics) -> Option<Option<HeaderValue>> {
    let mut fine = features.broken.is_empty();
    let mut members = Vec::with_capacity(features.entries.len());
    for (name, allowed) in &features.entries {
        if !FEATURES.contains(&name.as_str()) {
            let message = format!("`{name}` is not a feature of browsers");
            let hint = did_you_mean(name, FEATURES).map_or_else(
                || "what is newer than this list goes into `response_headers`".to_owned(),
                |known| format!("did you mean `{known}`?"),
            );
            out.push(Diagnostic::error("E108", &allowed.at, message).at_key().hint(hint));
            fine = false;
        }
        match &allowed.value {
            Allowed::Nobody => members.push(format!("{name}=()")),
            Allowed::Everybody => members.push(format!("{name}=*")),
            Allowed::These(these) => {
                // All of them are looked at, whatever is wrong with the first.
                let these: Vec<_> = these.iter().map(|one| member(one, out)).collect();
                match these.into_iter().collect::<Option<Vec<_>>>() {
                    Some(these) => members.push(format!("{name}=({})", these.join(" "))),
                    None => fine = false,
                }
            }
        }
    }
    if !fine {
        return None;
    }
    let value = HeaderValue::from_str(&members.join(", ")).ok();
    Some(value.filter(|value| !value.is_empty()))
}

/// A member of an allow-list as the field has it.
fn member(text: &Spanned<String>, out: &mut Diagnostics) -> Option<String> {
    if matches!(text.as_str(), "self" | "src") {
        return Some(text.value.clone());
    }
    if is_origin(text) {
        return Some(format!("\"{}\"", text.value));
    }
    let hint = match text.trim_matches('\'') {
        bare @ ("self" | "src") => format!("write `{bare}` without quotes"),
        "none" => "write `off`".to_owned(),
        "*" => "`\"*\"` stands alone, without a list".to_owned(),
        _ => "write `self`, `src` or an origin such as `https://maps.example.com`".to_owned(),
    };
    let message = format!("`{}` cannot be allowed a feature", text.value);
    out.push(Diagnostic::error("E108", &text.at, message).hint(hint));
    None
}

/// Whether a text is an origin, or one with a wildcard for its subdomains.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    rest.is_some_and(|rest| {
        let host = rest.strip_prefix("*.").unwrap_or(rest);
        host.bytes().all(plain) && split_port(host).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_listed_once() {
        let mut sorted = FEATURES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), FEATURES.len());
    }

    #[test]
    fn origins_have_nothing_that_ends_a_string() {
        for (text, expected) in [
            ("https://maps.example.com", true),
            ("http://localhost:8000", true),
            ("https://[::1]:8000", true),
            ("https://*.example.com", true),
            ("https://*", false),
            ("https://a.*.example.com", false),
            ("https://", false),
            ("https://a.example/", false),
            ("https://a.example\"), camera=*", false),
            ("ftp://a.example", false),
            ("a.example", false),
            ("https://a b", false),
            ("https://a:port", false),
        ] {
            assert_eq!(is_origin(text), expected, "{text}");
        }
    }
}
