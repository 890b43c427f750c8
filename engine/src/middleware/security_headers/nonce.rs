//! The nonce of a request, and the layer that hands it to the handler and back to the header field.
//!
//! Innermost, where the request has been permitted: refusals have no part in it.

use std::convert::Infallible;
use std::fmt;
use std::str;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower_layer::Layer;
use tower_service::Service;

use crate::middleware::authorize::Permitted;
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

const RANDOM: usize = 16;
const WRITTEN: usize = 22;

/// A nonce of 128 random bits in URL-safe base64, made when it is first asked for.
#[derive(Default)]
pub struct CspNonce(OnceLock<[u8; WRITTEN]>);

impl CspNonce {
    /// The nonce.
    pub fn get(&self) -> &str {
        text(self.0.get_or_init(make))
    }

    /// The nonce, where anybody has asked for it.
    pub fn made(&self) -> Option<&str> {
        self.0.get().map(text)
    }
}

fn text(written: &[u8; WRITTEN]) -> &str {
    str::from_utf8(written).expect("base64 is ASCII")
}

fn make() -> [u8; WRITTEN] {
    let (mut random, mut written) = ([0; RANDOM], [0; WRITTEN]);
    getrandom::fill(&mut random).expect("the kernel gives randomness");
    let length =
        URL_SAFE_NO_PAD.encode_slice(random, &mut written).expect("16 bytes are 22 letters");
    debug_assert_eq!(length, WRITTEN);
    written
}

/// Until its answer is sent a nonce is a secret.
impl fmt::Debug for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CspNonce")
    }
}

/// Makes `CspNonces` services.
pub struct CspNonceLayer;

/// Gives every request a nonce, and its answer the same.
pub struct CspNonces<S>(S);

impl<S> Layer<S> for CspNonceLayer {
    type Service = CspNonces<S>;

    fn layer(&self, inner: S) -> CspNonces<S> {
        CspNonces(inner)
    }
}

impl<S> Service<Permitted<Request>> for CspNonces<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Permitted<Request>) -> Reply {
        let nonce = Arc::new(CspNonce::default());
        request.csp_nonce = Some(Arc::clone(&nonce));
        self.0.call(request).map(move |mut response| {
            response.csp_nonce = Some(nonce);
            response
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_nonce_is_made_once_and_never_again() {
        let nonces: HashSet<String> = (0..1000)
            .map(|_| {
                let nonce = CspNonce::default();
                assert_eq!(nonce.made(), None);
                let text = nonce.get().to_owned();
                assert_eq!(nonce.made(), Some(&*text));
                assert_eq!(nonce.get(), text);
                assert_eq!(URL_SAFE_NO_PAD.decode(&text).map(|bytes| bytes.len()), Ok(RANDOM));
                text
            })
            .collect();
        assert_eq!(nonces.len(), 1000);
    }
}
