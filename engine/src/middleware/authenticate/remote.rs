//! A set of public keys at a URL, kept current in the background.
//!
//! One task of the worker fetches: at the start, every `refresh`, and early for a token whose `kid`
//! is not known, but never within `cooldown` of the last time. No request fetches anything; one
//! with an unknown `kid` waits for a fetch that is under way, for two seconds at most, and a `kid`
//! that was looked for in vain is refused at once. Keys stay while fetching fails
//! (`on_error: stale`) or are forgotten (`deny`), and the log says when that begins and ends.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::fetch::{Place, Unfetched};
use super::health::Health;
use super::jwks;
use super::keys::Key;
use super::signature::Algorithm;
use super::verified::Verified;
use super::verify::LastHeader;

/// Keys, and the tokens that they verified: those are forgotten with them.
#[derive(Debug, Default)]
pub struct KeySet {
    pub keys: Vec<Key>,
    pub header: LastHeader,
    pub verified: Verified,
}

/// The keys at a URL.
pub struct Remote {
    pub(super) place: Place,
    pub(super) algorithms: Vec<Algorithm>,
    timing: Timing,
    pub(super) forgets: bool,
    started: AtomicBool,
    phase: AtomicU8,
    pub(super) current: Mutex<Current>,
    /// When a fetch last ended, also for the plan before this one.
    pub(super) fetched: Mutex<Option<Instant>>,
    missed: Mutex<HashMap<Box<str>, Instant>>,
    /// Whether the last fetch brought no set, or there was none yet.
    failed: AtomicBool,
    pub(super) health: Health,
    /// Asks for a fetch before its time.
    wanted: Arc<Notify>,
    /// How many fetches have ended.
    rounds: watch::Sender<u64>,
}

#[derive(Default)]
pub struct Current {
    pub set: Arc<KeySet>,
    /// What the set was read from.
    pub bytes: Vec<u8>,
}

/// How often a set is fetched, and how long nothing is after a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub refresh: Duration,
    pub cooldown: Duration,
}

/// What the task does: [`Remote::phase`].
const FETCHING: u8 = 0;
const COOLING: u8 = 1;
const IDLE: u8 = 2;

/// So long a request waits for a fetch.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// So many unknown `kid`s are remembered.
const MISSED: usize = 1024;

/// A longer `kid` is nobody's.
const MAX_KID: usize = 256;

impl Remote {
    pub(super) fn new(
        place: Place,
        algorithms: Vec<Algorithm>,
        timing: Timing,
        forgets: bool,
    ) -> Self {
        Self {
            place,
            algorithms,
            timing,
            forgets,
            started: AtomicBool::new(false),
            phase: AtomicU8::new(FETCHING),
            current: Mutex::default(),
            fetched: Mutex::default(),
            missed: Mutex::default(),
            failed: AtomicBool::new(true),
            health: Health::default(),
            wanted: Arc::new(Notify::new()),
            rounds: watch::Sender::new(0),
        }
    }

    /// The keys that are known now.
    pub fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.lock().set)
    }

    /// The algorithms that a key may have.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Where the keys are.
    pub fn host(&self) -> &str {
        self.place.url.host_str().unwrap_or_default()
    }

    /// Begins to fetch, once; where there is no runtime, later.
    pub fn start(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.started.swap(true, Ordering::Relaxed)
        {
            runtime.spawn(keep(Arc::downgrade(self), Arc::clone(&self.wanted), self.timing));
        }
    }

    /// Whether waiting may bring a key called `kid`; if so, what to wait for.
    pub fn look_for(
        self: &Arc<Self>,
        kid: Option<&str>,
    ) -> Option<impl Future<Output = ()> + use<>> {
        self.start();
        let kid = kid.unwrap_or_default();
        if kid.len() > MAX_KID || self.was_missed(kid) {
            return None;
        }
        let mut rounds = self.rounds.subscribe();
        match self.phase.load(Ordering::Relaxed) {
            COOLING => {
                // Too early for it; it is looked for when the time has come.
                self.wanted.notify_one();
                return None;
            }
            IDLE => self.wanted.notify_one(),
            _ => {}
        }
        Some(async move {
            tokio::time::timeout(MAX_WAIT, rounds.changed()).await.ok();
        })
    }

    fn was_missed(&self, kid: &str) -> bool {
        let missed = self.missed.lock();
        missed.get(kid).is_some_and(|since| since.elapsed() < self.timing.refresh)
    }

    /// Remembers that there is no key called `kid`.
    pub fn miss(&self, kid: Option<&str>) {
        // Nothing is known of a set that was not had.
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        let mut missed = self.missed.lock();
        if missed.len() >= MISSED {
            missed.clear();
        }
        missed.insert(kid.unwrap_or_default().into(), Instant::now());
    }

    /// Fetches the set and puts it in place of the last one.
    pub(super) async fn refresh(&self) {
        // A request that stops waiting meanwhile has learnt nothing either.
        self.failed.store(true, Ordering::Relaxed);
        let outcome = self.place.fetch().await.and_then(|bytes| self.replace(bytes));
        let failed = outcome.is_err();
        self.failed.store(failed, Ordering::Relaxed);
        self.health.note(&self.place, outcome.as_ref().copied());
        if failed && self.forgets {
            *self.current.lock() = Current::default();
        }
    }

    /// Puts a set in place of the last one, if it is one.
    fn replace(&self, bytes: Vec<u8>) -> Result<(), Unfetched> {
        let is_known = |known: &Current| !known.set.keys.is_empty() && known.bytes == bytes;
        if is_known(&self.current.lock()) {
            return Ok(());
        }
        let keys = self.usable(&bytes)?;
        let set = Arc::new(KeySet { keys, ..KeySet::default() });
        *self.current.lock() = Current { set, bytes };
        self.missed.lock().clear();
        Ok(())
    }

    pub(super) fn usable(&self, bytes: &[u8]) -> Result<Vec<Key>, Unfetched> {
        jwks::lenient(bytes, &self.algorithms).map_err(Unfetched::Useless)
    }
}

/// Fetches for as long as anybody holds the keys.
async fn keep(remote: Weak<Remote>, wanted: Arc<Notify>, timing: Timing) {
    let enter =
        |phase| remote.upgrade().inspect(|remote| remote.phase.store(phase, Ordering::Relaxed));
    // What the plan before this one has fetched need not be fetched again so soon.
    let mut since = remote.upgrade().and_then(|remote| *remote.fetched.lock());
    if since.is_some() {
        enter(COOLING);
    }
    loop {
        if since.is_none() {
            let Some(fetched) = enter(FETCHING) else { return };
            fetched.refresh().await;
            *fetched.fetched.lock() = Some(Instant::now());
            fetched.phase.store(COOLING, Ordering::Relaxed);
            fetched.rounds.send_modify(|rounds| *rounds += 1);
        }
        let age = since.take().map(|fetched| fetched.elapsed()).unwrap_or_default();
        tokio::time::sleep(timing.cooldown.saturating_sub(age)).await;
        if enter(IDLE).is_none() {
            return;
        }
        let rest = timing.refresh.saturating_sub(timing.cooldown.max(age));
        tokio::time::timeout(rest, wanted.notified()).await.ok();
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.place.shown())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::diagnostic::Location;
    use reqwest::Url;
    use std::sync::atomic::AtomicUsize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const X: &str = "JTnsBKhvKKULjGOWHUfVbuJ8lDJBh5ecnlGyiUHhVbM";
    pub const COOLDOWN: Duration = Duration::from_millis(200);
    const DAY: Duration = Duration::from_secs(86_400);

    /// A server of keys that answers what it is told to.
    pub struct Server {
        answer: Arc<Mutex<Option<String>>>,
        asked: Arc<AtomicUsize>,
        pub url: Url,
    }

    impl Server {
        pub async fn open() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
            let server = Self { answer: Arc::default(), asked: Arc::default(), url };
            let (answer, asked) = (Arc::clone(&server.answer), Arc::clone(&server.asked));
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                    tokio::spawn(async move {
                        assert!(stream.read(&mut [0; 2048]).await.is_ok_and(|read| read > 0));
                        asked.fetch_add(1, Ordering::Relaxed);
                        let answer = answer.lock().clone();
                        match answer {
                            Some(answer) => stream.write_all(answer.as_bytes()).await.ok(),
                            // Slow: the answer does not come.
                            None => std::future::pending().await,
                        };
                    });
                }
            });
            server
        }

        pub fn says(&self, head: &str, body: &str) {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            *self.answer.lock() = Some(text);
        }

        pub fn has(&self, kids: &[&str]) {
            self.says("200 OK", &keys(kids));
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }

        pub fn remote(&self, refresh: Duration, forgets: bool) -> Arc<Remote> {
            let timing = Timing { refresh, cooldown: COOLDOWN };
            let algorithms = vec![Algorithm::named("EdDSA").unwrap()];
            Arc::new(Remote::new(
                Place::new(self.url.clone(), Location::default()),
                algorithms,
                timing,
                forgets,
            ))
        }
    }

    fn keys(kids: &[&str]) -> String {
        let key =
            |kid: &&str| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": kid});
        serde_json::json!({"keys": kids.iter().map(key).collect::<Vec<_>>()}).to_string()
    }

    fn known(remote: &Remote) -> Vec<String> {
        remote.set().keys.iter().filter_map(|key| key.kid.clone()).collect()
    }

    /// What a request with an unknown `kid` does; whether it waited.
    async fn look(remote: &Arc<Remote>, kid: &str) -> bool {
        let Some(fetched) = remote.look_for(Some(kid)) else { return false };
        fetched.await;
        if !known(remote).iter().any(|known| known == kid) {
            remote.miss(Some(kid));
        }
        true
    }

    async fn rounds(remote: &Arc<Remote>, at_least: u64) {
        let mut rounds = remote.rounds.subscribe();
        let waited = rounds.wait_for(|rounds| *rounds >= at_least);
        tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap().unwrap();
    }

    /// A server that has a key, and what has fetched it.
    async fn fetched(refresh: Duration, forgets: bool) -> (Server, Arc<Remote>) {
        let server = Server::open().await;
        server.has(&["one"]);
        let remote = server.remote(refresh, forgets);
        remote.start();
        rounds(&remote, 1).await;
        (server, remote)
    }

    async fn idle(remote: &Arc<Remote>) {
        while remote.phase.load(Ordering::Relaxed) != IDLE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn on_a_runtime(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future);
    }

    #[test]
    fn an_unknown_kid_brings_the_rotated_set_and_the_old_key_is_forgotten() {
        on_a_runtime(async {
            let server = Server::open().await;
            server.has(&["one"]);
            let remote = server.remote(DAY, false);
            assert!(look(&remote, "one").await, "the first request waits for the first set");
            assert_eq!(known(&remote), ["one"]);
            server.has(&["two"]);
            assert!(!look(&remote, "two").await, "nothing is fetched within the cooldown");
            // It is looked for when the cooldown is over, without another request.
            rounds(&remote, 2).await;
            assert_eq!(known(&remote), ["two"]);
            assert_eq!(server.asked(), 2);
        });
    }

    #[test]
    fn a_storm_of_unknown_kids_is_one_fetch_a_cooldown() {
        on_a_runtime(async {
            let (server, remote) = fetched(DAY, false).await;
            let start = Instant::now();
            let mut number = 0;
            while start.elapsed() < COOLDOWN * 4 {
                for _ in 0..50 {
                    number += 1;
                    if let Some(fetched) = remote.look_for(Some(&format!("kid-{number}"))) {
                        drop(fetched);
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert!(number > 500);
            // The first, and one for each cooldown that ended meanwhile.
            assert!((2..=6).contains(&server.asked()), "{}", server.asked());
        });
    }

    #[test]
    fn a_kid_that_was_looked_for_in_vain_is_refused_at_once() {
        on_a_runtime(async {
            let (server, remote) = fetched(DAY, false).await;
            idle(&remote).await;
            assert!(look(&remote, "../../etc/passwd").await);
            idle(&remote).await;
            assert!(!look(&remote, "../../etc/passwd").await);
            assert!(!look(&remote, &"x".repeat(300)).await, "a long kid is looked for");
            assert_eq!(server.asked(), 2);
            for number in 0..3_000 {
                remote.miss(Some(&number.to_string()));
            }
            assert!(remote.missed.lock().len() <= MISSED);
        });
    }

    #[test]
    fn a_kid_is_not_missed_because_the_server_failed() {
        on_a_runtime(async {
            let (server, remote) = fetched(DAY, false).await;
            idle(&remote).await;
            server.says("503 Service Unavailable", "");
            assert!(look(&remote, "two").await);
            idle(&remote).await;
            server.has(&["one", "two"]);
            assert!(look(&remote, "two").await, "a failed fetch said that there is no such key");
            assert_eq!(known(&remote), ["one", "two"]);
        });
    }

    #[test]
    fn keys_stay_while_the_server_fails_or_are_forgotten_where_it_says_so() {
        for forgets in [false, true] {
            on_a_runtime(async {
                let (server, remote) = fetched(COOLDOWN, forgets).await;
                let elsewhere = Server::open().await;
                elsewhere.has(&["evil"]);
                let evil = keys(&["evil"]);
                let mut round = 1;
                for (head, body) in [
                    ("500 Internal Server Error".to_owned(), evil.clone()),
                    ("200 OK".to_owned(), "{\"keys\": [".to_owned()),
                    ("200 OK".to_owned(), keys(&[])),
                    ("200 OK".to_owned(), format!("{evil}{}", " ".repeat(1 << 20))),
                    (format!("302 Found\r\nlocation: {}", elsewhere.url), String::new()),
                    ("302 Found\r\nlocation: /jwks".to_owned(), String::new()),
                ] {
                    server.says(&head, &body);
                    round += 2;
                    rounds(&remote, round).await;
                    let expected: &[&str] = if forgets { &[] } else { &["one"] };
                    assert_eq!(known(&remote), expected, "{head}");
                }
                assert_eq!(elsewhere.asked(), 0, "a redirect to another host was followed");
                server.has(&["one", "two"]);
                rounds(&remote, round + 2).await;
                assert_eq!(known(&remote), ["one", "two"]);
            });
        }
    }

    #[test]
    fn requests_do_not_wait_long_for_a_server_that_is_slow_or_dead() {
        on_a_runtime(async {
            let server = Server::open().await;
            let remote = server.remote(DAY, false);
            let start = Instant::now();
            assert!(look(&remote, "one").await);
            let took = start.elapsed();
            assert!(took >= MAX_WAIT && took < MAX_WAIT * 2, "{took:?}");
            assert!(known(&remote).is_empty());
            assert_eq!(server.asked(), 1, "one fetch at a time");
        });
    }

    #[test]
    fn nothing_is_fetched_for_keys_that_nobody_holds() {
        on_a_runtime(async {
            let server = Server::open().await;
            server.has(&["one"]);
            let remote = server.remote(COOLDOWN, false);
            remote.start();
            rounds(&remote, 1).await;
            drop(remote);
            tokio::time::sleep(COOLDOWN * 4).await;
            assert_eq!(server.asked(), 1);
        });
    }
}
