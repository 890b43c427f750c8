//! `Content-Security-Policy` (W3C, level 3): checked, written in one form, and built in advance but
//! for the nonce.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::http::HeaderValue;

/// What stands where a nonce goes.
const PLACEHOLDER: &str = "'nonce'";

/// What a directive takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Sources; a nonce or a hash can be one of them.
    Code,
    /// Sources.
    Sources,
    /// Words, URLs or names that only browsers judge.
    Words,
    /// Nothing.
    Nothing,
}

const DIRECTIVES: [(&str, Takes); 27] = [
    ("default-src", Takes::Code),
    ("script-src", Takes::Code),
    ("script-src-elem", Takes::Code),
    ("style-src", Takes::Code),
    ("style-src-elem", Takes::Code),
    ("script-src-attr", Takes::Sources),
    ("style-src-attr", Takes::Sources),
    ("base-uri", Takes::Sources),
    ("child-src", Takes::Sources),
    ("connect-src", Takes::Sources),
    ("fenced-frame-src", Takes::Sources),
    ("font-src", Takes::Sources),
    ("form-action", Takes::Sources),
    ("frame-ancestors", Takes::Sources),
    ("frame-src", Takes::Sources),
    ("img-src", Takes::Sources),
    ("manifest-src", Takes::Sources),
    ("media-src", Takes::Sources),
    ("object-src", Takes::Sources),
    ("worker-src", Takes::Sources),
    ("report-to", Takes::Words),
    ("report-uri", Takes::Words),
    ("require-trusted-types-for", Takes::Words),
    ("sandbox", Takes::Words),
    ("trusted-types", Takes::Words),
    ("block-all-mixed-content", Takes::Nothing),
    ("upgrade-insecure-requests", Takes::Nothing),
];

/// Sources that are keywords, as they are written between quotes.
const KEYWORDS: [&str; 11] = [
    "none",
    "self",
    "nonce",
    "unsafe-inline",
    "unsafe-eval",
    "unsafe-hashes",
    "strict-dynamic",
    "wasm-unsafe-eval",
    "inline-speculation-rules",
    "report-sample",
    "unsafe-allow-redirects",
];

/// A compiled policy.
#[derive(Debug)]
pub struct Csp {
    /// For an answer without a nonce.
    plain: HeaderValue,
    /// The text around the nonces; one piece where there are none.
    around: Box<[Box<str>]>,
}

impl Csp {
    /// Checks and compiles (`E107`).
    pub fn compile(text: &Spanned<String>, out: &mut Diagnostics) -> Option<Self> {
        if HeaderValue::from_str(text).is_err() || !text.is_ascii() || text.contains('\t') {
            out.error("E103", &text.at, "this is not a header value");
            return None;
        }
        let mut directives: Vec<(String, Vec<&str>)> = Vec::new();
        let mut wrong = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let mut words = part.split_ascii_whitespace();
            let name = words.next().unwrap_or_default().to_ascii_lowercase();
            let values: Vec<&str> = words.collect();
            if directives.iter().any(|(known, _)| *known == name) {
                let message = format!("`{name}` is there twice; browsers read the first");
                wrong.push((message, "write one of them".to_owned()));
            }
            check(&name, &values, &mut wrong);
            directives.push((name, values));
        }
        if directives.is_empty() {
            wrong.push(("a policy without directives".into(), "write it, or `off`".into()));
        }
        if !wrong.is_empty() {
            for (message, hint) in wrong {
                out.push(Diagnostic::error("E107", &text.at, message).hint(hint));
            }
            return None;
        }
        let with = written(&directives, with_placeholder);
        let without = written(&directives, without_nonce);
        Some(Self {
            plain: HeaderValue::from_str(&without).ok()?,
            around: with.split(PLACEHOLDER).map(Into::into).collect(),
        })
    }

    /// Whether the policy has a place for a nonce.
    pub fn takes_nonce(&self) -> bool {
        self.around.len() > 1
    }

    /// The field's value for an answer with `nonce`.
    pub fn value(&self, nonce: Option<&str>) -> HeaderValue {
        let Some(nonce) = nonce.filter(|_| self.takes_nonce()) else { return self.plain.clone() };
        let room = self.around.iter().map(|piece| piece.len() + nonce.len() + 8).sum();
        let mut text = String::with_capacity(room);
        for (number, piece) in self.around.iter().enumerate() {
            if number > 0 {
                text.push_str("'nonce-");
                text.push_str(nonce);
                text.push('\'');
            }
            text.push_str(piece);
        }
        HeaderValue::try_from(text).expect("the policy and the nonce are visible ASCII")
    }
}

/// The directives in one line.
fn written<'a>(
    directives: &[(String, Vec<&'a str>)],
    values: impl Fn(&[&'a str]) -> Vec<&'a str>,
) -> String {
    let directive = |(name, given): &(String, Vec<&'a str>)| {
        let mut words = vec![name.as_str()];
        words.extend(values(given));
        words.join(" ")
    };
    directives.iter().map(directive).collect::<Vec<_>>().join("; ")
}

/// The sources of a directive for an answer that has a nonce.
fn with_placeholder<'a>(values: &[&'a str]) -> Vec<&'a str> {
    let is_place = |value: &str| value.eq_ignore_ascii_case(PLACEHOLDER);
    let place = |value: &&'a str| if is_place(value) { PLACEHOLDER } else { *value };
    values.iter().map(place).collect()
}

/// The sources of a directive for an answer that has no nonce. The nonce also switched
/// `'unsafe-inline'` off (CSP 3, 6.7.3.2), which must not come back with its absence.
fn without_nonce<'a>(values: &[&'a str]) -> Vec<&'a str> {
    let is = |value: &str, keyword: &str| value.eq_ignore_ascii_case(keyword);
    if !values.iter().any(|value| is(value, PLACEHOLDER)) {
        return values.to_vec();
    }
    let stays = |value: &&&str| !is(value, PLACEHOLDER) && !is(value, "'unsafe-inline'");
    let left: Vec<&str> = values.iter().filter(stays).copied().collect();
    if left.is_empty() { vec!["'none'"] } else { left }
}

type Wrong = Vec<(String, String)>;

/// Records what is wrong with a directive.
fn check(name: &str, values: &[&str], wrong: &mut Wrong) {
    let Some((_, takes)) = DIRECTIVES.iter().find(|(known, _)| *known == name) else {
        let names = DIRECTIVES.iter().map(|(name, _)| *name);
        let hint = did_you_mean(name, names).map_or_else(
            || "directives are separated by semicolons".to_owned(),
            |known| format!("did you mean `{known}`?"),
        );
        wrong.push((format!("`{name}` is not a directive"), hint));
        return;
    };
    if values.iter().any(|value| value.contains(',')) {
        let message = format!("a comma in `{name}` would begin another policy");
        wrong.push((message, "sources are separated by spaces".to_owned()));
        return;
    }
    match takes {
        Takes::Nothing if !values.is_empty() => {
            wrong.push((format!("`{name}` takes no value"), "write its name alone".to_owned()));
        }
        Takes::Words if values.is_empty() && name != "sandbox" && name != "trusted-types" => {
            wrong.push((format!("`{name}` has no value"), "write one, or leave it out".to_owned()));
        }
        Takes::Nothing | Takes::Words => {}
        Takes::Code | Takes::Sources => {
            if values.is_empty() {
                let hint = "write `'none'` where nothing is allowed".to_owned();
                wrong.push((format!("`{name}` has no sources"), hint));
            }
            let none = |value: &&str| value.eq_ignore_ascii_case("'none'");
            if values.len() > 1 && values.iter().any(none) {
                let message = format!("`'none'` is not alone in `{name}`: browsers pass over it");
                wrong.push((message, "keep it, or the others".to_owned()));
            }
            wrong.extend(values.iter().filter_map(|value| source(name, *takes, value)));
        }
    }
}

/// What is wrong with a source, and how to mend it.
fn source(name: &str, takes: Takes, value: &str) -> Option<(String, String)> {
    let bad = |hint: String| Some((format!("`{value}` is not a source of `{name}`"), hint));
    let Some(quoted) = value.strip_prefix('\'') else {
        let lower = value.to_ascii_lowercase();
        let is_keyword = KEYWORDS.contains(&lower.as_str());
        if is_keyword
            || ["nonce-", "sha256-", "sha384-", "sha512-"].iter().any(|p| lower.starts_with(p))
        {
            return bad(format!("write `'{value}'`, with the quotes"));
        }
        return if value.contains(['\'', '"']) {
            bad("only keywords have quotes".into())
        } else {
            None
        };
    };
    let word = quoted.strip_suffix('\'').unwrap_or_default();
    if word.starts_with("nonce-") {
        let hint = "write `'nonce'`: each request then has one of its own".to_owned();
        return Some((format!("`{value}`: a nonce that is always the same protects nobody"), hint));
    }
    if let Some(hash) = ["sha256-", "sha384-", "sha512-"].iter().find_map(|p| word.strip_prefix(p))
    {
        let bytes = STANDARD.decode(hash).or_else(|_| URL_SAFE.decode(hash)).unwrap_or_default();
        let fits = matches!((&word[3..6], bytes.len()), ("256", 32) | ("384", 48) | ("512", 64));
        return if fits { None } else { bad("a hash is base64 of as many bits as it says".into()) };
    }
    let lower = word.to_ascii_lowercase();
    if !KEYWORDS.contains(&lower.as_str()) {
        return bad(did_you_mean(&lower, KEYWORDS).map_or_else(
            || format!("keywords: {}", KEYWORDS.join(", ")),
            |known| format!("did you mean `'{known}'`?"),
        ));
    }
    if lower == "nonce" && takes != Takes::Code {
        return bad(
            "nonces are for `script-src`, `style-src`, their `-elem` and `default-src`".into()
        );
    }
    if name == "frame-ancestors" && !matches!(lower.as_str(), "none" | "self") {
        return bad("it takes `'none'`, `'self'` and hosts".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Location;

    fn compile(text: &str) -> Result<Csp, Vec<String>> {
        let mut out = Diagnostics::default();
        let text = Spanned { value: text.to_owned(), at: Location::default() };
        Csp::compile(&text, &mut out)
            .ok_or_else(|| out.into_vec().into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn an_answer_without_a_nonce_trusts_no_inline_code() {
        for (policy, with, without) in [
            ("script-src 'nonce'", "script-src 'nonce-N'", "script-src 'none'"),
            (
                "Script-Src  'self' 'NONCE' 'unsafe-inline' https: ;style-src 'unsafe-inline';",
                "script-src 'self' 'nonce-N' 'unsafe-inline' https:; style-src 'unsafe-inline'",
                "script-src 'self' https:; style-src 'unsafe-inline'",
            ),
            (
                "style-src 'nonce'; script-src 'nonce' 'strict-dynamic'; upgrade-insecure-requests",
                "style-src 'nonce-N'; script-src 'nonce-N' 'strict-dynamic'; upgrade-insecure-requests",
                "style-src 'none'; script-src 'strict-dynamic'; upgrade-insecure-requests",
            ),
            ("default-src 'self'", "default-src 'self'", "default-src 'self'"),
        ] {
            let compiled = compile(policy).unwrap();
            assert_eq!(compiled.value(Some("N")), with, "{policy}");
            assert_eq!(compiled.value(None), without, "{policy}");
            assert_eq!(compiled.takes_nonce(), with.contains("nonce-"), "{policy}");
        }
    }

    #[test]
    fn what_browsers_would_pass_over_is_a_mistake() {
        for policy in [
            "",
            " ; ",
            "script-scr 'self'",
            "script-src",
            "script-src self",
            "script-src 'slef'",
            "script-src 'self",
            "script-src \"self\"",
            "script-src nonce",
            "script-src nonce-abc",
            "script-src 'nonce-abc'",
            "script-src 'none' https:",
            "script-src 'self'; SCRIPT-SRC https:",
            "img-src 'nonce'",
            "script-src-attr 'nonce'",
            "script-src 'sha256-abc'",
            "script-src sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "script-src 'sha384-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
            "frame-ancestors 'unsafe-inline'",
            "default-src 'self', script-src 'none'",
            "upgrade-insecure-requests 1",
            "report-to",
            "default-src caf\u{e9}.example",
            "default-src 'self'\r\nset-cookie: a=b",
        ] {
            assert_eq!(compile(policy).unwrap_err().len(), 1, "{policy}");
        }
        assert_eq!(compile("x-src a; img-src 'y'").unwrap_err().len(), 2);
    }

    #[test]
    fn what_browsers_know_is_none() {
        for policy in [
            "script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'wasm-unsafe-eval'",
            "img-src * data: https://*.example.com:8443/a/; media-src blob:",
            "sandbox; trusted-types; require-trusted-types-for 'script'",
            "sandbox allow-forms; report-uri /csp; frame-ancestors 'none'",
        ] {
            assert!(compile(policy).is_ok(), "{policy}");
        }
    }
}
