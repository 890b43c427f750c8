//! What may be written, and what it is compiled to.

use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::HeaderName;

config! {
    /// An access log.
    #[derive(Default)]
    pub struct AccessLogConfig {
        /// `json` or `text`.
        format: Spanned<String> = optional("json") of ["json", "text"],
        /// Header fields whose value is never written, should `fields` name them.
        redact: Spanned<Vec<Spanned<String>>> = optional(ALWAYS_REDACTED),
        /// Request header fields that are written too.
        fields: Spanned<Vec<Spanned<String>>> = optional([] as [&str; 0]) like ["user-agent"],
    }
}

/// A compiled access log.
#[derive(Debug)]
pub struct AccessLogPolicy {
    pub(super) json: bool,
    /// Request fields to write, and whether their value is hidden.
    pub(super) fields: Vec<(HeaderName, bool)>,
}

/// Never written in clear, as no header is that an auth method reads.
const ALWAYS_REDACTED: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

impl AccessLogConfig {
    /// Checks and compiles; `credentials` are the headers that auth methods read.
    pub fn compile(
        &self,
        credentials: &[HeaderName],
        out: &mut Diagnostics,
    ) -> Option<AccessLogPolicy> {
        let json = match self.format.as_ref().map(|format| format.as_str()) {
            None | Some("json") => true,
            Some("text") => false,
            Some(other) => {
                let at = &self.format.as_ref()?.at;
                out.push(
                    Diagnostic::error("E105", at, format!("`{other}` is not a log format"))
                        .hint("write `json` or `text`"),
                );
                return None;
            }
        };
        let redact = names(self.redact.as_ref(), out)?;
        let fields = names(self.fields.as_ref(), out)?
            .into_iter()
            .map(|name| {
                let hidden = redact.contains(&name)
                    || credentials.contains(&name)
                    || ALWAYS_REDACTED.contains(&name.as_str());
                (name, hidden)
            })
            .collect();
        Some(AccessLogPolicy { json, fields })
    }
}

fn names(
    names: Option<&Spanned<Vec<Spanned<String>>>>,
    out: &mut Diagnostics,
) -> Option<Vec<HeaderName>> {
    let mut found = Vec::new();
    let mut fine = true;
    for name in names.into_iter().flat_map(|names| &names.value) {
        match HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()) {
            Ok(name) => found.push(name),
            Err(_) => {
                fine = false;
                out.error("E101", &name.at, format!("`{}` is not a header name", name.value));
            }
        }
    }
    fine.then_some(found)
}

impl AccessLogPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        if self.json { "json".into() } else { "text".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Location;

    #[test]
    fn credentials_are_never_written() {
        let at = Location::default();
        let list = |names: &[&str]| {
            let name = |name: &&str| Spanned { value: (*name).to_owned(), at: at.clone() };
            Some(Spanned { value: names.iter().map(name).collect::<Vec<_>>(), at: at.clone() })
        };
        let fields = ["Set-Cookie", "X-Api-Key", "x-own", "x-plain"];
        let config =
            AccessLogConfig { format: None, redact: list(&["X-Own"]), fields: list(&fields) };
        let credentials = [HeaderName::from_static("x-api-key")];
        let policy = config.compile(&credentials, &mut Diagnostics::default()).unwrap();
        let hidden: Vec<bool> = policy.fields.iter().map(|(_, hidden)| *hidden).collect();
        assert_eq!(hidden, [true, true, true, false]);
    }
}
