//! Address rules: which clients may use a route at all, by their address.
//!
//! Below the gate, above everything that counts or costs. The address is the client's, as trusted
//! proxies tell it (`client_ip.rs`). `deny` goes before `allow`; where `allow` is given, whoever is
//! not in it is refused. IPv4 addresses mapped into IPv6 are IPv4 ones, in rules and in requests.
//! CORS answers preflights above: they carry no request yet.
//!
//! Options: `ip: {allow: [10.0.0.0/8, "fd00::/8"], deny: [10.6.6.6]}`. Refusal: `forbidden_address`.
//! Example: `{prefix: /admin, ip: {allow: [10.0.0.0/8]}}`.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::client_ip::ClientIpPolicy;
use super::policy_layer::{Inner, policy_layer};
use super::rejection::{Rejection, RejectionKind};
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::reply::Reply;
use crate::request::Request;

config! {
    /// Address rules.
    pub struct IpConfig {
        /// The only networks whose clients are let in; all are where nothing is said.
        allow: Spanned<Vec<Spanned<String>>> = optional like ["10.0.0.0/8"],
        /// The networks whose clients are refused, whatever `allow` says.
        deny: Spanned<Vec<Spanned<String>>> = optional like ["10.6.6.6"],
    }
}

/// Compiled address rules.
#[derive(Debug)]
pub struct IpPolicy {
    allow: Option<Arc<[IpNet]>>,
    deny: Arc<[IpNet]>,
}

impl IpConfig {
    /// Checks and compiles the block at `at`.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<IpPolicy> {
        if self.allow.is_none() && self.deny.is_none() {
            out.push(
                Diagnostic::error("E130", at, "these rules rule nothing")
                    .hint("write `allow` or `deny`, or switch the slot `off`"),
            );
            return None;
        }
        let mut networks = |list: &Spanned<Vec<Spanned<String>>>| {
            if list.is_empty() {
                out.push(
                    Diagnostic::error("E130", &list.at, "an empty list of networks")
                        .hint("name the networks, or remove the key"),
                );
                return None;
            }
            let compiled = ClientIpPolicy::networks(list, out);
            (compiled.len() == list.len()).then_some(compiled)
        };
        let allow = self.allow.as_ref().map(&mut networks);
        let deny = self.deny.as_ref().map(&mut networks);
        Some(IpPolicy {
            allow: allow.map_or(Some(None), |list| list.map(Some))?,
            deny: deny.unwrap_or_else(|| Some(Arc::new([])))?,
        })
    }
}

impl IpPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let join = |networks: &[IpNet]| {
            networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let allow = self.allow.as_ref().map(|networks| format!("allow {}", join(networks)));
        let deny = (!self.deny.is_empty()).then(|| format!("deny {}", join(&self.deny)));
        allow.into_iter().chain(deny).collect::<Vec<_>>().join(", ")
    }

    /// Whether a client of this address is let in.
    fn admits(&self, address: IpAddr) -> bool {
        let within = |networks: &[IpNet]| networks.iter().any(|net| net.contains(&address));
        !within(&self.deny) && self.allow.as_ref().is_none_or(|allow| within(allow))
    }
}

policy_layer! {
    /// Makes [`Ip`] services.
    IpLayer;
    /// Lets clients in or refuses them, by their address.
    Ip(IpPolicy) for Request
}

impl<S: Inner<Request>> Ip<S> {
    fn answer(&mut self, request: Request) -> Reply {
        if self.policy.admits(request.client_ip) {
            return self.inner.call(request);
        }
        Rejection::new(RejectionKind::ForbiddenAddress).into_response(request.form).into()
    }
}
