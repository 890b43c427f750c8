//! What may be written, what it is compiled to, and the choice of an encoding.

use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::config::units::Size;
use crate::http::{HeaderMap, header, weighted};

config! {
    /// A compression policy.
    #[derive(Default)]
    pub struct CompressConfig {
        /// The encodings, the preferred one first.
        encodings: Spanned<Vec<Spanned<String>>> = optional(["zstd", "br", "gzip"]) of ["zstd", "br", "gzip"],
        /// Smaller bodies are left alone; `0B` = none is.
        min_size: Spanned<Size> = optional("1KiB"),
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

    pub(super) const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == name)
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

    /// The encoding for a client with these request headers: the highest weight, then our order;
    /// none where the client would rather have the body as it is.
    pub(super) fn choose(&self, headers: &HeaderMap) -> Option<Encoding> {
        let mut weights = [None; Encoding::ALL.len()];
        let mut any = None;
        let mut best = (0, None);
        let lines = headers.get_all(header::ACCEPT_ENCODING).filter_map(|line| line.to_str().ok());
        for (name, weight) in lines.flat_map(|line| line.split(',')).map(weighted) {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if let Some(encoding) = Encoding::ALL.into_iter().find(|known| is(known.name())) {
                weights[encoding as usize] = Some(weight);
            } else if is("*") {
                any = Some(weight);
            } else if is("identity") {
                best.0 = weight;
            }
        }
        for encoding in &self.encodings {
            let weight = weights[*encoding as usize].or(any).unwrap_or(0);
            // An equal weight is ours to decide: any encoding before none.
            if weight > best.0 || (weight == best.0 && weight > 0 && best.1.is_none()) {
                best = (weight, Some(*encoding));
            }
        }
        best.1
    }
}
