//! The verification of one token: form, header, signature, claims, in this order.

use std::borrow::Cow;
use std::sync::Arc;

use super::keys::Key;
use super::remote::KeySet;
use super::signature::Algorithm;
use super::strict_json::{Json, Object};
use super::{Claims, Principal};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;

/// What the claims must say.
#[derive(Debug)]
pub struct Expectations {
    pub issuers: Vec<String>,
    pub audiences: Vec<String>,
    /// Seconds.
    pub leeway: f64,
    /// The claim with the roles.
    pub roles: String,
    /// The claim with the scopes.
    pub scopes: String,
}

/// Header members that change what a token means (RFC 7515, 4.1.11; RFC 7797); nobody here
/// understands any.
const REFUSED_MEMBERS: [&str; 2] = ["crit", "b64"];

/// The header of the token that was verified last, and what it means: the tokens of an issuer all
/// have the same, until it changes its keys.
#[derive(Debug, Default)]
pub struct LastHeader(Mutex<Option<(Box<str>, Meaning)>>);

/// What a header says: the algorithm, and the place of the key among the keys.
type Meaning = (Algorithm, usize);

impl LastHeader {
    fn meaning(&self, header: &str) -> Option<Meaning> {
        let last = self.0.lock();
        last.as_ref().filter(|(known, _)| **known == *header).map(|(_, meaning)| *meaning)
    }

    fn keep(&self, header: &str, meaning: Meaning) {
        *self.0.lock() = Some((header.into(), meaning));
    }
}

/// A token that is valid in every respect.
pub struct Valid {
    pub token: Arc<[u8]>,
    pub principal: Principal,
    /// Until when it is, in seconds since 1970.
    pub expires: f64,
}

/// Verifies a token at the time `now`, in seconds since 1970.
pub fn verify(token: &str, set: &KeySet, expected: &Expectations, now: f64) -> Option<Valid> {
    let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
    let (first, second) = (dots.next()?, dots.next()?);
    if dots.next().is_some() {
        return None;
    }
    let (message, signature) = (&token[..second], &token[second + 1..]);
    let (header, payload) = (&token[..first], &token[first + 1..second]);
    let known = set.header.meaning(header);
    let (algorithm, at) = match known {
        Some(meaning) => meaning,
        None => read_header(header, &set.keys)?,
    };
    let key = &set.keys[at];
    if !key.algorithms.contains(&algorithm)
        || !key.verifying.verifies(algorithm, message.as_bytes(), signature)
    {
        return None;
    }
    if known.is_none() {
        set.header.keep(header, (algorithm, at));
    }
    let mut room = [0; ROOM];
    let json = decoded(payload, &mut room)?;
    let claims = Object::read(&json).ok()?;
    let expires = check_claims(&claims, expected, now)?;
    let mut principal = principal(&claims, expected)?;
    let token: Arc<[u8]> = token.as_bytes().into();
    principal.claims = Claims::of(Arc::clone(&token));
    Some(Valid { token, principal, expires })
}

/// The JSON of the claims in a token.
pub fn payload(token: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(token.split(|byte| *byte == b'.').nth(1)?).ok()
}

/// What a header says.
fn read_header(header: &str, keys: &[Key]) -> Option<Meaning> {
    let mut room = [0; ROOM];
    let json = decoded(header, &mut room)?;
    let header = Object::read(&json).ok()?;
    if REFUSED_MEMBERS.iter().any(|member| header.get(member).is_some()) {
        return None;
    }
    if let Some(kind) = header.get("typ") {
        let kind = kind.as_str()?.to_ascii_lowercase();
        if !matches!(kind.as_str(), "jwt" | "at+jwt" | "application/at+jwt" | "application/jwt") {
            return None;
        }
    }
    let algorithm = Algorithm::named(header.get("alg")?.as_str()?)?;
    Some((algorithm, choose(&header, algorithm, keys)?))
}

/// The `kid` of a token whose key is none of these, if it is a token; one without is of an unknown
/// key where there are no keys.
pub fn unknown_key(token: &str, set: &KeySet) -> Option<Option<String>> {
    let (header, keys) = (token.split('.').next()?, &set.keys);
    if set.header.meaning(header).is_some() {
        return None;
    }
    let mut room = [0; ROOM];
    let json = decoded(header, &mut room)?;
    let header = Object::read(&json).ok()?;
    match header.get("kid") {
        None => keys.is_empty().then_some(None),
        Some(kid) => {
            let kid = kid.as_str()?;
            let fits = |key: &Key| key.kid.as_deref().map_or(keys.len() == 1, |known| known == kid);
            (!keys.iter().any(fits)).then(|| Some(kid.to_owned()))
        }
    }
}

/// Who says that it issued a token; nothing of it is verified.
pub fn unverified_issuer(token: &str) -> Option<String> {
    let json = payload(token.as_bytes())?;
    let claims = Object::read(&json).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// Room for most parts of tokens, once they are decoded.
const ROOM: usize = 512;

/// What is in a part, in `room` where it fits.
fn decoded<'a>(part: &str, room: &'a mut [u8]) -> Option<Cow<'a, [u8]>> {
    if base64::decoded_len_estimate(part.len()) > room.len() {
        return URL_SAFE_NO_PAD.decode(part).ok().map(Cow::Owned);
    }
    let length = URL_SAFE_NO_PAD.decode_slice(part, room).ok()?;
    Some(Cow::Borrowed(&room[..length]))
}

/// The place of the key that the header means: by `kid` among several, or without one the only key
/// that there is for its algorithm.
fn choose(header: &Object<'_>, algorithm: Algorithm, keys: &[Key]) -> Option<usize> {
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?),
    };
    match keys {
        [only] => match (&only.kid, kid) {
            (Some(known), Some(kid)) if known != kid => None,
            _ => Some(0),
        },
        _ if kid.is_some() => keys.iter().position(|key| key.kid.as_deref() == kid),
        _ => {
            let fits = |at: &usize| keys[*at].algorithms.contains(&algorithm);
            let mut fitting = (0..keys.len()).filter(fits);
            fitting.next().filter(|_| fitting.next().is_none())
        }
    }
}

/// Until when the claims hold, if they do.
fn check_claims(claims: &Object<'_>, expected: &Expectations, now: f64) -> Option<f64> {
    let leeway = expected.leeway;
    let date = |name: &str| match claims.get(name) {
        None => Some(None),
        Some(Json::Number(date)) => date.as_f64().filter(|date| *date >= 0.0).map(Some),
        Some(_) => None,
    };
    let expires = date("exp")?? + leeway;
    if expires <= now {
        return None;
    }
    if date("nbf")?.is_some_and(|from| from - leeway > now)
        || date("iat")?.is_some_and(|at| at - leeway > now)
    {
        return None;
    }
    if !expected.issuers.is_empty() {
        let issuer = claims.get("iss")?.as_str()?;
        expected.issuers.iter().find(|known| *known == issuer)?;
    }
    let audience: Vec<&str> = match claims.get("aud") {
        None => Vec::new(),
        Some(Json::Text(one)) => vec![one],
        Some(Json::Array(many)) => many.iter().map(Json::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    if !expected.audiences.is_empty()
        && !audience.iter().any(|named| expected.audiences.iter().any(|known| known == named))
    {
        return None;
    }
    Some(expires)
}

fn principal(claims: &Object<'_>, expected: &Expectations) -> Option<Principal> {
    let id = match claims.get("sub") {
        None => String::new(),
        Some(sub) => sub.as_str()?.to_owned(),
    };
    let one = |role: &str| vec![role.to_owned()];
    let split = |scopes: &str| scopes.split_ascii_whitespace().map(str::to_owned).collect();
    let roles = words(claims.get(&expected.roles), one)?;
    let mut scopes = words(claims.get(&expected.scopes), split)?;
    if expected.scopes == "scope" {
        scopes.extend(words(claims.get("scp"), split)?);
    }
    Some(Principal { id, roles, scopes, claims: Claims::default(), method: "jwt" })
}

/// A list of words, or a text that `read` makes words of; anything else is no claim of ours.
fn words(claim: Option<&Json<'_>>, read: impl Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    match claim {
        None | Some(Json::Null) => Some(Vec::new()),
        Some(Json::Text(text)) => Some(read(text)),
        Some(Json::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::authenticate::signature::Verifying;
    use aws_lc_rs::hmac::{HMAC_SHA256, Key as Secret, sign};
    use jsonwebtoken::Algorithm as Common;
    use serde_json::{Value, json};

    fn token(header: &Value, secret: u8) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(&json!({"exp": 9e9})));
        let tag = sign(&Secret::new(HMAC_SHA256, &[secret; 32]), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    fn set(keys: &[(&str, u8)]) -> KeySet {
        let key = |(kid, secret): &(&str, u8)| Key {
            kid: Some((*kid).to_owned()),
            algorithms: vec![Algorithm::Common(Common::HS256)],
            verifying: Verifying::secret(&[*secret; 32]),
        };
        KeySet { keys: keys.iter().map(key).collect(), ..KeySet::default() }
    }

    fn valid(token: &str, set: &KeySet) -> bool {
        let expected = Expectations {
            issuers: vec![],
            audiences: vec![],
            leeway: 0.0,
            roles: "roles".to_owned(),
            scopes: "scope".to_owned(),
        };
        verify(token, set, &expected, 0.0).is_some()
    }

    #[test]
    fn a_header_that_was_verified_last_says_of_the_next_token_what_it_says_itself() {
        let header = |kid: &str| json!({"alg": "HS256", "kid": kid});
        let known = set(&[("a", 1), ("b", 2)]);
        for _ in 0..3 {
            assert!(valid(&token(&header("a"), 1), &known));
            assert!(valid(&token(&header("a"), 1), &known));
            assert!(!valid(&token(&header("a"), 2), &known));
            assert!(valid(&token(&header("b"), 2), &known));
            assert!(!valid(&token(&header("b"), 1), &known));
            assert!(!valid(&token(&json!({"alg": "HS256", "kid": "a", "crit": []}), 1), &known));
            assert!(!valid(&token(&json!({"alg": "none", "kid": "a"}), 1), &known));
        }
        let strange = token(&header("c"), 1);
        assert_eq!(unknown_key(&strange, &known), Some(Some("c".to_owned())));
        assert_eq!(unknown_key(&token(&header("b"), 2), &known), None);
        // Other keys know nothing of it.
        let turned = set(&[("b", 2), ("a", 3)]);
        assert!(!valid(&token(&header("a"), 1), &turned));
        assert!(valid(&token(&header("a"), 3), &turned));
        assert!(valid(&token(&header("b"), 2), &turned));
    }
}
