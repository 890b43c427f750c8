//! A file as it is sent: its representations with everything of their heads that is constant, made
//! off the I/O thread by whoever looks it up.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest, Sha256};

use super::body::CHUNK;
use super::conditions::Validators;
use super::policy::FilesPolicy;
use super::root::{Opened, Stamp};
use crate::http::{HeaderMap, HeaderName, HeaderValue, header};
use crate::middleware::compress::{Encoding, preferred};

/// What a path leads to.
#[derive(Debug)]
pub enum Look {
    /// A file.
    File(Arc<Found>),
    /// A directory with an index; the path has no slash at its end.
    Directory,
    /// Nothing that anybody gets.
    Nothing,
}

/// A file with its encoded siblings.
#[derive(Debug)]
pub struct Found {
    /// The file itself, then its siblings in the policy's order.
    pub variants: Vec<Variant>,
    /// Whether its name changes with its content.
    pub immutable: bool,
}

/// One representation.
#[derive(Debug)]
pub struct Variant {
    /// How it is encoded.
    pub encoding: Option<Encoding>,
    /// `Content-Type`, also of its parts.
    pub content_type: HeaderValue,
    /// Further fields of its answers, but for dates and `Cache-Control`; those of a 304 come first.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// How many of `fields` a 304 carries.
    pub validating: usize,
    /// Its bytes, or where they are.
    pub content: Content,
    /// Which state of which file it is.
    pub stamp: Stamp,
    tag: HeaderValue,
    /// `Last-Modified`, from the moment on that it tells.
    last_modified: HeaderValue,
}

/// Bytes of a file.
#[derive(Debug)]
pub enum Content {
    /// In memory, where it is small.
    Memory(Bytes),
    /// A copy in a file in memory, which nobody changes and the kernel can send by itself.
    Copy(Arc<OwnedFd>),
    /// To be read.
    Disk(Arc<File>),
}

impl Variant {
    /// Its length in bytes.
    pub const fn length(&self) -> u64 {
        self.stamp.size
    }

    /// What clients validate their copies by.
    pub fn validators(&self) -> Validators<'_> {
        Validators { tag: self.tag.as_bytes(), modified: seconds(&self.stamp) }
    }

    /// `Last-Modified` of an answer of the moment `now`, and the `Date` that it needs for it: the
    /// server's own may be that of the second before.
    pub fn dates(&self, now: u64) -> (HeaderValue, Option<HeaderValue>) {
        let modified = seconds(&self.stamp);
        let date = (modified >= now).then(|| date(now));
        match &date {
            Some(date) if modified > now => (date.clone(), Some(date.clone())),
            _ => (self.last_modified.clone(), date),
        }
    }
}

impl Found {
    /// The representation for a client with these request headers.
    pub fn choose(&self, headers: &HeaderMap) -> &Variant {
        let [plain, siblings @ ..] = &*self.variants else {
            unreachable!("a file is its own first representation")
        };
        if siblings.is_empty() {
            return plain;
        }
        let encoding = preferred(headers, siblings.iter().filter_map(|variant| variant.encoding));
        let is_it = |variant: &&Variant| variant.encoding == encoding;
        encoding.and_then(|_| siblings.iter().find(is_it)).unwrap_or(plain)
    }

    /// How many bytes it keeps in memory; `None` where it keeps a file open.
    pub fn weight(&self) -> Option<u64> {
        let weight = |variant: &Variant| match &variant.content {
            Content::Memory(_) | Content::Copy(_) => Some(variant.length()),
            Content::Disk(_) => None,
        };
        self.variants.iter().map(weight).sum()
    }

    /// How many descriptors it keeps open.
    pub fn descriptors(&self) -> usize {
        let keeps = |variant: &&Variant| !matches!(variant.content, Content::Memory(_));
        self.variants.iter().filter(keeps).count()
    }

    fn has(&self, encoding: Option<Encoding>, stamp: Stamp) -> Option<&Variant> {
        self.variants.iter().find(|known| known.encoding == encoding && known.stamp == stamp)
    }
}

/// Looks `path` up; blocks. What `known` has of the same state is not read again.
pub fn look(policy: &FilesPolicy, path: &str, known: Option<&Found>) -> io::Result<Look> {
    if path.is_empty() || path.ends_with('/') {
        return match &policy.index {
            Some(index) => file(policy, &format!("{path}{index}"), known)
                .map(|found| found.map_or(Look::Nothing, Look::File)),
            None => Ok(Look::Nothing),
        };
    }
    match policy.root.look_up(path)? {
        Opened::File(opened, stamp) => {
            represent(policy, path, opened, stamp, known).map(|found| Look::File(Arc::new(found)))
        }
        Opened::Nothing => Ok(Look::Nothing),
        Opened::Directory => {
            let Some(index) = &policy.index else { return Ok(Look::Nothing) };
            match policy.root.look_up(&format!("{path}/{index}"))? {
                Opened::File(..) => Ok(Look::Directory),
                Opened::Directory | Opened::Nothing => Ok(Look::Nothing),
            }
        }
    }
}

fn file(policy: &FilesPolicy, name: &str, known: Option<&Found>) -> io::Result<Option<Arc<Found>>> {
    match policy.root.look_up(name)? {
        Opened::File(opened, stamp) => {
            represent(policy, name, opened, stamp, known).map(|found| Some(Arc::new(found)))
        }
        Opened::Directory | Opened::Nothing => Ok(None),
    }
}

fn represent(
    policy: &FilesPolicy,
    name: &str,
    opened: File,
    stamp: Stamp,
    known: Option<&Found>,
) -> io::Result<Found> {
    let mut files = vec![(None, opened, stamp)];
    for encoding in &policy.precompressed {
        let sibling = [name, suffix(*encoding)].concat();
        if let Opened::File(opened, stamp) = policy.root.look_up(&sibling)? {
            files.push((Some(*encoding), opened, stamp));
        }
    }
    let varies = files.len() > 1;
    let content_type = policy.types.of(name);
    let variants = files.into_iter().map(|(encoding, opened, stamp)| {
        let same = known.and_then(|known| known.has(encoding, stamp));
        let (content, stamp) = match same.map(|same| &same.content) {
            Some(Content::Memory(bytes)) => (Content::Memory(bytes.clone()), stamp),
            Some(Content::Copy(copy)) => (Content::Copy(Arc::clone(copy)), stamp),
            _ if stamp.size <= policy.in_memory() => read(&opened, stamp)?,
            _ => (Content::Disk(Arc::new(opened)), stamp),
        };
        Ok(variant(encoding, content_type.clone(), content, stamp, varies))
    });
    Ok(Found {
        variants: variants.collect::<io::Result<_>>()?,
        immutable: policy.immutable.is_hashed(name),
    })
}

/// Reads a whole file in one state of it: one that is being written meanwhile is not there yet.
fn read(file: &File, mut stamp: Stamp) -> io::Result<(Content, Stamp)> {
    for _ in 0..3 {
        let content = if stamp.size <= CHUNK { load(file, stamp) } else { copy(file, stamp) };
        let now = Stamp::of(file)?;
        if now == stamp {
            return Ok((content?, stamp));
        }
        stamp = now;
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

fn load(file: &File, stamp: Stamp) -> io::Result<Content> {
    let mut bytes = vec![0; usize::try_from(stamp.size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Content::Memory(bytes.into()))
}

fn copy(mut file: &File, stamp: Stamp) -> io::Result<Content> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(memfd_create(c"pybolt-file", flags)?);
    file.seek(SeekFrom::Start(0))?;
    let copied = io::copy(&mut file.take(stamp.size), &mut copy)?;
    if copied < stamp.size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&copy, seals)?;
    Ok(Content::Copy(Arc::new(copy.into())))
}

fn variant(
    encoding: Option<Encoding>,
    content_type: HeaderValue,
    content: Content,
    stamp: Stamp,
    varies: bool,
) -> Variant {
    let tag = tag(encoding, &stamp);
    let mut fields = Vec::with_capacity(4);
    fields.push((header::ETAG, tag.clone()));
    if varies {
        fields.push((header::VARY, HeaderValue::from_static("accept-encoding")));
    }
    let validating = fields.len();
    fields.push((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")));
    if let Some(encoding) = encoding {
        fields.push((header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name())));
    }
    let last_modified = date(seconds(&stamp));
    Variant { encoding, content_type, fields, validating, content, stamp, tag, last_modified }
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// When a file was modified, in seconds since 1970.
fn seconds(stamp: &Stamp) -> u64 {
    u64::try_from(stamp.modified.0).unwrap_or(0)
}

/// A moment in a header field; after the year 9999 there is none to write.
fn date(seconds: u64) -> HeaderValue {
    let moment = UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799));
    HeaderValue::try_from(httpdate::fmt_http_date(moment)).expect("a date is visible ASCII")
}

/// A strong tag: another file, another state of it or another encoding has another one. What it is
/// made of is not shown.
fn tag(encoding: Option<Encoding>, stamp: &Stamp) -> HeaderValue {
    let mut state = Sha256::new();
    state.update(stamp.size.to_be_bytes());
    state.update(stamp.inode().to_be_bytes());
    state.update(stamp.modified.0.to_be_bytes());
    state.update(stamp.modified.1.to_be_bytes());
    state.update(encoding.map_or("", Encoding::name));
    let text = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&state.finalize()[..15]));
    HeaderValue::try_from(text).expect("base64 is visible ASCII")
}

/// How a file's encoded sibling is named.
const fn suffix(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Zstd => ".zst",
        Encoding::Brotli => ".br",
        Encoding::Gzip => ".gz",
    }
}
