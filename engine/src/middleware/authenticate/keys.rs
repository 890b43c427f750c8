//! Verifying keys: a secret, a PEM public key, a JWK or a set of them, each bound to algorithms.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm as Common, DecodingKey};
use serde_json::Value;

use super::signature::{Algorithm, Verifying};
use crate::config::decode::{Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};

/// A key and the algorithms that it may be used with.
pub struct Key {
    pub kid: Option<String>,
    pub algorithms: Vec<Algorithm>,
    pub verifying: Verifying,
}

const ES256: Algorithm = Algorithm::Common(Common::ES256);
const ES384: Algorithm = Algorithm::Common(Common::ES384);
const ED_DSA: Algorithm = Algorithm::Common(Common::EdDSA);

/// How long the secret of the HMAC algorithms among these must be, in bytes: as long as the hash
/// (RFC 7518, 3.2).
fn secret_length(algorithms: &[Algorithm]) -> usize {
    let length = |algorithm: &Algorithm| match algorithm {
        Algorithm::Common(Common::HS384) => 48,
        Algorithm::Common(Common::HS512) => 64,
        _ => 32,
    };
    algorithms.iter().map(length).max().unwrap_or(32)
}

/// Keeps the algorithms that fit a key; none that fits, or one that does not, is a mistake.
fn bound(
    algorithms: &[Algorithm],
    fits: impl Fn(Algorithm) -> bool,
    what: &str,
    at: &Location,
    out: &mut Diagnostics,
) -> Option<Vec<Algorithm>> {
    if let Some(wrong) = algorithms.iter().find(|algorithm| !fits(**algorithm)) {
        out.push(
            Diagnostic::error("E073", at, format!("{} cannot be used with {what}", wrong.name()))
                .hint("a key is used with its own kind of algorithm only"),
        );
        return None;
    }
    Some(algorithms.to_vec())
}

/// The key of `secret`.
pub fn from_secret(
    secret: &Spanned<Secret>,
    algorithms: &[Algorithm],
    out: &mut Diagnostics,
) -> Option<Vec<Key>> {
    let algorithms = bound(algorithms, Algorithm::is_hmac, "a secret", &secret.at, out)?;
    let bytes = secret.expose().as_bytes();
    let needed = secret_length(&algorithms);
    if bytes.len() < needed {
        out.push(
            Diagnostic::error(
                "E074",
                &secret.at,
                format!("the secret has {} bytes; it needs {needed}", bytes.len()),
            )
            .hint("make one with `python -c 'import secrets; print(secrets.token_urlsafe(64))'`"),
        );
        return None;
    }
    let verifying = Verifying::secret(bytes);
    Some(vec![Key { kid: None, algorithms, verifying }])
}

/// The key of a PEM document.
pub fn from_pem(
    pem: &Spanned<String>,
    algorithms: &[Algorithm],
    out: &mut Diagnostics,
) -> Option<Vec<Key>> {
    let bad = |out: &mut Diagnostics, message: &str| {
        out.push(
            Diagnostic::error("E075", &pem.at, message)
                .hint("give the public key that begins with `-----BEGIN PUBLIC KEY-----`"),
        );
        None
    };
    if pem.contains("PRIVATE KEY") {
        return bad(out, "this is a private key; it does not belong here");
    }
    let bytes = pem.as_bytes();
    let body: String =
        pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let Ok(der) = STANDARD.decode(body) else {
        return bad(out, "this is not a public key in PEM form");
    };
    let (fits, what, verifying): (fn(Algorithm) -> bool, _, _) =
        if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            // A 2048-bit modulus alone has 256 bytes.
            if der.len() < 256 {
                return bad(out, "the RSA key has less than 2048 bits");
            }
            (Algorithm::is_rsa, "an RSA key", Verifying::Common(key))
        } else if let Some(key) = Verifying::p521(&der) {
            (|algorithm| algorithm == Algorithm::Es512, "this elliptic curve", key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            // SubjectPublicKeyInfo of P-256 has 91 bytes, of P-384 120.
            let fits: fn(Algorithm) -> bool = match der.len() {
                91 => |algorithm| algorithm == ES256,
                120 => |algorithm| algorithm == ES384,
                _ => return bad(out, "the key's curve is not P-256, P-384 or P-521"),
            };
            (fits, "this elliptic curve", Verifying::Common(key))
        } else if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            (|algorithm| algorithm == ED_DSA, "an Ed25519 key", Verifying::Common(key))
        } else {
            return bad(out, "this is not a public key in PEM form");
        };
    let algorithms = bound(algorithms, fits, what, &pem.at, out)?;
    Some(vec![Key { kid: None, algorithms, verifying }])
}

/// The keys of a JWK or a JWK set (RFC 7517).
pub fn from_jwk(
    value: &Spanned<Value>,
    algorithms: &[Algorithm],
    out: &mut Diagnostics,
) -> Option<Vec<Key>> {
    let parsed = match &value.value {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    let jwks = match parsed.get("keys").and_then(Value::as_array) {
        Some(keys) => keys.clone(),
        None => vec![parsed],
    };
    if jwks.is_empty() {
        out.error("E076", &value.at, "there are no keys in this set");
        return None;
    }
    let of_many = jwks.len() > 1;
    let read = |jwk| match one_jwk(jwk, algorithms) {
        Ok(key) if of_many && key.kid.is_none() => Err("a key of a set needs a `kid`"),
        Ok(key) => Ok(key),
        Err(Fault::Unfit(what) | Fault::Broken(what)) => Err(what),
    };
    let recorded =
        |found: Result<Key, &str>| found.map_err(|what| out.error("E076", &value.at, what)).ok();
    let keys: Vec<_> = jwks.iter().map(read).map(recorded).collect();
    let keys: Vec<Key> = keys.into_iter().collect::<Option<_>>()?;
    if has_twins(&keys) {
        out.error("E076", &value.at, "two keys of this set have the same `kid`");
        return None;
    }
    Some(keys)
}

/// Whether a `kid` means more than one of these keys.
pub fn has_twins(keys: &[Key]) -> bool {
    keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|known| known.kid == key.kid))
}

/// Why a JWK is no key for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is for something else: another use, another algorithm.
    Unfit(&'static str),
    /// It can be used for nothing, or is too weak.
    Broken(&'static str),
}

/// The key of one JWK, for these algorithms.
pub fn one_jwk(value: &Value, algorithms: &[Algorithm]) -> Result<Key, Fault> {
    let bad = |message| Err(Fault::Broken(message));
    if ["d", "p", "q", "dp", "dq", "qi"].iter().any(|member| value.get(member).is_some()) {
        return bad("this JWK has private members; they do not belong here");
    }
    let Ok(jwk) = serde_json::from_value::<Jwk>(value.clone()) else {
        return Err(Fault::Unfit("this is not a JWK"));
    };
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return Err(Fault::Unfit("the JWK's `use` is not `sig`"));
    }
    if jwk.common.key_operations.as_ref().is_some_and(|ops| !ops.contains(&KeyOperations::Verify)) {
        return Err(Fault::Unfit("the JWK's `key_ops` do not include `verify`"));
    }
    let modulus_bits = value.get("n").and_then(Value::as_str).map_or(0, |n| n.len() * 6);
    let fits: fn(Algorithm) -> bool = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) if modulus_bits < 2040 => {
            return bad("the RSA key has less than 2048 bits");
        }
        AlgorithmParameters::RSA(_) => Algorithm::is_rsa,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => |algorithm| algorithm == ES256,
            EllipticCurve::P384 => |algorithm| algorithm == ES384,
            EllipticCurve::P521 => |algorithm| algorithm == Algorithm::Es512,
            EllipticCurve::Ed25519 => {
                return bad("the JWK's curve is not P-256, P-384 or P-521");
            }
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve != EllipticCurve::Ed25519 => {
            return bad("the JWK's curve is not Ed25519");
        }
        AlgorithmParameters::OctetKeyPair(_) => |algorithm| algorithm == ED_DSA,
        AlgorithmParameters::OctetKey(octets) => {
            let length = URL_SAFE_NO_PAD.decode(&octets.value).map_or(0, |bytes| bytes.len());
            if length < secret_length(algorithms) {
                return bad("the JWK's secret is too short for its algorithm");
            }
            Algorithm::is_hmac
        }
    };
    let mut usable: Vec<Algorithm> =
        algorithms.iter().copied().filter(|algorithm| fits(*algorithm)).collect();
    if let Some(named) = value.get("alg").and_then(Value::as_str) {
        usable.retain(|algorithm| algorithm.name() == named);
    }
    if usable.is_empty() {
        return Err(Fault::Unfit("none of `algorithms` can be used with this JWK"));
    }
    let verifying = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P521 => {
            Verifying::p521_coordinates(&point.x, &point.y)
        }
        AlgorithmParameters::OctetKey(octets) => {
            URL_SAFE_NO_PAD.decode(&octets.value).ok().map(|bytes| Verifying::secret(&bytes))
        }
        _ => DecodingKey::from_jwk(&jwk).ok().map(Verifying::Common),
    };
    match verifying {
        Some(verifying) => Ok(Key { kid: jwk.common.key_id, algorithms: usable, verifying }),
        None => bad("this JWK cannot be used"),
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?} {:?})", self.kid, self.algorithms)
    }
}
