//! Forwarded: what a Django project hears of the way of a request, it hears from trusted proxies.
//!
//! The settings of a project may believe `X-Forwarded-Proto` or `X-Forwarded-Host`
//! (`SECURE_PROXY_SSL_HEADER`, `USE_X_FORWARDED_HOST`), and its views the first address that they
//! find. On a route that Django answers such fields are removed unless the peer is one of
//! `server.trusted_proxies`; from those they pass as they are. `REMOTE_ADDR` and the scheme are what
//! the engine has found, whoever the peer is.
//!
//! Above the request headers, whose fields are ours. The fields: `Forwarded`, `X-Forwarded` and
//! whatever begins with `X-Forwarded-`, and those in [`OTHERS`]; another one that a project believes
//! is removed by `request_headers: {remove: [...]}`. No option, no refusal.

use ipnet::IpNet;

use super::authorize::Permitted;
use super::policy_layer::{Inner, policy_layer};
use crate::http::HeaderName;
use crate::reply::Reply;
use crate::request::Request;

/// Other fields that say where a request came from, or how.
pub const OTHERS: [&str; 9] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-scheme",
    "x-url-scheme",
];

/// Whose word on it is taken.
pub type Proxies = [IpNet];

policy_layer! {
    /// Makes [`Forwarded`] services.
    ForwardedLayer;
    /// Removes what strangers say of the way of their requests.
    Forwarded(Proxies) for Permitted<Request>
}

impl<S: Inner<Permitted<Request>>> Forwarded<S> {
    fn answer(&mut self, mut request: Permitted<Request>) -> Reply {
        let peer = request.peer.map(|peer| peer.ip().to_canonical());
        let trusts = |peer| self.policy.iter().any(|network| network.contains(&peer));
        if !peer.is_some_and(trusts) {
            request.headers.retain(|name, _| !is_forwarding(name));
        }
        self.inner.call(request)
    }
}

/// Whether a field says where a request came from; CGI takes `_` for `-`.
fn is_forwarding(name: &HeaderName) -> bool {
    let is = |known: &str, name: &[u8]| {
        name.len() == known.len()
            && name
                .iter()
                .zip(known.bytes())
                .all(|(byte, known)| *byte == known || (*byte == b'_' && known == b'-'))
    };
    let name = name.as_str().as_bytes();
    let begins = name.get(.."x-forwarded".len()).is_some_and(|begin| is("x-forwarded", begin));
    let ends = matches!(name.get("x-forwarded".len()), None | Some(b'-' | b'_'));
    (begins && ends) || is("forwarded", name) || OTHERS.iter().any(|known| is(known, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_known_and_nothing_else() {
        for (name, expected) in [
            ("x-forwarded-for", true),
            ("x-forwarded-proto", true),
            ("x_forwarded_host", true),
            ("x-forwarded_anything", true),
            ("x-forwarded", true),
            ("forwarded", true),
            ("x-real-ip", true),
            ("x_real_ip", true),
            ("x-forwardedness", false),
            ("forwarded-for", false),
            ("host", false),
            ("x-request-id", false),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(is_forwarding(&name), expected, "{name}");
        }
    }
}
