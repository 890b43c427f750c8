//! Host: is the request meant for us? Decided by the engine before routing, refused by the gate.
//!
//! Exactly one well-formed `Host` (RFC 9112, 3.2); in absolute form the target's authority must be
//! the same. With `server.hosts` every other host is refused.
//!
//! Option: `server.hosts: [example.com, "*.example.com"]`. Refusals: `bad_host`, `misdirected`.

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::header;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

/// The hosts that are ours.
#[derive(Debug, Default)]
pub struct HostPolicy {
    /// Exact names, lower case.
    exact: Vec<Box<str>>,
    /// `.example.com` of `*.example.com`: subdomains, not the domain itself.
    suffixes: Vec<Box<str>>,
}

impl HostPolicy {
    /// Checks and compiles `server.hosts`; an empty list admits every well-formed host.
    pub fn compile(hosts: &[Spanned<String>], out: &mut Diagnostics) -> Self {
        let mut policy = Self::default();
        for host in hosts {
            let name = host.to_ascii_lowercase();
            let bare = name.strip_prefix("*.").unwrap_or(&name);
            if bare.contains('*')
                || bare.contains('/')
                || split_port(bare).is_none()
                || bare.is_empty()
            {
                out.push(
                    Diagnostic::error("E041", &host.at, format!("`{}` is not a host", host.value))
                        .hint("write a name such as `example.com` or `*.example.com`, without scheme and path"),
                );
            } else if name.starts_with("*.") {
                policy.suffixes.push(format!(".{bare}").into());
            } else {
                policy.exact.push(name.into());
            }
        }
        policy
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
        let (name, _) = split_port(host).ok_or_else(bad)?;
        if self.admits(name, host) {
            Ok(())
        } else {
            Err(Rejection::new(RejectionKind::Misdirected))
        }
    }

    fn admits(&self, name: &str, host: &str) -> bool {
        if self.exact.is_empty() && self.suffixes.is_empty() {
            return true;
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
            || self.suffixes.iter().any(|suffix| {
                name.len() > suffix.len()
                    && name.as_bytes()[name.len() - suffix.len()..]
                        .eq_ignore_ascii_case(suffix.as_bytes())
            })
    }
}

/// Splits `name[:port]`; `None` where it is not a host at all.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
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
