//! Host: is the request meant for us? Decided by the engine before routing, refused by the gate.
//!
//! Exactly one well-formed `Host` (RFC 9112, 3.2); in absolute form the target's authority must be
//! the same. With `server.hosts` every other host is refused.
//!
//! Option: `server.hosts: [example.com, "*.example.com", "api.test:8443"]`; without a port any will
//! do. Refusals: `bad_host`, `misdirected`.

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::header;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

/// The hosts that are ours.
#[derive(Debug, Default)]
pub struct HostPolicy(Vec<Known>);

/// One host of ours.
#[derive(Debug)]
struct Known {
    /// A name, or `.example.com` of `*.example.com`: subdomains, not the domain itself.
    name: Box<str>,
    suffix: bool,
    /// The only port; none = any.
    port: Option<u16>,
}

impl HostPolicy {
    /// Checks and compiles `server.hosts`; an empty list admits every well-formed host.
    pub fn compile(hosts: &[Spanned<String>], out: &mut Diagnostics) -> Self {
        let mut known = Vec::new();
        for host in hosts {
            let suffix = host.starts_with("*.");
            let bare = if suffix { &host[2..] } else { &host.value };
            let Some((name, port)) = split_port(bare) else {
                out.push(
                    Diagnostic::error("E041", &host.at, format!("`{}` is not a host", host.value))
                        .hint("write a name such as `example.com` or `*.example.com`, without scheme and path"),
                );
                continue;
            };
            let name = without_root(name).to_ascii_lowercase();
            let name = if suffix { format!(".{name}") } else { name };
            known.push(Known { name: name.into(), suffix, port });
        }
        Self(known)
    }

    /// Whether the request is meant for us.
    ///
    /// # Errors
    /// `bad_host` without exactly one well-formed host, `misdirected` for somebody else's.
    pub fn check(&self, parts: &Parts) -> Result<(), Rejection> {
        let bad = || Rejection::new(RejectionKind::BadHost);
        let mut values = parts.headers.get_all(header::HOST);
        let host = values.next().ok_or_else(bad)?;
        if values.next().is_some() {
            return Err(bad());
        }
        let host = host.to_str().map_err(|_| bad())?;
        if parts
            .uri
            .authority()
            .is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host))
        {
            return Err(bad());
        }
        let (name, port) = split_port(host).ok_or_else(bad)?;
        if self.admits(without_root(name), port) {
            Ok(())
        } else {
            Err(Rejection::new(RejectionKind::Misdirected))
        }
    }

    /// Whether any well-formed host will do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this host is ours.
    pub fn admits(&self, name: &str, port: Option<u16>) -> bool {
        self.0.is_empty() || self.0.iter().any(|known| known.is(name, port))
    }
}

impl Known {
    fn is(&self, name: &str, port: Option<u16>) -> bool {
        let end = match name.len().checked_sub(self.name.len()) {
            Some(0) if !self.suffix => name.as_bytes(),
            Some(begin @ 1..) if self.suffix => &name.as_bytes()[begin..],
            _ => return false,
        };
        end.eq_ignore_ascii_case(self.name.as_bytes()) && (self.port.is_none() || self.port == port)
    }
}

/// A name without the dot that stands for the root: `example.com.` is `example.com`.
pub fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Splits `name[:port]`; `None` where it is not a host at all.
pub fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        let name = &host[..address.len() + 2];
        return match rest {
            "" => Some((name, None)),
            _ => Some((name, Some(port(rest.strip_prefix(':')?)?))),
        };
    }
    let (name, port) = match host.bytes().rposition(|byte| byte == b':') {
        Some(colon) => (&host[..colon], Some(port(&host[colon + 1..])?)),
        None => (host, None),
    };
    // Labels of letters, digits, `-` and `_`; a dot may end the name.
    let mut label_length = 0_usize;
    for byte in name.bytes() {
        match byte {
            b'.' if label_length > 0 => label_length = 0,
            b'-' | b'_' => label_length += 1,
            _ if byte.is_ascii_alphanumeric() => label_length += 1,
            _ => return None,
        }
    }
    (!name.is_empty() && name.len() <= 255).then_some((name, port))
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Location;

    fn policy(host: &str) -> (HostPolicy, Diagnostics) {
        let mut out = Diagnostics::default();
        let host = Spanned { value: host.to_owned(), at: Location::default() };
        (HostPolicy::compile(&[host], &mut out), out)
    }

    #[test]
    fn a_port_and_the_dot_of_the_root_mean_what_they_say() {
        for (host, name, port, expected) in [
            ("*.example.com:8443", "a.example.com", Some(8443), true),
            ("*.example.com:8443", "a.example.com", Some(443), false),
            ("*.example.com:8443", "a.example.com", None, false),
            ("*.example.com.", "a.b.example.com", Some(1), true),
            ("*.example.com", "example.com", None, false),
            ("*.example.com", ".example.com", None, false),
            ("*.example.com", "aexample.com", None, false),
            ("Example.com.", "example.COM", None, true),
            ("example.com.:8443", "example.com", Some(8443), true),
            ("[::1]", "[::1]", Some(80), true),
        ] {
            let (policy, out) = policy(host);
            assert!(out.as_slice().is_empty(), "{host}");
            assert_eq!(policy.admits(name, port), expected, "{host} {name} {port:?}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for host in ["", "*.", "*", "a.*.b", "a/b", "a:", "a:x", "a:70000", "*.*.b", "a b", "[::1"]
        {
            assert!(policy(host).1.has_errors(), "{host}");
        }
    }
}
