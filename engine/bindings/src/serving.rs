//! A worker's life on its I/O thread: it serves, takes over plans, is switched, and ends.
//!
//! A plan is taken over in two steps. *Prepared*: its chains are assembled beside the requests.
//! *Commit*: it is put in place between two of them. Those under way keep what they hold of the old
//! plan, which is taken apart when the last of them has ended.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pybolt_engine::engine::{Engine, Live, Surroundings};
use pybolt_engine::middleware::maintenance::Switches;
use pybolt_engine::server::{self, Drain};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bridge::Bridge;
use crate::generation::Generation;
use crate::memory::give_back;
use crate::orders::Ending;
use crate::reads::Reads;
use crate::reports::Reports;

/// The drain that the end of the control pipe begins.
const ORPHAN_DRAIN: Duration = Duration::from_secs(1);

/// What the I/O thread does between requests.
pub enum Turn {
    /// Assembles the plan of this number and waits.
    Prepared(u64, Arc<Generation>),
    /// Puts it in place.
    Commit(u64),
    /// Forgets it.
    Abort(u64),
    /// Assembles the present plan anew, as it is switched.
    Switch(u64, Switches),
}

/// A plan that waits for its commit, assembled as this worker is switched.
struct Next {
    number: u64,
    generation: Arc<Generation>,
    engine: Engine,
}

/// Serves `listeners` until told to end.
pub async fn serve(
    bridge: Arc<Bridge>,
    listeners: Vec<TcpListener>,
    switches: Switches,
    endings: UnboundedReceiver<Ending>,
    turns: UnboundedReceiver<Turn>,
    reports: Reports,
) -> std::io::Result<()> {
    let drain = Drain::default();
    let terminate = signal(SignalKind::terminate())?;
    actix_rt::spawn(end(Arc::clone(&bridge), drain.clone(), endings, terminate));
    actix_rt::spawn(give_back(drain.clone()));
    actix_rt::spawn(Reads::run(Arc::clone(&bridge)));
    let answering = Arc::clone(&bridge);
    actix_rt::spawn(async move { answering.completions.hand_out().await });
    let surroundings = Surroundings { drain: drain.clone(), switches, explains: false };
    let generation = Arc::clone(&bridge.generation.lock());
    let engine = assemble(&bridge, &generation, surroundings.clone(), None).await;
    // The first request is decided by its stores; who comes meanwhile waits in the kernel's queue.
    generation.plan.start();
    tokio::select! {
        () = generation.plan.started() => {}
        () = drain.begun() => {}
    }
    drop(generation);
    let live = Live::new(engine);
    let worker = Worker {
        live: live.clone(),
        surroundings,
        bridge,
        reports: reports.clone(),
        next: None,
        aborted: 0,
    };
    // One that ends already takes nobody's place.
    let ends = drain.is_draining();
    let serving = server::serve(live, listeners, drain);
    actix_rt::spawn(worker.take(turns));
    if !ends {
        reports.say(json!({"is": "ready"}));
    }
    serving.await
}

/// Assembles the chains of a generation.
pub async fn assemble(
    bridge: &Arc<Bridge>,
    generation: &Arc<Generation>,
    surroundings: Surroundings,
    before: Option<&Live>,
) -> Engine {
    let plan = Arc::clone(&generation.plan);
    Engine::assemble(plan, surroundings, before, |route| generation.handler(bridge, route)).await
}

async fn end(
    bridge: Arc<Bridge>,
    drain: Drain,
    mut endings: UnboundedReceiver<Ending>,
    mut terminate: tokio::signal::unix::Signal,
) {
    loop {
        let ending = tokio::select! {
            ending = endings.recv() => ending.unwrap_or(Ending::Drain),
            _ = terminate.recv() => Ending::Drain,
        };
        let timeout = bridge.generation.lock().plan.server.drain_timeout;
        drain.begin(match ending {
            Ending::Now => Duration::ZERO,
            Ending::Orphaned => ORPHAN_DRAIN.min(timeout),
            Ending::Drain => timeout,
        });
    }
}

/// What takes turns.
struct Worker {
    live: Live,
    surroundings: Surroundings,
    bridge: Arc<Bridge>,
    reports: Reports,
    next: Option<Next>,
    /// The number of the last plan that is not to be kept, were it built after that was said.
    aborted: u64,
}

impl Worker {
    async fn take(mut self, mut turns: UnboundedReceiver<Turn>) {
        while let Some(turn) = turns.recv().await {
            match turn {
                Turn::Prepared(number, _) if number <= self.aborted => {}
                Turn::Prepared(number, generation) => {
                    // Nobody who comes after the commit waits for a connection.
                    generation.plan.start();
                    generation.plan.started().await;
                    let hash = generation.plan.version.hash.clone();
                    self.prepare(number, generation).await;
                    self.reports.say(json!({"is": "prepared", "number": number, "hash": hash}));
                }
                Turn::Commit(number) => match self.next.take_if(|next| next.number == number) {
                    Some(next) => {
                        self.commit(next);
                        self.reports.say(json!({"is": "committed", "number": number}));
                    }
                    None => {
                        let reason = "it is not prepared";
                        self.reports
                            .say(json!({"is": "refused", "number": number, "reason": reason}));
                    }
                },
                Turn::Abort(number) => {
                    self.aborted = number;
                    if let Some(next) = self.next.take_if(|next| next.number == number) {
                        retire(Some(next.engine));
                    }
                }
                Turn::Switch(number, switches) => {
                    let surroundings = Surroundings { switches, ..self.surroundings.clone() };
                    self.surroundings = surroundings.clone();
                    let present = Arc::clone(&self.bridge.generation.lock());
                    let live = Some(&self.live);
                    let engine = assemble(&self.bridge, &present, surroundings, live).await;
                    retire(self.live.swap(engine));
                    // What waits is to be committed as it is switched now, not as it was.
                    if let Some(Next { number, generation, engine }) = self.next.take() {
                        retire(Some(engine));
                        self.prepare(number, generation).await;
                    }
                    self.reports.say(json!({"is": "switched", "number": number}));
                }
            }
        }
    }

    async fn prepare(&mut self, number: u64, generation: Arc<Generation>) {
        let surroundings = self.surroundings.clone();
        let engine = assemble(&self.bridge, &generation, surroundings, None).await;
        self.next = Some(Next { number, generation, engine });
    }

    fn commit(&mut self, next: Next) {
        let old = std::mem::replace(&mut *self.bridge.generation.lock(), next.generation);
        let engine = self.live.swap(next.engine);
        drop(old);
        retire(engine);
    }
}

fn retire(engine: Option<Engine>) {
    if let Some(engine) = engine {
        actix_rt::spawn(engine.retire());
    }
}
