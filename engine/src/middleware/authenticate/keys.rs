//! Verifying keys: a secret, a PEM public key, a JWK or a set of them, each bound to algorithms.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::config::decode::{Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};

/// A key and the algorithms that it may be used with.
pub struct Key {
    pub kid: Option<String>,
    pub algorithms: Vec<Algorithm>,
    pub verifying: DecodingKey,
}

/// How long an HMAC secret must be, in bytes: as long as the hash (RFC 7518, 3.2).
pub fn secret_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    }
}

fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

fn is_rsa(algorithm: Algorithm) -> bool {
    use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512)
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
            Diagnostic::error("E073", at, format!("{wrong:?} cannot be used with {what}"))
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
    let algorithms = bound(algorithms, is_hmac, "a secret", &secret.at, out)?;
    let bytes = secret.expose().as_bytes();
    let needed = algorithms.iter().map(|algorithm| secret_length(*algorithm)).max().unwrap_or(32);
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
    Some(vec![Key { kid: None, algorithms, verifying: DecodingKey::from_secret(bytes) }])
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
    let der_length = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(|line| line.trim().len())
        .sum::<usize>()
        * 3
        / 4;
    if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
        // A 2048-bit modulus alone has 256 bytes.
        if der_length < 256 {
            return bad(out, "the RSA key has less than 2048 bits");
        }
        let algorithms = bound(algorithms, is_rsa, "an RSA key", &pem.at, out)?;
        return Some(vec![Key { kid: None, algorithms, verifying: key }]);
    }
    if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        // SubjectPublicKeyInfo of P-256 has 91 bytes, of P-384 120.
        let fits = if der_length < 105 { Algorithm::ES256 } else { Algorithm::ES384 };
        let algorithms =
            bound(algorithms, |algorithm| algorithm == fits, "this elliptic curve", &pem.at, out)?;
        return Some(vec![Key { kid: None, algorithms, verifying: key }]);
    }
    if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
        let algorithms = bound(
            algorithms,
            |algorithm| algorithm == Algorithm::EdDSA,
            "an Ed25519 key",
            &pem.at,
            out,
        )?;
        return Some(vec![Key { kid: None, algorithms, verifying: key }]);
    }
    bad(out, "this is not a public key in PEM form")
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
    let keys: Vec<_> =
        jwks.iter().map(|jwk| one_jwk(jwk, jwks.len() > 1, algorithms, &value.at, out)).collect();
    keys.into_iter().collect()
}

fn one_jwk(
    value: &Value,
    of_many: bool,
    algorithms: &[Algorithm],
    at: &Location,
    out: &mut Diagnostics,
) -> Option<Key> {
    let mut bad = |message: &str| {
        out.error("E076", at, message);
        None::<Key>
    };
    if ["d", "p", "q", "dp", "dq", "qi"].iter().any(|member| value.get(member).is_some()) {
        return bad("this JWK has private members; they do not belong here");
    }
    let Ok(jwk) = serde_json::from_value::<Jwk>(value.clone()) else {
        return bad("this is not a JWK");
    };
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return bad("the JWK's `use` is not `sig`");
    }
    if jwk.common.key_operations.as_ref().is_some_and(|ops| !ops.contains(&KeyOperations::Verify)) {
        return bad("the JWK's `key_ops` do not include `verify`");
    }
    if of_many && jwk.common.key_id.is_none() {
        return bad("a key of a set needs a `kid`");
    }
    let modulus_bits = value.get("n").and_then(Value::as_str).map_or(0, |n| n.len() * 6);
    let fits: fn(Algorithm) -> bool = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) if modulus_bits < 2040 => {
            return bad("the RSA key has less than 2048 bits");
        }
        AlgorithmParameters::RSA(_) => is_rsa,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => |algorithm| algorithm == Algorithm::ES256,
            EllipticCurve::P384 => |algorithm| algorithm == Algorithm::ES384,
            _ => return bad("the JWK's curve is not P-256 or P-384"),
        },
        AlgorithmParameters::OctetKeyPair(_) => |algorithm| algorithm == Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(octets) => {
            let bytes = base64::Engine::decode(
                &base64::engine::general_purpose::URL_SAFE_NO_PAD,
                &octets.value,
            );
            let needed = algorithms
                .iter()
                .filter(|a| is_hmac(**a))
                .map(|a| secret_length(*a))
                .max()
                .unwrap_or(32);
            if bytes.map_or(0, |bytes| bytes.len()) < needed {
                return bad("the JWK's secret is too short for its algorithm");
            }
            is_hmac
        }
    };
    let mut usable: Vec<Algorithm> =
        algorithms.iter().copied().filter(|algorithm| fits(*algorithm)).collect();
    if let Some(named) = value.get("alg").and_then(Value::as_str) {
        usable.retain(|algorithm| format!("{algorithm:?}") == named);
    }
    if usable.is_empty() {
        return bad("none of `algorithms` can be used with this JWK");
    }
    match DecodingKey::from_jwk(&jwk) {
        Ok(key) => Some(Key { kid: jwk.common.key_id, algorithms: usable, verifying: key }),
        Err(_) => bad("this JWK cannot be used"),
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?} {:?})", self.kid, self.algorithms)
    }
}
