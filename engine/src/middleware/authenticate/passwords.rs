//! Users and what is kept of their passwords: lines of `name:hash[:role,…]` as `htpasswd -B` writes
//! them, with bcrypt or `{SHA256}` and 64 hexadecimal digits.
//!
//! A wrong password costs what the dearest of all users' costs, and so does an unknown name: time
//! tells nobody who is there. SHA-256 has no salt and is quick: it is for long random passwords.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bcrypt::HashParts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Principal;
use super::api_key::{digest, roles};

/// A dearer hash would keep a thread for seconds.
const MAX_COST: u32 = 14;

/// A cheaper hash is guessed in bulk.
pub const USUAL_COST: u32 = 10;

/// So many bytes of a password bcrypt reads, with the zero that it adds.
const BCRYPT_READS: usize = 72;

/// All users of a method.
#[derive(Default)]
pub struct Users {
    known: HashMap<Box<str>, User>,
    /// The largest cost of bcrypt; none where nobody has it.
    dearest: Option<u32>,
    /// The smallest.
    cheapest: Option<u32>,
}

struct User {
    stored: Stored,
    principal: Arc<Principal>,
}

/// What is kept of a password.
enum Stored {
    Bcrypt { hash: Box<str>, cost: u32 },
    Sha256([u8; 32]),
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.known.len())
    }
}

impl Users {
    /// Takes a line; a blank one or a comment is nobody.
    pub fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (name, rest) = line.split_once(':').ok_or("is not `name:hash[:role,…]`")?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err("has no name");
        }
        let (hash, roles_field) = rest.split_once(':').unwrap_or((rest, ""));
        if roles_field.contains(':') {
            return Err("is not `name:hash[:role,…]`");
        }
        let stored = stored(hash)?;
        if let Stored::Bcrypt { cost, .. } = stored {
            self.dearest = self.dearest.max(Some(cost));
            self.cheapest = Some(self.cheapest.map_or(cost, |known| known.min(cost)));
        }
        let principal = Arc::new(Principal {
            id: name.to_owned(),
            roles: roles(roles_field),
            method: "basic",
            ..Principal::default()
        });
        match self.known.insert(name.into(), User { stored, principal }) {
            Some(_) => Err("names a user who is there already"),
            None => Ok(()),
        }
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether a verification takes long.
    pub fn is_slow(&self) -> bool {
        self.dearest.is_some()
    }

    /// The smallest cost of bcrypt, where anybody has it.
    pub fn cheapest(&self) -> Option<u32> {
        self.cheapest
    }

    /// Whose name and password these are; takes as long for every pair that is nobody's.
    pub fn verify(&self, name: &str, password: &str) -> Option<Arc<Principal>> {
        let digested: [u8; 32] = Sha256::digest(password.as_bytes()).into();
        let readable = password.len() < BCRYPT_READS && !password.contains('\0');
        let user = self.known.get(name);
        let (fine, paid) = match user.map(|user| &user.stored) {
            Some(Stored::Bcrypt { hash, cost }) if readable => {
                (bcrypt::verify(password, hash).unwrap_or(false), Some(*cost))
            }
            Some(Stored::Sha256(digest)) => (bool::from(digest.ct_eq(&digested)), None),
            Some(Stored::Bcrypt { .. }) | None => (false, None),
        };
        if fine && !password.is_empty() {
            return user.map(|user| Arc::clone(&user.principal));
        }
        self.pay(paid);
        None
    }

    /// Does the work that is left of the dearest verification. One of cost `c` takes 2^c, so those
    /// of all costs from `c` to below `d` take together what `d` takes more than `c`.
    fn pay(&self, paid: Option<u32>) {
        let Some(dearest) = self.dearest else { return };
        for cost in paid.map_or(dearest..dearest + 1, |paid| paid..dearest) {
            std::hint::black_box(bcrypt::hash_with_salt("x", cost, [0; 16]).ok());
        }
    }
}

fn stored(hash: &str) -> Result<Stored, &'static str> {
    if let Some(hex) = hash.strip_prefix("{SHA256}") {
        let digest = digest(hex).ok_or("has no 64 hexadecimal digits after `{SHA256}`")?;
        if digest == <[u8; 32]>::from(Sha256::digest([])) {
            return Err("has the hash of nothing");
        }
        return Ok(Stored::Sha256(digest));
    }
    // `$2x$` is of an implementation with a known fault.
    let known = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
    let Some(parts) = known.then(|| HashParts::from_str(hash).ok()).flatten() else {
        return Err("has a hash that is neither bcrypt's nor `{SHA256}`");
    };
    match parts.get_cost() {
        cost @ 4..=MAX_COST => Ok(Stored::Bcrypt { hash: hash.into(), cost }),
        _ => Err("has a bcrypt cost that is not 4 to 14"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn users(lines: &[String]) -> Users {
        let mut users = Users::default();
        for line in lines {
            users.add(line).unwrap();
        }
        users
    }

    fn bcrypted(name: &str, password: &str, cost: u32) -> String {
        format!("{name}:{}", bcrypt::hash(password, cost).unwrap())
    }

    fn sha256(name: &str, password: &str) -> String {
        let digest = Sha256::digest(password);
        let halves = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex: String = halves.map(|half| char::from_digit(half.into(), 16).unwrap()).collect();
        format!("{name}:{{SHA256}}{hex}")
    }

    #[test]
    fn only_the_right_password_of_the_right_user() {
        let long = "x".repeat(72);
        let users = users(&[
            format!("{}:staff, ops", bcrypted("ann", "pässword", 4)),
            sha256("bob", "long-and-random"),
            bcrypted("cut", &long, 4),
            "# nobody".to_owned(),
            String::new(),
        ]);
        let ann = users.verify("ann", "pässword").unwrap();
        assert_eq!((ann.id.as_str(), ann.roles.join(" ").as_str()), ("ann", "staff ops"));
        assert_eq!(users.verify("bob", "long-and-random").unwrap().method, "basic");
        for (name, password) in [
            ("ann", "password"),
            ("ann", ""),
            ("ann", "long-and-random"),
            ("bob", "pässword"),
            ("bob", ""),
            ("Ann", "pässword"),
            ("", ""),
            ("zoe", "pässword"),
            ("ann", "pässword\0"),
            // bcrypt would read no further than the hash goes.
            ("cut", &long),
            ("cut", &format!("{long}y")),
        ] {
            assert!(users.verify(name, password).is_none(), "{name} {password}");
        }
    }

    #[test]
    fn lines_that_are_nobodys() {
        let hash = bcrypt::hash("x", 4).unwrap();
        for (line, told) in [
            ("ann".to_owned(), "name:hash"),
            (":x".to_owned(), "no name"),
            ("ann:secret".to_owned(), "neither"),
            ("ann:$apr1$x$y".to_owned(), "neither"),
            ("ann:{SHA}x".to_owned(), "neither"),
            ("ann:{SHA256}00".to_owned(), "64"),
            (sha256("ann", ""), "nothing"),
            (format!("ann:{}", hash.replace("$2b$", "$2x$")), "neither"),
            (format!("ann:{}", hash.replace("$04$", "$15$")), "cost"),
            (format!("ann:{}", hash.replace("$04$", "$03$")), "cost"),
            (format!("ann:{}", &hash[..59]), "neither"),
            (format!("ann:{hash}:a:b"), "name:hash"),
        ] {
            let found = Users::default().add(&line).unwrap_err();
            assert!(found.contains(told), "{line}: {found}");
        }
        let mut twice = users(&[bcrypted("ann", "x", 4)]);
        assert!(twice.add(&sha256("ann", "y")).is_err());
    }

    /// What this thread has had of a processor: others that are busy do not count.
    fn spent() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap()
    }

    #[test]
    fn a_wrong_password_costs_the_same_for_everybody_and_for_nobody() {
        let users =
            users(&[bcrypted("cheap", "x", 4), bcrypted("dear", "x", 8), sha256("quick", "x")]);
        let time = |name: &str| {
            let once = || {
                let start = spent();
                assert!(users.verify(name, "wrong").is_none());
                spent().saturating_sub(start)
            };
            (0..5).map(|_| once()).min().unwrap_or(Duration::MAX)
        };
        let dear = time("dear");
        // Unpaid, the cheap one would take a sixteenth.
        for name in ["cheap", "quick", "nobody"] {
            let took = time(name);
            assert!(took > dear / 3 && took < dear * 3, "{name}: {took:?}, dear: {dear:?}");
        }
    }
}
