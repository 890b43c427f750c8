//! Policies, compiled once for each definition or inline block and shared by all routes that have
//! them: a limiter's counts, and the memory of ten thousand routes, depend on it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::merge::conflict;
use super::{PythonPolicy, PythonRun};
use crate::config::decode::{Named, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::document::{DefineConfig, Document, PythonConfig};

/// Words that mean something in a slot.
const RESERVED: [&str; 6] = ["on", "off", "public", "deny", "django", "default"];

/// The definitions of one kind and what has been compiled of it.
pub struct Kind<'a, C, P> {
    key: &'static str,
    definitions: HashMap<&'a str, &'a Spanned<C>>,
    /// Definitions whose mistakes are recorded already.
    broken: HashSet<&'a str>,
    used: HashSet<&'a str>,
    compiled: HashMap<Location, Option<Arc<P>>>,
}

/// The kind whose definitions stand under `define.$name`.
macro_rules! kind {
    ($name:ident, $documents:expr, $out:expr) => {
        $crate::plan::policies::Kind::collect(
            stringify!($name),
            $documents,
            |define| &define.$name,
            $out,
        )
    };
}

pub(super) use kind;

impl<'a, C, P> Kind<'a, C, P> {
    /// A kind of policy that is only ever written in place.
    pub fn undefined(key: &'static str) -> Self {
        Self {
            key,
            definitions: HashMap::new(),
            broken: HashSet::new(),
            used: HashSet::new(),
            compiled: HashMap::new(),
        }
    }

    /// Collects the definitions of one kind from all documents.
    pub fn collect(
        key: &'static str,
        documents: &'a [Document],
        get: impl Fn(&'a DefineConfig) -> &'a Named<C>,
        out: &mut Diagnostics,
    ) -> Self {
        let mut definitions: HashMap<&str, &Spanned<C>> = HashMap::new();
        let mut broken = HashSet::new();
        for define in
            documents.iter().filter_map(|document| document.config.define.as_ref()?.0.as_ref())
        {
            broken.extend(get(define).broken.iter().map(String::as_str));
            for (name, definition) in &get(define).entries {
                if RESERVED.contains(&name.as_str()) {
                    out.push(
                        Diagnostic::error(
                            "E023",
                            &definition.at,
                            format!("`{name}` cannot name a definition"),
                        )
                        .at_key()
                        .hint("it means something else in a slot"),
                    );
                }
                if let Some(other) = definitions.insert(name, definition) {
                    out.push(conflict(&format!("define.{key}.{name}"), &other.at, &definition.at));
                }
            }
        }
        Self { key, definitions, broken, used: HashSet::new(), compiled: HashMap::new() }
    }

    /// The definition called `name`, or a recorded mistake.
    pub fn named(
        &mut self,
        name: &str,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<&'a Spanned<C>> {
        if let Some((known, definition)) = self.definitions.get_key_value(name) {
            self.used.insert(known);
            return Some(definition);
        }
        if self.broken.contains(name) {
            return None;
        }
        let mut diagnostic =
            Diagnostic::error("E020", at, format!("no `{name}` in define.{}", self.key));
        diagnostic.hint = Some(match did_you_mean(name, self.definitions.keys().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("define it: `define: {{{}: {{{name}: …}}}}`", self.key),
        });
        out.push(diagnostic);
        None
    }

    /// Whether the definition called `name` stands at `at`.
    pub fn defines(&self, name: &str, at: &Location) -> bool {
        self.definitions.get(name).is_some_and(|definition| definition.at == *at)
    }

    /// The policy of the block at `at`, compiled on first use.
    pub fn policy(&mut self, at: &Location, compile: impl FnOnce() -> Option<P>) -> Option<Arc<P>> {
        if let Some(known) = self.compiled.get(at) {
            return known.clone();
        }
        let policy = compile().map(Arc::new);
        self.compiled.insert(at.clone(), policy.clone());
        policy
    }

    /// Compiles what nobody used, so that its mistakes are found too, and says that it is unused.
    pub fn finish(
        &mut self,
        mut compile: impl FnMut(&str, &Spanned<C>, &mut Diagnostics) -> Option<P>,
        out: &mut Diagnostics,
    ) {
        let mut unused: Vec<_> =
            self.definitions.iter().filter(|(name, _)| !self.used.contains(**name)).collect();
        unused.sort_unstable_by_key(|(name, _)| **name);
        for (name, definition) in unused {
            drop(compile(name, definition, out));
            // That it has another meaning in a slot is told already.
            if RESERVED.contains(name) {
                continue;
            }
            out.push(
                Diagnostic::warning(
                    "W021",
                    &definition.at,
                    format!("define.{}.{name} is never used", self.key),
                )
                .at_key(),
            );
        }
    }
}

impl PythonRun {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Inline => "inline",
            Self::Queue => "queue",
            Self::Thread => "thread",
        }
    }
}

impl Default for PythonPolicy {
    fn default() -> Self {
        Self {
            run: PythonRun::Auto,
            concurrency: None,
            queue: 0,
            max_wait: Duration::from_millis(250),
        }
    }
}

/// Checks and compiles a `python` block.
pub fn python(config: &PythonConfig, out: &mut Diagnostics) -> Option<PythonPolicy> {
    let run = match config.run.as_ref().map(|run| run.as_str()) {
        None | Some("auto") => PythonRun::Auto,
        Some("inline") => PythonRun::Inline,
        Some("queue") => PythonRun::Queue,
        Some("thread") => PythonRun::Thread,
        Some(other) => {
            let known = ["auto", "inline", "queue", "thread"];
            let hint = did_you_mean(other, known).map_or_else(
                || format!("write one of {}", known.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            let at = config.run.as_ref().map_or_else(Location::default, |run| run.at.clone());
            out.push(
                Diagnostic::error("E110", &at, format!("`{other}` is not a way to run")).hint(hint),
            );
            return None;
        }
    };
    let concurrency = bounded(config.concurrency.as_ref(), 1, out);
    let queue = bounded(config.queue.as_ref(), 0, out);
    if let (Some(queue), None) = (&config.queue, &config.concurrency) {
        out.push(
            Diagnostic::error("E111", &queue.at, "a queue without `concurrency` is never used")
                .hint("add `concurrency: 64`"),
        );
        return None;
    }
    if let Some(wait) = config.max_wait.as_ref().filter(|wait| wait.0.is_zero()) {
        out.push(
            Diagnostic::error("E112", &wait.at, "a place in a queue that nobody waits in")
                .hint("write `queue: 0` for none"),
        );
        return None;
    }
    if let Some(wait) = config.max_wait.as_ref().filter(|wait| wait.0 > Duration::from_secs(60)) {
        out.push(
            Diagnostic::error("E112", &wait.at, "nobody waits so long for a place")
                .hint("write at most `60s`"),
        );
        return None;
    }
    let default = PythonPolicy::default();
    Some(PythonPolicy {
        run,
        concurrency: concurrency?,
        queue: queue?.unwrap_or(default.queue),
        max_wait: config.max_wait.as_ref().map_or(default.max_wait, |wait| wait.0),
    })
}

fn bounded(
    value: Option<&Spanned<u64>>,
    least: u64,
    out: &mut Diagnostics,
) -> Option<Option<usize>> {
    match value {
        None => Some(None),
        Some(value) if (least..=1_000_000).contains(&value.value) => {
            usize::try_from(value.value).ok().map(Some)
        }
        Some(value) => {
            out.error(
                "E113",
                &value.at,
                format!("{} is not between {least} and 1000000", value.value),
            );
            None
        }
    }
}
