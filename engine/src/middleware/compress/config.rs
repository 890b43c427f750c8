//! What may be written, what it is compiled to, and the choice of an encoding.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::sync::Semaphore;

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
        /// How hard each encoding tries.
        levels: LevelsConfig = optional,
    }
}

config! {
    /// How hard each encoding tries; a higher level takes more time for a smaller body.
    #[derive(Default)]
    pub struct LevelsConfig {
        /// The level of zstd.
        zstd: Spanned<u64> = optional(3) of [1, 2, 3, 4, 5, 6, 7, 8, 9],
        /// The quality of Brotli.
        br: Spanned<u64> = optional(4) of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        /// The level of gzip.
        gzip: Spanned<u64> = optional(6) of [1, 2, 3, 4, 5, 6, 7, 8, 9],
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

/// A content coding and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// The coding.
    pub encoding: Encoding,
    /// The level, as the codec counts.
    pub level: u32,
}

/// A compiled compression policy.
#[derive(Debug)]
pub struct CompressPolicy {
    pub(super) codings: Vec<Coding>,
    pub(super) min_size: u64,
    /// Places for bodies that are encoded off the I/O thread.
    pub(super) places: Arc<Semaphore>,
    /// Mebibytes for the codecs of streams under way.
    pub(super) memory: Arc<Semaphore>,
}

/// So many bodies or chunks of a policy are encoded off the I/O thread at once; more would only
/// fight for the cores.
const AT_ONCE: usize = 2;

/// So many mebibytes the codecs of a policy's streams may have together. A client that does not read
/// keeps its codec: past this a stream goes out as it is.
pub(super) const MEMORY: u32 = 256;

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

    const fn default_level(self) -> u32 {
        match self {
            Self::Zstd => 3,
            Self::Brotli => 4,
            Self::Gzip => 6,
        }
    }

    const fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::Brotli => 0..=9,
            Self::Zstd | Self::Gzip => 1..=9,
        }
    }

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
        let codings = encodings.into_iter().map(|encoding| self.coding(encoding, out));
        // All of them are looked at, whatever is wrong with the first.
        let codings: Vec<_> = codings.collect();
        Some(CompressPolicy {
            codings: codings.into_iter().collect::<Option<_>>()?,
            min_size: self.min_size.as_ref().map_or(1024, |size| size.0),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            memory: Arc::new(Semaphore::new(MEMORY as usize)),
        })
    }

    fn coding(&self, encoding: Encoding, out: &mut Diagnostics) -> Option<Coding> {
        let levels = self.levels.as_ref();
        let written = levels.and_then(|levels| match encoding {
            Encoding::Zstd => levels.zstd.as_ref(),
            Encoding::Brotli => levels.br.as_ref(),
            Encoding::Gzip => levels.gzip.as_ref(),
        });
        let Some(written) = written else {
            return Some(Coding { encoding, level: encoding.default_level() });
        };
        let range = encoding.levels();
        let level = u32::try_from(written.value).ok().filter(|level| range.contains(level));
        if level.is_none() {
            let message = format!("{} is not a level of {}", written.value, encoding.name());
            let (least, most) = (range.start(), range.end());
            let hint = if written.value > u64::from(*most) {
                format!("write {least} to {most}; more is for files that are compressed beforehand")
            } else {
                format!("write {least} to {most}")
            };
            out.push(Diagnostic::error("E109", &written.at, message).hint(hint));
        }
        Some(Coding { encoding, level: level? })
    }
}

impl Coding {
    /// How many mebibytes the codec of a stream has, at most: its window and its tables.
    pub(super) const fn mebibytes(self) -> u32 {
        match (self.encoding, self.level) {
            (Encoding::Gzip, _) => 1,
            (Encoding::Zstd, 0..=3) => 2,
            (Encoding::Zstd, 4 | 5) | (Encoding::Brotli, 6) => 6,
            (Encoding::Zstd, 6 | 7) => 12,
            (Encoding::Zstd, _) => 32,
            (Encoding::Brotli, 0..=5) => 4,
            (Encoding::Brotli, 7) => 10,
            (Encoding::Brotli, 8) => 20,
            (Encoding::Brotli, _) => 40,
        }
    }

    /// How many bytes are encoded on the I/O thread, so that nobody else waits for more than about
    /// a millisecond. (`how_long_a_body_takes` in the encoder's tests prints what they take.)
    pub(super) const fn inline_bytes(self) -> usize {
        const KIB: usize = 1024;
        match (self.encoding, self.level) {
            (Encoding::Zstd, 0..=3) | (Encoding::Brotli, 0..=1) => 128 * KIB,
            (Encoding::Zstd, 4..=6) | (Encoding::Gzip, 0..=3) => 64 * KIB,
            (Encoding::Brotli, 2..=4) | (Encoding::Gzip, 4..=6) => 32 * KIB,
            (Encoding::Zstd | Encoding::Brotli | Encoding::Gzip, _) => 8 * KIB,
        }
    }
}

/// The encodings, each once and one at least.
pub fn encodings(
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
        let name = |coding: &Coding| match coding.level {
            level if level == coding.encoding.default_level() => coding.encoding.name().to_owned(),
            level => format!("{}:{level}", coding.encoding.name()),
        };
        let names: Vec<_> = self.codings.iter().map(name).collect();
        format!("{} from {}", names.join(" "), Size(self.min_size))
    }

    /// The coding for a client with these request headers.
    pub(super) fn choose(&self, headers: &HeaderMap) -> Option<Coding> {
        let encoding = preferred(headers, self.codings.iter().map(|coding| coding.encoding))?;
        self.codings.iter().copied().find(|coding| coding.encoding == encoding)
    }
}

/// The encoding for a client with these request headers: the highest weight, then the order of
/// `encodings`; none where the client would rather have the body as it is.
pub fn preferred(
    headers: &HeaderMap,
    encodings: impl Iterator<Item = Encoding>,
) -> Option<Encoding> {
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
    for encoding in encodings {
        let weight = weights[encoding as usize].or(any).unwrap_or(0);
        // An equal weight is ours to decide: any encoding before none.
        if weight > best.0 || (weight == best.0 && weight > 0 && best.1.is_none()) {
            best = (weight, Some(encoding));
        }
    }
    best.1
}
