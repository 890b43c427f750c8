//! What may be written, what it is compiled to, and the choice of an encoding.

use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::config::units::Size;
use crate::http::{HeaderMap, header};

config! {
    /// A compression policy.
    #[derive(Default)]
    pub struct CompressConfig {
        /// The encodings, the preferred one first.
        encodings: Spanned<Vec<Spanned<String>>> = optional,
        /// Smaller bodies are left alone; `0B` = none is.
        min_size: Spanned<Size> = optional,
    }
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

/// A compiled compression policy.
#[derive(Debug)]
pub struct CompressPolicy {
    pub(super) encodings: Vec<Encoding>,
    pub(super) min_size: u64,
}

impl Encoding {
    /// The name in `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Zstd, Self::Brotli, Self::Gzip].into_iter().find(|encoding| encoding.name() == name)
    }
}

impl CompressConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<CompressPolicy> {
        let encodings = match &self.encodings {
            None => vec![Encoding::Zstd, Encoding::Brotli, Encoding::Gzip],
            Some(names) => encodings(names, out)?,
        };
        Some(CompressPolicy {
            encodings,
            min_size: self.min_size.as_ref().map_or(1024, |size| size.0),
        })
    }
}

/// The encodings, each once and one at least.
fn encodings(
    names: &Spanned<Vec<Spanned<String>>>,
    out: &mut Diagnostics,
) -> Option<Vec<Encoding>> {
    if names.is_empty() {
        out.push(
            Diagnostic::error("E100", &names.at, "no encodings")
                .hint("name one, or switch the slot `off`"),
        );
        return None;
    }
    let mut found = Vec::new();
    for name in &names.value {
        let (message, hint) = match Encoding::named(name) {
            Some(encoding) if !found.contains(&encoding) => {
                found.push(encoding);
                continue;
            }
            Some(_) => (format!("`{}` is named twice", name.value), "keep one of them".to_owned()),
            None => (
                format!("`{}` is not an encoding", name.value),
                did_you_mean(name, ["zstd", "br", "gzip"])
                    .map_or("write `zstd`, `br` or `gzip`".to_owned(), |known| {
                        format!("did you mean `{known}`?")
                    }),
            ),
        };
        out.push(Diagnostic::error("E100", &name.at, message).hint(hint));
    }
    (found.len() == names.len()).then_some(found)
}

impl CompressPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let names: Vec<_> = self.encodings.iter().map(|encoding| encoding.name()).collect();
        format!("{} from {}", names.join(" "), Size(self.min_size))
    }

    /// The encoding for a client with these request headers: the highest weight, then our order.
    pub(super) fn choose(&self, headers: &HeaderMap) -> Option<Encoding> {
        let mut lines = headers.get_all(header::ACCEPT_ENCODING).peekable();
        lines.peek()?;
        let mut best: Option<(u16, usize)> = None;
        let mut weights = [None; 3];
        let mut any = None;
        for element in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','))
        {
            let (name, weight) = weighted(element);
            if name == "*" {
                any = Some(weight);
            } else if let Some(at) =
                self.encodings.iter().position(|known| known.name().eq_ignore_ascii_case(name))
            {
                weights[at] = Some(weight);
            }
        }
        for (at, weight) in weights.iter().take(self.encodings.len()).enumerate() {
            let weight = weight.or(any).unwrap_or(0);
            if weight > 0 && best.is_none_or(|(known, _)| weight > known) {
                best = Some((weight, at));
            }
        }
        best.map(|(_, at)| self.encodings[at])
    }
}

/// An element of `Accept-Encoding`: its name and its weight in thousandths; a malformed weight is 0.
fn weighted(element: &str) -> (&str, u16) {
    let mut parts = element.split(';');
    let name = parts.next().unwrap_or_default().trim();
    let weight = parts
        .map(str::trim)
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let Some(weight) = weight else { return (name, 1000) };
    let thousandths = match weight.split_once('.') {
        None => match weight {
            "1" => 1000,
            _ => 0,
        },
        Some((whole, digits))
            if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            let fraction = format!("{digits:0<3}").parse().unwrap_or(0);
            match whole {
                "0" => fraction,
                "1" if fraction == 0 => 1000,
                _ => 0,
            }
        }
        Some(_) => 0,
    };
    (name, thousandths)
}
