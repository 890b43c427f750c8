//! Header fields as a configuration names, sets and removes them, checked once for every block
//! that does.

use super::decode::{Named, Spanned};
use super::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::http::{HeaderName, HeaderValue};

/// Fields that frame a message or belong to the connection: the server's business alone.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a field cannot be touched, and what to do instead; the name is in lower case.
pub type Refusal = fn(&str) -> Option<&'static str>;

/// A field's name (`E101`), where it may be touched (`E121`).
pub fn name(
    text: &str,
    at: &Location,
    refusal: Refusal,
    out: &mut Diagnostics,
) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        out.error("E101", at, format!("`{text}` is not a header name"));
        return None;
    };
    let framing = FRAMING.contains(&name.as_str()).then_some("framing is the server's business");
    if let Some(hint) = framing.or_else(|| refusal(name.as_str())) {
        let message = format!("`{text}` cannot be set or removed here");
        out.push(Diagnostic::error("E121", at, message).hint(hint));
        return None;
    }
    Some(name)
}

/// A field's value: visible ASCII and spaces (`E103`).
pub fn value(value: &Spanned<String>, out: &mut Diagnostics) -> Option<HeaderValue> {
    let found = HeaderValue::from_str(value).ok();
    if found.is_none() {
        out.error("E103", &value.at, "this is not a header value");
    }
    found
}

/// Fields with their values; every mistake is recorded, and a name that comes twice is one.
pub fn set(
    fields: &Named<String>,
    refusal: Refusal,
    out: &mut Diagnostics,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut set: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(fields.entries.len());
    let mut fine = true;
    for (text, written) in &fields.entries {
        let found = name(text, &written.at, refusal, out).zip(value(written, out));
        match found {
            Some((name, _)) if set.iter().any(|(known, _)| *known == name) => {
                fine = false;
                out.error("E121", &written.at, format!("`{name}` is set twice"));
            }
            Some(field) => set.push(field),
            None => fine = false,
        }
    }
    fine.then_some(set)
}

/// The names of fields to remove; every mistake is recorded.
pub fn names(
    names: &[Spanned<String>],
    refusal: Refusal,
    out: &mut Diagnostics,
) -> Option<Vec<HeaderName>> {
    // All of them are looked at, whatever is wrong with the first.
    let found: Vec<_> = names.iter().map(|text| name(text, &text.at, refusal, out)).collect();
    found.into_iter().collect()
}
