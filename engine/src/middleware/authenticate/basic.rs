//! HTTP Basic (RFC 7617): names and passwords, for what a browser or a script asks by hand.
//!
//! bcrypt is slow by design: it runs on a thread of its own kind, few at a time, with few waiting;
//! who comes past that is `overloaded`. Credentials that were right a moment ago are remembered by
//! a keyed hash of name and password. Handlers see the name, never the password.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;

use super::passwords::{USUAL_COST, Users};
use super::verified::Verified;
use super::{Answer, Place, Presented, Principal};
use crate::config;
use crate::config::decode::{Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::units::Span;
use crate::http::{HeaderMap, HeaderValue, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

config! {
    /// Names and passwords: one of `htpasswd`, `users`.
    pub struct BasicConfig one of [htpasswd, users] {
        /// Lines of `name:hash[:role,…]` as `htpasswd -B` writes them; `#` begins a comment.
        htpasswd: Spanned<Secret> = optional like "${file:/run/secrets/htpasswd}",
        /// The same lines as a list.
        users: Spanned<Vec<Spanned<Secret>>> = optional like ["${ANN}"],
        /// What the browser says that the password is for.
        realm: Spanned<String> = optional("Restricted"),
        /// How long credentials that were right are remembered; at most 1h, `0s` = not at all.
        cache: Spanned<Span> = optional("5m"),
        /// Whether a request without credentials passes, as nobody's; bad ones never do.
        optional: bool = default(false),
    }
}

/// Compiled names and passwords.
pub struct Basic {
    users: Arc<Users>,
    challenge: HeaderValue,
    remembered: Verified,
    cache: f64,
    seed: hmac::Key,
    start: Instant,
    /// Verifications that run.
    places: Arc<Semaphore>,
    /// Requests that run or wait for one.
    waiting: AtomicUsize,
}

/// So many verifications run at once, on threads that are not the I/O thread.
const PLACES: usize = 2;

/// So many requests are verified or wait for it; a longer queue would be answered too late.
const QUEUE: usize = 64;

/// So long a request waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Longer credentials are not looked at.
const MAX_CREDENTIALS: usize = 2 * 1024;

impl BasicConfig {
    /// Checks and compiles.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<Basic> {
        let challenge = self.challenge(out);
        let cache = match &self.cache {
            Some(cache) if cache.0 > Duration::from_secs(3600) => {
                out.push(
                    Diagnostic::error("E096", &cache.at, "a password that was changed stays good")
                        .hint("write at most `1h`"),
                );
                None
            }
            cache => Some(cache.as_ref().map_or(300.0, |cache| cache.0.as_secs_f64())),
        };
        let users = self.users(at, out);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the kernel has random bytes");
        Some(Basic {
            users: Arc::new(users?),
            challenge: challenge?,
            remembered: Verified::default(),
            cache: cache?,
            seed: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            start: Instant::now(),
            places: Arc::new(Semaphore::new(PLACES)),
            waiting: AtomicUsize::new(0),
        })
    }

    fn challenge(&self, out: &mut Diagnostics) -> Option<HeaderValue> {
        let realm = self.realm.as_ref().map_or("Restricted", |realm| realm.as_str());
        let plain =
            |byte: u8| (byte == b' ' || byte.is_ascii_graphic()) && !b"\"\\".contains(&byte);
        let fine = !realm.is_empty() && realm.len() <= 128 && realm.bytes().all(plain);
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let challenge = HeaderValue::from_str(&challenge).ok().filter(|_| fine);
        if let (None, Some(realm)) = (&challenge, &self.realm) {
            out.push(
                Diagnostic::error("E096", &realm.at, "this cannot be a realm")
                    .hint("write a few words in ASCII, without quotes or backslashes"),
            );
        }
        challenge
    }

    fn users(&self, at: &Location, out: &mut Diagnostics) -> Option<Users> {
        let (lines, place): (Vec<(String, &str, &Location)>, _) =
            match (&self.htpasswd, &self.users) {
                (Some(file), None) => {
                    let name = |(number, line)| (format!("line {}", number + 1), line, &file.at);
                    (file.expose().lines().enumerate().map(name).collect(), &file.at)
                }
                (None, Some(list)) => {
                    let lines = list.iter().map(|one| ("it".to_owned(), one.expose(), &one.at));
                    (lines.collect(), &list.at)
                }
                _ => {
                    out.push(
                        Diagnostic::error("E089", at, "a basic method has one list of users").hint(
                            "write `htpasswd: ${file:/run/secrets/htpasswd}` or `users: […]`",
                        ),
                    );
                    return None;
                }
            };
        let mut users = Users::default();
        let mut fine = true;
        for (name, line, at) in lines {
            if let Err(what) = users.add(line) {
                fine = false;
                out.push(
                    Diagnostic::error("E089", at, format!("{name} {what}"))
                        .hint("make a line with `htpasswd -nBC 12 NAME`"),
                );
            }
        }
        if fine && users.is_empty() {
            fine = false;
            out.push(
                Diagnostic::error("E089", place, "there are no users")
                    .hint("make a line with `htpasswd -nBC 12 NAME`"),
            );
        }
        if fine && users.cheapest().is_some_and(|cost| cost < USUAL_COST) {
            out.push(
                Diagnostic::warning("W089", place, "a bcrypt cost under 10 is guessed in bulk")
                    .hint("make lines with `htpasswd -nBC 12 NAME`"),
            );
        }
        fine.then_some(users)
    }
}

/// What `Authorization` says.
enum Found {
    Nothing,
    Foreign,
    Twice,
    Broken,
    Pair { name: String, password: String },
}

fn find(parts: &Parts) -> Found {
    let mut values = parts.headers.get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else { return Found::Nothing };
    if values.next().is_some() {
        return Found::Twice;
    }
    match value.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            pair(encoded).unwrap_or(Found::Broken)
        }
        _ => Found::Foreign,
    }
}

fn pair(encoded: &str) -> Option<Found> {
    if encoded.len() > MAX_CREDENTIALS {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    // RFC 7617, 2: neither of both has control characters.
    if text.chars().any(char::is_control) {
        return None;
    }
    let (name, password) = text.split_once(':')?;
    Some(Found::Pair { name: name.to_owned(), password: password.to_owned() })
}

/// One request that is verified or waits for it; leaving by any way makes room.
struct Waiting(Arc<Basic>);

impl Waiting {
    fn enter(basic: &Arc<Basic>) -> Option<Self> {
        let room = |waiting| (waiting < QUEUE).then_some(waiting + 1);
        let entered = basic.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        entered.is_ok().then(|| Self(Arc::clone(basic)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Basic {
    /// Who is asking.
    pub fn authenticate(self: &Arc<Self>, parts: &Parts) -> Answer {
        let (name, password) = match find(parts) {
            Found::Pair { name, password } => (name, password),
            Found::Twice => return Answer::Now(Err(RejectionKind::BadHeader.into())),
            Found::Nothing | Found::Foreign | Found::Broken => {
                return Answer::Now(Err(self.refuse()));
            }
        };
        let tag = self.tag(&name, &password);
        if let Some(principal) = self.remembered.get(&tag, self.now()) {
            return Answer::Now(Ok(principal));
        }
        if !self.users.is_slow() {
            return Answer::Now(self.users.verify(&name, &password).ok_or_else(|| self.refuse()));
        }
        match Waiting::enter(self) {
            None => Answer::Now(Err(overloaded())),
            Some(waiting) => Answer::Later(Box::pin(verify(waiting, name, password, tag))),
        }
    }

    /// Whether there are credentials, and whether they are a name and a password.
    pub fn presented(parts: &Parts) -> Presented {
        match find(parts) {
            Found::Nothing => Presented::Nothing,
            Found::Foreign => Presented::Foreign,
            Found::Twice | Found::Broken | Found::Pair { .. } => Presented::Own,
        }
    }

    /// The place that the credentials are in.
    pub fn place() -> Place {
        Place::Scheme(header::AUTHORIZATION, "basic")
    }

    /// What a client without credentials is told.
    pub fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }

    /// Takes the password off a request.
    pub fn conceal(headers: &mut HeaderMap) {
        let basic = |value: &HeaderValue| {
            value.as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"))
        };
        if headers.get_all(header::AUTHORIZATION).any(basic) {
            headers.remove(header::AUTHORIZATION);
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let hash = if self.users.is_slow() { "bcrypt" } else { "sha256" };
        format!("basic, passwords by {hash}")
    }

    fn refuse(&self) -> Rejection {
        Rejection::new(RejectionKind::Unauthorized)
            .with_header(header::WWW_AUTHENTICATE, self.challenge.clone())
    }

    /// What a name and a password are remembered by; a name holds no colon.
    fn tag(&self, name: &str, password: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.seed);
        for part in [name, ":", password] {
            context.update(part.as_bytes());
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Seconds since the plan was made: a clock that nobody sets back.
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

/// Verifies on another thread, when it is this request's turn.
async fn verify(
    waiting: Waiting,
    name: String,
    password: String,
    tag: [u8; 32],
) -> Result<Arc<Principal>, Rejection> {
    let basic = Arc::clone(&waiting.0);
    let place = Arc::clone(&basic.places).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(MAX_WAIT, place).await else {
        return Err(overloaded());
    };
    // Another request with the same credentials may have been first.
    if let Some(principal) = basic.remembered.get(&tag, basic.now()) {
        return Ok(principal);
    }
    let users = Arc::clone(&basic.users);
    let verified = tokio::task::spawn_blocking(move || {
        let found = users.verify(&name, &password);
        // A client that has gone does not end the work, and the place is taken until it ends.
        drop(place);
        found
    });
    match verified.await {
        Ok(Some(principal)) => {
            let now = basic.now();
            if basic.cache > 0.0 {
                basic.remembered.insert(tag.as_slice().into(), &principal, now, now + basic.cache);
            }
            Ok(principal)
        }
        Ok(None) => Err(basic.refuse()),
        Err(_) => Err(RejectionKind::Internal.into()),
    }
}

fn overloaded() -> Rejection {
    Rejection::new(RejectionKind::Overloaded)
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Basic({:?})", self.users)
    }
}
