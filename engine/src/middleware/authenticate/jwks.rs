//! A set of public keys outside the configuration (RFC 7517, 5).
//!
//! Keys that are for something else (`use`, `key_ops`, an algorithm that is not listed) are passed
//! over, as the RFC asks. Symmetric keys are: who can read a set could sign with them.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::fetch::Place;
use super::keys::{self, Fault, Key};
use super::remote::{Remote, Timing};
use super::signature::Algorithm;
use super::strict_json::Object;
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::units::Span;

config! {
    /// A set of public keys (RFC 7517, 5) outside the configuration: one of `file`, `url`.
    pub struct JwksConfig one of [file, url] {
        /// A file with the set, from where the document is that says it; read at startup, at most
        /// 1 MiB.
        file: Spanned<String> = optional like "keys.json",
        /// Where the set is fetched from, by https; at most 1 MiB.
        url: Spanned<String> = optional like "https://id.example.com/jwks.json",
        /// How often it is fetched; `cooldown` to 1d, 5m unless told.
        refresh: Spanned<Span> = optional("5m"),
        /// How long nothing is fetched after a fetch; 30s to 1d.
        cooldown: Spanned<Span> = optional("30s"),
        /// While fetching fails: `stale` keeps the keys, `deny` forgets them.
        on_error: Spanned<String> = optional("stale") of ["stale", "deny"],
        /// Whether the set may come by http, from a server on this machine.
        insecure_http: bool = default(false),
    }
}

/// No set may be fetched more often.
const MIN_COOLDOWN: Duration = Duration::from_secs(30);

const DAY: Duration = Duration::from_secs(86_400);

/// What is said of a set without a key that can be told apart and fits.
const NONE_USABLE: &str = "none of its keys can be used with `algorithms`";

/// A longer set is not read.
pub const MAX_BYTES: u64 = 1 << 20;

impl JwksConfig {
    /// Checks and compiles what is said of a URL.
    pub fn remote(
        &self,
        written: &Spanned<String>,
        algorithms: &[Algorithm],
        out: &mut Diagnostics,
    ) -> Option<Remote> {
        let place = Place::compile(written, self.insecure_http, out);
        let mut bounded = |given: Option<&Spanned<Span>>, default, least| {
            let Some(span) = given else { return Some(default) };
            if (least..=DAY).contains(&span.0) {
                return Some(span.0);
            }
            let bounds = format!("write {} to 1d", Span(least));
            out.push(Diagnostic::error("E097", &span.at, "out of bounds").hint(bounds));
            None
        };
        let cooldown = bounded(self.cooldown.as_ref(), MIN_COOLDOWN, MIN_COOLDOWN)?;
        let default = Duration::from_secs(300).max(cooldown);
        let refresh = bounded(self.refresh.as_ref(), default, cooldown);
        let forgets = match self.on_error.as_ref().map(|told| (told.as_str(), &told.at)) {
            None | Some(("stale", _)) => Some(false),
            Some(("deny", _)) => Some(true),
            Some((other, at)) => {
                out.push(
                    Diagnostic::error("E097", at, format!("`{other}` is nothing to do"))
                        .hint("write `stale` or `deny`"),
                );
                None
            }
        };
        let timing = Timing { refresh: refresh?, cooldown };
        Some(Remote::new(place?, algorithms.to_vec(), timing, forgets?))
    }

    /// Whether nothing is said that only a URL could heed, or a recorded mistake.
    pub fn is_plain(&self, out: &mut Diagnostics) -> bool {
        let spans = [("refresh", &self.refresh), ("cooldown", &self.cooldown)];
        let spans = spans.map(|(key, span)| (key, span.as_ref().map(|span| &span.at)));
        let on_error = ("on_error", self.on_error.as_ref().map(|told| &told.at));
        let said = spans.into_iter().chain([on_error]);
        let mistakes = said.filter_map(|(key, at)| Some((key, at?))).map(|(key, at)| {
            out.push(
                Diagnostic::error("E088", at, format!("`{key}` is of a `url`, this is a file"))
                    .at_key()
                    .hint("remove it: the file is read at startup"),
            );
        });
        mistakes.count() == 0
    }
}

/// The keys in a file that is named at `at`.
pub fn from_file(
    path: &Path,
    at: &Location,
    algorithms: &[Algorithm],
    out: &mut Diagnostics,
) -> Option<Vec<Key>> {
    let keys = read(path).and_then(|bytes| strict(&bytes, algorithms));
    keys.map_err(|what| {
        out.push(
            Diagnostic::error("E088", at, format!("{}: {what}", path.display()))
                .hint("the file holds a JWK set: `{\"keys\": […]}`"),
        );
    })
    .ok()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path).map_err(told)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(told)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}

/// The keys of a set whose owner can be told of every mistake in it.
fn strict(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let set = members(bytes)?;
    let mut found = Vec::new();
    for (at, jwk) in set.iter().enumerate() {
        match public(jwk, algorithms) {
            Ok(key) if key.kid.is_none() && set.len() > 1 => {
                return Err(format!("keys[{at}]: a key of a set needs a `kid`"));
            }
            Ok(key) => found.push(key),
            Err(Fault::Unfit(_)) => {}
            Err(Fault::Broken(what)) => return Err(format!("keys[{at}]: {what}")),
        }
    }
    if found.is_empty() {
        return Err(NONE_USABLE.to_owned());
    }
    if keys::has_twins(&found) {
        return Err("two of its keys have the same `kid`".to_owned());
    }
    Ok(found)
}

/// The keys of a set that somebody else looks after, one at least: what is of no use is passed
/// over.
pub fn lenient(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let set = members(bytes)?;
    let usable = set.iter().filter_map(|jwk| public(jwk, algorithms).ok());
    let mut found: Vec<Key> = usable.collect();
    // Nobody can tell which of two is meant.
    let mut times: HashMap<Option<String>, usize> = HashMap::new();
    for key in &found {
        *times.entry(key.kid.clone()).or_default() += 1;
    }
    found.retain(|key| times.get(&key.kid) == Some(&1));
    if found.is_empty() { Err(NONE_USABLE.to_owned()) } else { Ok(found) }
}

fn members(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let mut set: Map<String, Value> = Object::read(bytes)
        .map_err(|_| "it is not JSON, or a member is there twice".to_owned())?
        .into();
    match set.remove("keys") {
        Some(Value::Array(keys)) => Ok(keys),
        _ => Err("it has no list of `keys`".to_owned()),
    }
}

fn public(jwk: &Value, algorithms: &[Algorithm]) -> Result<Key, Fault> {
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(Fault::Unfit("a symmetric key is no public one"));
    }
    keys::one_jwk(jwk, algorithms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Location;
    use serde_json::json;

    const X: &str = "JTnsBKhvKKULjGOWHUfVbuJ8lDJBh5ecnlGyiUHhVbM";

    fn keys(set: &Value) -> Result<Vec<String>, String> {
        let algorithms = [Algorithm::named("EdDSA").unwrap(), Algorithm::named("HS256").unwrap()];
        let found = strict(set.to_string().as_bytes(), &algorithms)?;
        Ok(found.into_iter().map(|key| key.kid.unwrap_or_default()).collect())
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        let key = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": kid});
        let mut encrypts = key("encrypts");
        encrypts["use"] = json!("enc");
        let mut signs = key("signs");
        signs["key_ops"] = json!(["sign"]);
        let mut other = key("other");
        other["alg"] = json!("RS256");
        let oct =
            json!({"kty": "oct", "kid": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
        let unknown = json!({"kty": "EC", "crv": "secp256k1", "kid": "unknown"});
        let set = json!({"keys": [encrypts, signs, other, oct, unknown, key("one"), key("two")]});
        assert_eq!(keys(&set).unwrap(), ["one", "two"]);
        assert!(keys(&json!({"keys": [encrypts, oct]})).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_set_is_told() {
        let key = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": kid});
        let mut private = key("one");
        private["d"] = json!("AA");
        let mut nameless = key("one");
        nameless.as_object_mut().unwrap().remove("kid");
        for (set, told) in [
            (json!({"keys": []}), "none of its keys"),
            (json!({"keyz": []}), "no list"),
            (json!([]), "not JSON"),
            (json!({"keys": [key("one"), key("one")]}), "same `kid`"),
            (json!({"keys": [private]}), "keys[0]: this JWK has private members"),
            (json!({"keys": [key("one"), nameless.clone()]}), "keys[1]: a key of a set"),
        ] {
            let found = keys(&set).unwrap_err();
            assert!(found.contains(told), "{set}: {found}");
        }
        assert_eq!(keys(&json!({"keys": [nameless]})).unwrap(), [""]);
        assert!(strict(b"{\"keys\": [], \"keys\": []}", &[]).unwrap_err().contains("twice"));
    }

    #[test]
    fn only_a_file_of_reasonable_size_is_read() {
        let directory = std::env::temp_dir().join(format!("pybolt-jwks-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let large = directory.join("large.json");
        fs::write(&large, vec![b' '; (1 << 20) + 1]).unwrap();
        for (path, told) in [
            (directory.clone(), "not a file"),
            (large, "larger than 1 MiB"),
            (directory.join("none.json"), "No such file"),
        ] {
            let mut out = Diagnostics::default();
            assert!(from_file(&path, &Location::document(0), &[], &mut out).is_none());
            let found = &out.as_slice()[0];
            assert_eq!(found.code, "E088");
            assert!(found.message.contains(told), "{}", found.message);
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
