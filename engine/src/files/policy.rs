//! What may be written, and what it is compiled to.

use std::io;
use std::time::Duration;

use super::immutable::{Immutable, MANIFEST};
use super::pool::Pool;
use super::root::{Opened, Root};
use super::types::Types;
use crate::config;
use crate::config::decode::{Named, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::directories::Directories;
use crate::config::slot::Switch;
use crate::config::units::{Size, Span};
use crate::http::{HeaderValue, Method};
use crate::middleware::compress::{Encoding, encodings};

config! {
    /// Files of a directory.
    pub struct FilesConfig {
        /// The directory, from where the document is that says it.
        root: Spanned<String> = required like "staticfiles",
        /// Encodings whose files lie beside the plain ones, `a.css.br` beside `a.css`.
        precompressed: Spanned<Vec<Spanned<String>>> = optional like ["br", "gzip"],
        /// What a directory's path leads to; none where nothing is said.
        index: Spanned<String> = optional like "index.html",
        /// What a page that is not there leads to, for a client that wants HTML.
        fallback: Spanned<String> = optional like "index.html",
        /// How long a copy may be used without asking again; `0s`, the default = never, `off` =
        /// nothing is said.
        cache: Spanned<Switch<Span>> = optional("0s"),
        /// Whether names with a hash of the content are kept for a year.
        immutable: bool = default(true),
        /// Whether names that begin with a dot are sent.
        dotfiles: bool = default(false),
        /// `off`, or `inside`: relative links that stay below the root are followed.
        symlinks: Switch<Spanned<String>> = optional(false) like "inside",
        /// Media types by extension, over those that are known.
        types: Named<String> = default(Named::default()) like {"wasm": "application/wasm"},
        /// How much of small files each worker keeps; 16MiB where nothing is said, `0B` = nothing.
        memory: Spanned<Size> = optional("16MiB"),
    }
}

/// A compiled directory.
pub struct FilesPolicy {
    written: Box<str>,
    /// The directory.
    pub root: Root,
    /// Encodings of siblings, the preferred one first.
    pub precompressed: Vec<Encoding>,
    /// What a directory's path leads to.
    pub index: Option<Box<str>>,
    /// What a page that is not there leads to.
    pub fallback: Option<Box<str>>,
    /// Seconds that a copy is good for; `None` = nothing is said.
    pub max_age: Option<u64>,
    /// Which names change with their content.
    pub immutable: Immutable,
    /// Whether names that begin with a dot are sent.
    pub dotfiles: bool,
    /// Media types.
    pub types: Types,
    /// Bytes of small files that a worker keeps.
    pub memory: u64,
    /// What stands between parts of a file.
    pub boundary: Box<str>,
    /// `multipart/byteranges` with that boundary.
    pub multipart: HeaderValue,
    /// The threads that wait for the disk.
    pub pool: Pool,
}

/// A copy is good for a year at most (RFC 2616, 14.21, and nobody since).
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A worker's memory for files is at most this.
const MOST_MEMORY: u64 = 4 << 30;

const USUAL_MEMORY: u64 = 16 << 20;

impl FilesConfig {
    /// Checks and compiles; `pattern` and `methods` are the route's.
    pub fn compile(
        &self,
        directories: Directories<'_>,
        pattern: &str,
        methods: &[Method],
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<FilesPolicy> {
        if !(pattern.contains("{*") && pattern.ends_with('}')) {
            let message = format!("`{pattern}` captures no path of a file");
            out.push(
                Diagnostic::error("E161", at, message)
                    .at_key()
                    .hint("end the route's path with a catch-all: `/static/{*path}`"),
            );
        }
        if let Some(other) =
            methods.iter().find(|method| !matches!(**method, Method::GET | Method::HEAD))
        {
            let message = format!("files do not answer {other}");
            out.push(
                Diagnostic::error("E162", at, message)
                    .at_key()
                    .hint("leave `methods` out: a file is there for GET and HEAD"),
            );
        }
        let root = self.root(directories, out);
        let precompressed = match &self.precompressed {
            None => Some(Vec::new()),
            Some(names) => encodings(names, out),
        };
        let types = Types::compile(&self.types, out);
        let max_age = self.max_age(out);
        let memory = match &self.memory {
            Some(memory) if memory.0 > MOST_MEMORY => {
                out.push(
                    Diagnostic::error("E166", &memory.at, "each worker would keep so much")
                        .hint("write at most `4GiB`"),
                );
                None
            }
            memory => Some(memory.as_ref().map_or(USUAL_MEMORY, |memory| memory.0)),
        };
        let root = root?;
        let index = self.named(self.index.as_ref(), None, out);
        let fallback = self.named(self.fallback.as_ref(), Some(&root), out);
        let immutable = self.immutable(&root, out);
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the kernel has random bytes");
        let boundary = format!("{:032x}", u128::from_be_bytes(random));
        let multipart = format!("multipart/byteranges; boundary={boundary}");
        Some(FilesPolicy {
            written: self.root.as_str().into(),
            root,
            precompressed: precompressed?,
            index: index?,
            fallback: fallback?,
            max_age: max_age?,
            immutable: immutable?,
            dotfiles: self.dotfiles,
            types: types?,
            memory: memory?,
            multipart: HeaderValue::try_from(multipart).expect("a boundary is visible ASCII"),
            boundary: boundary.into(),
            pool: Pool::default(),
        })
    }

    fn root(&self, directories: Directories<'_>, out: &mut Diagnostics) -> Option<Root> {
        let links = match &self.symlinks {
            None | Some(Switch::Off) => false,
            Some(Switch::Value(how)) if how.as_str() == "inside" => true,
            Some(Switch::Value(how)) => {
                let message = format!("`{}` is not a way to follow links", how.value);
                out.push(
                    Diagnostic::error("E165", &how.at, message).hint("write `inside` or `off`"),
                );
                return None;
            }
        };
        let path = directories.path(&self.root);
        let found = if self.root.is_empty() {
            Err(io::Error::other("it is empty"))
        } else {
            Root::open(&path, links)
        };
        found
            .map_err(|error| {
                let message =
                    format!("the directory {} cannot be opened: {}", path.display(), told(&error));
                out.push(
                    Diagnostic::error("E160", &self.root.at, message)
                        .hint("a relative one begins beside the file or api module that says it"),
                );
            })
            .ok()
    }

    fn max_age(&self, out: &mut Diagnostics) -> Option<Option<u64>> {
        let Some(written) = &self.cache else { return Some(Some(0)) };
        let span = match &written.value {
            Switch::Off => return Some(None),
            Switch::Value(span) => *span,
        };
        match span.whole_seconds().filter(|_| span.0 <= YEAR) {
            Some(seconds) => Some(Some(seconds)),
            None => {
                let message = format!("`{span}` cannot be the age of a copy");
                out.push(
                    Diagnostic::error("E166", &written.at, message)
                        .hint("write whole seconds up to `1y`"),
                );
                None
            }
        }
    }

    /// The name of a file below the root; one of `root`, where it must be there already.
    fn named(
        &self,
        name: Option<&Spanned<String>>,
        root: Option<&Root>,
        out: &mut Diagnostics,
    ) -> Option<Option<Box<str>>> {
        let Some(name) = name else { return Some(None) };
        let plain = is_plain(name, self.dotfiles) && (root.is_some() || !name.contains('/'));
        if !plain || name.ends_with('/') {
            let message = format!("`{}` does not name a file below the root", name.value);
            out.push(
                Diagnostic::error("E163", &name.at, message).hint("write for example `index.html`"),
            );
            return None;
        }
        match root.map(|root| root.look_up(name)) {
            None | Some(Ok(Opened::File(..))) => Some(Some(name.as_str().into())),
            Some(_) => {
                let message = format!("there is no file `{}` below the root", name.value);
                out.push(
                    Diagnostic::error("E163", &name.at, message).hint("name one that is there"),
                );
                None
            }
        }
    }

    fn immutable(&self, root: &Root, out: &mut Diagnostics) -> Option<Immutable> {
        if !self.immutable {
            return Some(Immutable::Off);
        }
        Immutable::of(root)
            .map_err(|error| {
                let message = format!("{MANIFEST} cannot be read: {error}");
                out.push(
                    Diagnostic::error("E164", &self.root.at, message)
                        .hint("run `collectstatic` again, or write `immutable: off`"),
                );
            })
            .ok()
    }
}

/// What went wrong, in the words of the system.
fn told(error: &io::Error) -> String {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOSYS) => "this kernel has no openat2 (Linux 5.6)".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether every segment of `path` is one that may be looked up; only the last may be empty.
pub fn is_plain(path: &str, dotfiles: bool) -> bool {
    let mut segments = path.split('/').peekable();
    let mut plain = true;
    while let Some(segment) = segments.next() {
        let dots = matches!(segment, "." | "..") || (segment.starts_with('.') && !dotfiles);
        let empty = segment.is_empty() && segments.peek().is_some();
        plain &= !dots && !empty && !segment.contains(['\0', '\\']);
    }
    plain
}

impl FilesPolicy {
    /// The largest file that is kept in memory.
    pub const fn in_memory(&self) -> u64 {
        self.memory / 8
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let mut told = vec![self.written.to_string()];
        if !self.precompressed.is_empty() {
            let names: Vec<_> = self.precompressed.iter().map(|encoding| encoding.name()).collect();
            told.push(format!("precompressed {}", names.join(" ")));
        }
        for (what, name) in [("index", &self.index), ("fallback", &self.fallback)] {
            if let Some(name) = name {
                told.push(format!("{what} {name}"));
            }
        }
        told.extend(self.max_age.map(|age| match age {
            0 => "no-cache".to_owned(),
            age => format!("cache {}", Span::seconds(age)),
        }));
        told.extend(self.immutable.summary());
        told.join(", ")
    }
}

impl std::fmt::Debug for FilesPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({})", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_looked_up() {
        for (path, plain, with_dotfiles) in [
            ("a", true, true),
            ("a/b.css", true, true),
            ("a/", true, true),
            ("", true, true),
            ("a..b/c.", true, true),
            (".env", false, true),
            ("a/.git/config", false, true),
            ("...", false, true),
            ("..", false, false),
            ("a/../b", false, false),
            ("./a", false, false),
            ("/a", false, false),
            ("a//b", false, false),
            ("a//", false, false),
            ("a\\b", false, false),
            ("a\0", false, false),
        ] {
            assert_eq!(
                (is_plain(path, false), is_plain(path, true)),
                (plain, with_dotfiles),
                "{path}"
            );
        }
    }
}
