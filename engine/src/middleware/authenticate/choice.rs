//! What a route asks: one method or several, in order, and whether nobody's requests pass.

use std::sync::Arc;

use super::{Answer, Authenticator, Place, Presented, Principal, Remote};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::http::{HeaderMap, HeaderValue, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

/// A method on its way into an [`Authentication`].
pub struct Candidate {
    /// Where it is named.
    pub at: Location,
    /// What messages call it.
    pub label: String,
    /// The method.
    pub method: Arc<Authenticator>,
}

/// The methods of a route.
#[derive(Debug)]
pub struct Authentication {
    methods: Vec<Method>,
    optional: bool,
    /// The challenges of all methods.
    challenges: Vec<HeaderValue>,
}

#[derive(Debug)]
struct Method {
    asks: Arc<Authenticator>,
    /// The challenges of the others, which its refusal lists after its own.
    others: Vec<HeaderValue>,
    /// The jwt methods, this one included, that read the same place and are told apart by issuer;
    /// empty where it is alone there.
    siblings: Vec<usize>,
}

impl Authentication {
    /// One method.
    pub fn one(method: Arc<Authenticator>, optional: bool) -> Self {
        let challenges = vec![method.challenge().clone()];
        let method = Method { asks: method, others: Vec::new(), siblings: Vec::new() };
        Self { methods: vec![method], optional, challenges }
    }

    /// Several methods, in the order in which they are asked; a method that could never be asked is
    /// a mistake.
    pub fn any(candidates: &[Candidate], optional: bool, out: &mut Diagnostics) -> Option<Self> {
        let hidden = candidates.iter().enumerate().filter(|(at, later)| {
            let earlier = &candidates[..*at];
            !earlier.iter().all(|earlier| stand_together(earlier, later, out))
        });
        if hidden.count() > 0 {
            return None;
        }
        let mut challenges: Vec<HeaderValue> = Vec::new();
        for candidate in candidates {
            if !challenges.contains(candidate.method.challenge()) {
                challenges.push(candidate.method.challenge().clone());
            }
        }
        let place: Vec<Place> = candidates.iter().map(|one| one.method.place()).collect();
        let method = |(at, candidate): (usize, &Candidate)| {
            let own = candidate.method.challenge();
            let others = challenges.iter().filter(|other| *other != own).cloned().collect();
            let mut siblings: Vec<usize> =
                (0..place.len()).filter(|other| place[*other] == place[at]).collect();
            if siblings.len() == 1 {
                siblings.clear();
            }
            Method { asks: Arc::clone(&candidate.method), others, siblings }
        };
        let methods = candidates.iter().enumerate().map(method).collect();
        Some(Self { methods, optional, challenges })
    }

    /// Whether a request without credentials passes, as nobody's.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// Whether browsers send credentials of a kind by themselves, whoever made them ask.
    pub fn is_ambient(&self) -> bool {
        let ambient = |place| matches!(place, Place::Cookie(_) | Place::Scheme(_, "basic"));
        self.methods.iter().any(|one| ambient(one.asks.place()))
    }

    /// Who is asking, `None` for nobody where that is allowed; or `unauthorized` with every
    /// challenge, or `bad_header` for repeated credentials.
    pub fn authenticate(self: &Arc<Self>, parts: &Parts) -> Answer<Option<Arc<Principal>>> {
        let at = match self.choose(parts) {
            Ok(Some(at)) => at,
            Ok(None) if self.optional => return Answer::Now(Ok(None)),
            Ok(None) => return Answer::Now(Err(self.challenge())),
            Err(refusal) => return Answer::Now(Err(refusal)),
        };
        let method = &self.methods[at];
        match method.asks.authenticate(parts) {
            Answer::Now(found) => {
                Answer::Now(found.map(Some).map_err(|refusal| method.dress(refusal)))
            }
            Answer::Later(found) => {
                let methods = Arc::clone(self);
                Answer::Later(Box::pin(async move {
                    found.await.map(Some).map_err(|refusal| methods.methods[at].dress(refusal))
                }))
            }
        }
    }

    /// The refusal of a request without credentials.
    pub fn challenge(&self) -> Rejection {
        self.challenges.iter().fold(Rejection::new(RejectionKind::Unauthorized), |refusal, one| {
            refusal.with_header(header::WWW_AUTHENTICATE, one.clone())
        })
    }

    /// Begins what the methods do in the background: fetching keys.
    pub fn start(&self) {
        for one in &self.methods {
            one.asks.start();
        }
    }

    /// The URLs that keys come from.
    pub fn remotes(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.methods.iter().filter_map(|one| one.asks.remote())
    }

    /// Takes off a request what nobody behind may see, whichever method decided.
    pub fn conceal(&self, headers: &mut HeaderMap) {
        for one in &self.methods {
            one.asks.conceal(headers);
        }
    }

    /// The method that decides: the first that finds credentials of its kind, else the first that
    /// finds others where it looks, which it will refuse.
    fn choose(&self, parts: &Parts) -> Result<Option<usize>, Rejection> {
        if self.methods.len() == 1 && !self.optional {
            return Ok(Some(0));
        }
        let mut foreign = None;
        for (at, one) in self.methods.iter().enumerate() {
            match one.asks.presented(parts) {
                Presented::Own => return self.by_issuer(at, parts).map(Some),
                Presented::Foreign => foreign = foreign.or(Some(at)),
                Presented::Nothing => {}
            }
        }
        Ok(foreign)
    }

    /// The method at `first`, or the one of its siblings that issues the token.
    fn by_issuer(&self, first: usize, parts: &Parts) -> Result<usize, Rejection> {
        let chosen = &self.methods[first];
        let Authenticator::Jwt(jwt) = &*chosen.asks else { return Ok(first) };
        if chosen.siblings.is_empty() {
            return Ok(first);
        }
        let siblings = || {
            chosen.siblings.iter().filter_map(|at| match &*self.methods[*at].asks {
                Authenticator::Jwt(jwt) => Some((*at, &**jwt)),
                _ => None,
            })
        };
        let found = jwt.among(siblings, parts).map_err(|refusal| chosen.dress(refusal))?;
        Ok(found.unwrap_or(first))
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let methods: Vec<String> = self.methods.iter().map(|one| one.asks.summary()).collect();
        let mut summary = methods.join(", or ");
        if self.optional {
            summary.push_str(", or nobody");
        }
        summary
    }
}

impl Method {
    /// A refusal of this method with the challenges of the others.
    fn dress(&self, refusal: Rejection) -> Rejection {
        if refusal.kind != RejectionKind::Unauthorized {
            return refusal;
        }
        self.others.iter().fold(refusal, |refusal, one| {
            refusal.with_header(header::WWW_AUTHENTICATE, one.clone())
        })
    }
}

/// Whether both methods can be asked, or a recorded mistake.
fn stand_together(earlier: &Candidate, later: &Candidate, out: &mut Diagnostics) -> bool {
    if !earlier.method.place().hides(&later.method.place()) {
        return true;
    }
    let (Authenticator::Jwt(first), Authenticator::Jwt(second)) =
        (&*earlier.method, &*later.method)
    else {
        let message =
            format!("`{}` is never asked: {} reads the same place", later.label, earlier.label);
        out.push(
            Diagnostic::error("E086", &later.at, message)
                .hint("let it read another header, or leave it out")
                .related(&earlier.at, "this one decides"),
        );
        return false;
    };
    let message = match (first.issuers(), second.issuers()) {
        ([], _) => format!("`{}` has no `issuer`", earlier.label),
        (_, []) => format!("`{}` has no `issuer`", later.label),
        (first, second) => match first.iter().find(|issuer| second.contains(issuer)) {
            Some(both) => {
                format!("`{}` and `{}` both accept tokens of {both}", earlier.label, later.label)
            }
            None => return true,
        },
    };
    out.push(
        Diagnostic::error("E087", &later.at, message)
            .hint("jwt methods that read one place are told apart by `issuer`: give each its own")
            .related(&earlier.at, "the other one"),
    );
    false
}
