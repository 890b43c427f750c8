//! The algorithms that are accepted (RFC 7518, 3.1; RFC 8037) and the keys that verify with them.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm as Common, DecodingKey};
use sha2::{Sha256, Sha384, Sha512};

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// One that jsonwebtoken has.
    Common(Common),
    /// ECDSA over P-521 with SHA-512, which it has not.
    Es512,
}

impl Algorithm {
    /// Every algorithm under its name in `alg`.
    pub const ALL: [(&str, Self); 13] = [
        ("HS256", Self::Common(Common::HS256)),
        ("HS384", Self::Common(Common::HS384)),
        ("HS512", Self::Common(Common::HS512)),
        ("RS256", Self::Common(Common::RS256)),
        ("RS384", Self::Common(Common::RS384)),
        ("RS512", Self::Common(Common::RS512)),
        ("PS256", Self::Common(Common::PS256)),
        ("PS384", Self::Common(Common::PS384)),
        ("PS512", Self::Common(Common::PS512)),
        ("ES256", Self::Common(Common::ES256)),
        ("ES384", Self::Common(Common::ES384)),
        ("ES512", Self::Es512),
        ("EdDSA", Self::Common(Common::EdDSA)),
    ];

    /// The algorithm called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// How it is called in `alg`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Whether its key is a shared secret.
    pub fn is_hmac(self) -> bool {
        matches!(self, Self::Common(Common::HS256 | Common::HS384 | Common::HS512))
    }

    /// Whether its key is an RSA key.
    pub fn is_rsa(self) -> bool {
        use Common::{PS256, PS384, PS512, RS256, RS384, RS512};
        matches!(self, Self::Common(RS256 | RS384 | RS512 | PS256 | PS384 | PS512))
    }
}

/// What verifies a signature.
pub enum Verifying {
    /// A secret, made ready once for each hash.
    Secret(Box<(Hmac<Sha256>, Hmac<Sha384>, Hmac<Sha512>)>),
    /// A public key of jsonwebtoken's.
    Common(DecodingKey),
    /// A point on P-521.
    P521(ParsedPublicKey),
}

/// Room for the longest tag of HMAC's, 64 bytes, and for how base64 estimates its length.
const TAG: usize = 96;

impl Verifying {
    /// A secret.
    pub fn secret(bytes: &[u8]) -> Self {
        Self::Secret(Box::new((keyed(bytes), keyed(bytes), keyed(bytes))))
    }

    /// A P-521 key: an uncompressed point, or a DER `SubjectPublicKeyInfo`.
    pub fn p521(bytes: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, bytes).ok().map(Self::P521)
    }

    /// The P-521 key with these coordinates, each as long as the field (RFC 7518, 6.2.1.2).
    pub fn p521_coordinates(x: &str, y: &str) -> Option<Self> {
        let mut point = vec![4];
        for coordinate in [x, y] {
            let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
            point.extend((bytes.len() == 66).then_some(bytes)?);
        }
        Self::p521(&point)
    }

    /// Whether `signature`, in base64url, is this key's over `message`.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        match (self, algorithm) {
            (Self::Secret(keys), Algorithm::Common(algorithm)) => {
                let mut tag = [0; TAG];
                let Ok(length) = URL_SAFE_NO_PAD.decode_slice(signature, &mut tag) else {
                    return false;
                };
                let tag = &tag[..length];
                let (sha256, sha384, sha512) = &**keys;
                match algorithm {
                    Common::HS256 => is_tag(sha256, message, tag),
                    Common::HS384 => is_tag(sha384, message, tag),
                    Common::HS512 => is_tag(sha512, message, tag),
                    _ => false,
                }
            }
            (Self::Common(key), Algorithm::Common(algorithm)) => {
                jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
            }
            (Self::P521(key), Algorithm::Es512) => URL_SAFE_NO_PAD
                .decode(signature)
                .is_ok_and(|signature| key.verify_sig(message, &signature).is_ok()),
            _ => false,
        }
    }
}

fn keyed<M: Mac + KeyInit>(secret: &[u8]) -> M {
    <M as KeyInit>::new_from_slice(secret).expect("a secret of any length is a key of HMAC's")
}

/// Whether `tag`, the whole of it, is that of `message`; takes as long for every wrong one.
fn is_tag<M: Mac + Clone>(key: &M, message: &[u8], tag: &[u8]) -> bool {
    key.clone().chain_update(message).verify_slice(tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key, sign};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    };

    #[test]
    fn every_algorithm_has_one_name() {
        for (name, algorithm) in Algorithm::ALL {
            assert_eq!(Algorithm::named(name), Some(algorithm));
            assert_eq!(algorithm.name(), name);
        }
    }

    #[test]
    fn a_secret_verifies_the_whole_tag_of_the_hash_that_is_named_and_nothing_else() {
        let secret = [7; 64];
        let key = Verifying::secret(&secret);
        let named = [
            (Common::HS256, HMAC_SHA256),
            (Common::HS384, HMAC_SHA384),
            (Common::HS512, HMAC_SHA512),
        ];
        for (algorithm, hash) in named {
            let tag = sign(&Key::new(hash, &secret), b"a.b");
            let text = URL_SAFE_NO_PAD.encode(tag.as_ref());
            assert!(key.verifies(Algorithm::Common(algorithm), b"a.b", &text));
            assert!(!key.verifies(Algorithm::Common(algorithm), b"a.c", &text));
            assert!(!Verifying::secret(&[8; 64]).verifies(
                Algorithm::Common(algorithm),
                b"a.b",
                &text
            ));
            for (other, _) in named.iter().filter(|(other, _)| *other != algorithm) {
                assert!(!key.verifies(Algorithm::Common(*other), b"a.b", &text));
            }
            let shorter = URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]);
            for broken in ["", "AAAA", &shorter, &format!("{text}AAAA"), &"A".repeat(9_000), "="] {
                assert!(!key.verifies(Algorithm::Common(algorithm), b"a.b", broken), "{broken}");
            }
            assert!(!key.verifies(Algorithm::Common(Common::RS256), b"a.b", &text));
        }
    }

    #[test]
    fn es512_verifies_what_its_key_signed_and_nothing_else() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let coordinates = point[1..].chunks(66).map(|part| URL_SAFE_NO_PAD.encode(part));
        let [x, y] = coordinates.collect::<Vec<_>>().try_into().unwrap();
        let key = Verifying::p521_coordinates(&x, &y).unwrap();
        let signature = pair.sign(&SystemRandom::new(), b"a.b").unwrap();
        let text = URL_SAFE_NO_PAD.encode(signature);
        assert!(key.verifies(Algorithm::Es512, b"a.b", &text));
        assert!(!key.verifies(Algorithm::Es512, b"a.c", &text));
        assert!(!key.verifies(Algorithm::Common(Common::ES384), b"a.b", &text));
        for broken in ["", "AAAA", &text[1..], &format!("{text}AA"), &"A".repeat(176)] {
            assert!(!key.verifies(Algorithm::Es512, b"a.b", broken), "{broken}");
        }
        let other = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let other = Verifying::p521(other.public_key().as_ref()).unwrap();
        assert!(!other.verifies(Algorithm::Es512, b"a.b", &text));
    }

    #[test]
    fn only_points_on_p521_are_keys() {
        let other = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        assert!(Verifying::p521(other.public_key().as_ref()).is_none());
        let ones = URL_SAFE_NO_PAD.encode([1; 66]);
        assert!(Verifying::p521_coordinates(&ones, &ones).is_none());
        assert!(Verifying::p521_coordinates("AQ", "AQ").is_none());
    }
}
