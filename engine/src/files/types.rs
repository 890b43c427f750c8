//! Media types by extension: those of a configuration, else those that are known. A file without
//! one is bytes: nobody guesses what is in it, browsers are told not to by `nosniff`.

use std::collections::HashMap;

use crate::config::decode::Named;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::fields;
use crate::http::HeaderValue;

/// Media types by extension.
#[derive(Debug)]
pub struct Types(HashMap<Box<str>, HeaderValue>);

impl Types {
    /// Checks and compiles what a configuration says (`E167`).
    pub fn compile(written: &Named<String>, out: &mut Diagnostics) -> Option<Self> {
        let mut types = HashMap::new();
        let mut fine = true;
        for (extension, media_type) in &written.entries {
            let is_extension = |byte: u8| byte.is_ascii_graphic() && !b"./\\".contains(&byte);
            if extension.is_empty() || !extension.bytes().all(is_extension) {
                fine = false;
                let message = format!("`{extension}` is not an extension");
                out.push(
                    Diagnostic::error("E167", &media_type.at, message)
                        .at_key()
                        .hint("write it without a dot: `wasm: application/wasm`"),
                );
                continue;
            }
            let Some(value) = fields::value(media_type, out) else {
                fine = false;
                continue;
            };
            let essence = media_type.split(';').next().unwrap_or_default().trim();
            let is_token =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            match essence.split_once('/') {
                Some((kind, subtype))
                    if is_token(kind) && is_token(subtype) && !subtype.contains('/') =>
                {
                    let known = types.insert(extension.to_ascii_lowercase().into(), value);
                    if known.is_some() {
                        fine = false;
                        let message = format!("`{extension}` has two types");
                        out.push(Diagnostic::error("E167", &media_type.at, message).at_key());
                    }
                }
                _ => {
                    fine = false;
                    let message = format!("`{}` is not a media type", media_type.value);
                    out.push(
                        Diagnostic::error("E167", &media_type.at, message)
                            .hint("write for example `text/plain; charset=utf-8`"),
                    );
                }
            }
        }
        fine.then_some(Self(types))
    }

    /// The type of what has this name; that of text says that it is UTF-8.
    pub fn of(&self, name: &str) -> HeaderValue {
        let file = name.rsplit('/').next().unwrap_or_default();
        let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        if let Some(known) = extension.and_then(|extension| self.0.get(&*extension)) {
            return known.clone();
        }
        match mime_guess::from_path(file).first_raw() {
            // RFC 9239 has one name for scripts and modules.
            Some("application/javascript") => {
                HeaderValue::from_static("text/javascript; charset=utf-8")
            }
            Some(text) if text.starts_with("text/") => {
                HeaderValue::try_from(format!("{text}; charset=utf-8"))
                    .unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8"))
            }
            Some(other) => HeaderValue::from_static(other),
            None => HeaderValue::from_static("application/octet-stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_extension() {
        let types =
            Types(HashMap::from([("js".into(), HeaderValue::from_static("application/x-ours"))]));
        for (name, expected) in [
            ("a.css", "text/css; charset=utf-8"),
            ("b/a.HTML", "text/html; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.js", "application/x-ours"),
            ("a.min.JS", "application/x-ours"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.gz", "application/gzip"),
            ("a", "application/octet-stream"),
            ("css", "application/octet-stream"),
            ("a.css/b", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(types.of(name), expected, "{name}");
        }
    }
}
