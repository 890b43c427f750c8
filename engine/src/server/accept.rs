//! The accept loop, and how many connections there may be.
//!
//! A connection past a cap is accepted, told so (503 `too_many_connections`) and closed; past
//! [`REFUSED_AT_ONCE`] of these it is closed without a word. Where the process has no descriptors
//! or memory left, accepting stops for [`BACK_OFF`] at a time; the log has one line when that
//! begins and one when it is over. A connection that was gone before it was accepted is nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_service::Service;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::connection::Connection;
use super::drain::Drain;
use super::limits::LimitsPolicy;
use crate::middleware::access_log::write_line;

/// How long accepting rests where nothing can be accepted.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How long nothing may have failed until accepting is well again.
const WELL: Duration = Duration::from_millis(500);

/// So many connections past a cap are told so at the same time.
const REFUSED_AT_ONCE: usize = 64;

/// The places for connections of one worker.
pub struct Places {
    limits: Rc<LimitsPolicy>,
    trusted: Arc<[IpNet]>,
    open: Cell<usize>,
    refused: Cell<usize>,
    by_address: RefCell<HashMap<IpAddr, usize>>,
}

/// One connection's place, until it is dropped.
pub struct Place {
    places: Rc<Places>,
    /// The address that it counts for.
    address: Option<IpAddr>,
    refused: bool,
}

impl Places {
    /// Places under `limits`, where `trusted` proxies have as many as they want.
    pub fn new(limits: Rc<LimitsPolicy>, trusted: Arc<[IpNet]>) -> Rc<Self> {
        Rc::new(Self {
            limits,
            trusted,
            open: Cell::new(0),
            refused: Cell::new(0),
            by_address: RefCell::default(),
        })
    }

    /// A place for a connection from `peer`, perhaps among the refused; none where there are
    /// enough of these.
    pub(super) fn take(self: &Rc<Self>, peer: IpAddr) -> Option<Place> {
        let refuse = || {
            let refused = self.refused.get();
            (refused < REFUSED_AT_ONCE).then(|| {
                self.refused.set(refused + 1);
                Place { places: Rc::clone(self), address: None, refused: true }
            })
        };
        if self.open.get() >= self.limits.connections {
            return refuse();
        }
        let peer = peer.to_canonical();
        let mut address = None;
        if let Some(cap) = self.limits.connections_per_address
            && !self.trusted.iter().any(|network| network.contains(&peer))
        {
            let key = site(peer);
            match self.by_address.borrow_mut().entry(key) {
                Entry::Occupied(known) if *known.get() >= cap => return refuse(),
                entry => *entry.or_insert(0) += 1,
            }
            address = Some(key);
        }
        self.open.set(self.open.get() + 1);
        Some(Place { places: Rc::clone(self), address, refused: false })
    }
}

/// What counts as one address: of IPv6 the network of a site.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Place {
    /// Whether the connection is past a cap.
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.places;
        if self.refused {
            places.refused.set(places.refused.get() - 1);
            return;
        }
        places.open.set(places.open.get() - 1);
        if let Some(address) = self.address
            && let Entry::Occupied(mut known) = places.by_address.borrow_mut().entry(address)
        {
            *known.get_mut() -= 1;
            if *known.get() == 0 {
                known.remove();
            }
        }
    }
}

/// Accepts connections for `service` until `drain` lets no more come.
pub async fn accept<S>(listener: TcpListener, service: Rc<S>, drain: Drain, places: Rc<Places>)
where
    S: Service<(Connection, Option<SocketAddr>), Response = ()> + 'static,
{
    let mut failed: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.lingered() => return,
        };
        if let Err(error) = &accepted
            && is_peers_affair(error)
        {
            continue;
        }
        match accepted {
            Ok((stream, peer)) => {
                if failed.is_some_and(|last| last.elapsed() > WELL) {
                    failed = None;
                    write_line(ACCEPTING);
                }
                if let Some(place) = places.take(peer.ip()) {
                    spawn(stream, peer, place, &*service, &drain);
                }
            }
            Err(_) => {
                if failed.replace(Instant::now()).is_none() {
                    write_line(NOT_ACCEPTING);
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

const NOT_ACCEPTING: &str = "{\"accepting\":false,\"reason\":\"no descriptors or memory left\"}\n";
const ACCEPTING: &str = "{\"accepting\":true}\n";

/// Whether an error of `accept` speaks of the connection and not of us.
fn is_peers_affair(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
            | ErrorKind::PermissionDenied
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

fn spawn<S>(stream: TcpStream, peer: SocketAddr, place: Place, service: &S, drain: &Drain)
where
    S: Service<(Connection, Option<SocketAddr>), Response = ()> + 'static,
{
    // Answers are written whole; waiting for more to send would only delay them.
    stream.set_nodelay(true).ok();
    let limits = Rc::clone(&place.places.limits);
    let connection = service.call((Connection::new(stream, limits, place), Some(peer)));
    let open = drain.open();
    actix_rt::spawn(async move {
        // A connection's errors are its client's affair: a reset, a timer that is over.
        connection.await.ok();
        drop(open);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_address: Option<usize>) -> Rc<Places> {
        let limits = LimitsPolicy {
            connections,
            connections_per_address: per_address,
            ..LimitsPolicy::default()
        };
        Places::new(Rc::new(limits), Arc::from(["10.0.0.0/8".parse().unwrap()]))
    }

    fn take(places: &Rc<Places>, peer: &str) -> Option<Place> {
        places.take(peer.parse().unwrap())
    }

    #[test]
    fn a_cap_holds_for_each_address_but_trusted_ones_and_a_place_is_given_back() {
        let places = places(100, Some(2));
        let refused = |peer| take(&places, peer).unwrap().is_refused();
        let held: Vec<_> = ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2"]
            .map(|peer| take(&places, peer).unwrap())
            .into();
        assert!(held.iter().all(|place| !place.is_refused()));
        assert!(refused("192.0.2.1") && refused("2001:db8::3"));
        assert!(!refused("192.0.2.2") && !refused("2001:db8:0:1::1"));
        let proxies: Vec<_> = (0..9).map(|_| take(&places, "10.1.1.1").unwrap()).collect();
        assert!(proxies.iter().all(|place| !place.is_refused()));
        drop(held);
        assert!(!refused("192.0.2.1") && places.by_address.borrow().is_empty());
        drop(proxies);
        assert_eq!((places.open.get(), places.refused.get()), (0, 0));
    }

    #[test]
    fn past_the_total_some_are_told_and_the_rest_is_dropped() {
        let places = places(1, None);
        let _held = take(&places, "192.0.2.1").unwrap();
        let told: Vec<_> =
            (0..REFUSED_AT_ONCE).map(|_| take(&places, "10.0.0.1").unwrap()).collect();
        assert!(told.iter().all(Place::is_refused));
        assert!(take(&places, "192.0.2.9").is_none());
    }
}
