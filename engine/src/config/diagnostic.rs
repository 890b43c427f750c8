//! Startup mistakes: where, what, how to fix it. All of them are reported at once.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

/// One step into the configuration documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A key of a mapping.
    Key(Box<str>),
    /// An element of a list; also the number of the document.
    Index(usize),
}

/// A place in the configuration documents: the document's number, then keys and indices.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Location(Vec<Segment>);

impl Location {
    /// The root of document number `index`.
    pub fn document(index: usize) -> Self {
        Self(vec![Segment::Index(index)])
    }

    /// The value of `key` below this place.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.child(Segment::Key(key.into()))
    }

    /// Element `index` below this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    /// The number of the document.
    pub fn document_index(&self) -> Option<usize> {
        match self.0.first() {
            Some(Segment::Index(index)) => Some(*index),
            _ => None,
        }
    }

    /// Whether this place is `outer` or below it.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// The steps, the document's number first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The path without the document, as messages show it: `define.auth.jwt`.
    pub fn dotted(&self) -> String {
        let mut text = String::new();
        for segment in self.0.iter().skip(1) {
            match segment {
                Segment::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                Segment::Index(index) => text.push_str(&["[", &index.to_string(), "]"].concat()),
            }
        }
        text
    }

    fn child(&self, segment: Segment) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment);
        Self(segments)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for segment in &self.0 {
            match segment {
                Segment::Key(key) => seq.serialize_element(&**key)?,
                Segment::Index(index) => seq.serialize_element(index)?,
            }
        }
        seq.end()
    }
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is started.
    Error,
    /// Reported; an error under `--strict`.
    Warning,
}

/// Which half of a mapping entry the caret points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// Another place that a diagnostic speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// The place.
    pub location: Location,
    /// What is there.
    pub message: String,
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The stable code, such as `E014`; `codes.rs` lists them.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub location: Location,
    /// Key or value.
    pub target: Target,
    /// How to fix it.
    pub hint: Option<String>,
    /// Other places involved.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// An error about the value at `location`.
    pub fn error(code: &'static str, location: &Location, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            location: location.clone(),
            target: Target::Value,
            hint: None,
            related: Vec::new(),
        }
    }

    /// A warning about the value at `location`.
    pub fn warning(code: &'static str, location: &Location, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, location, message) }
    }

    /// The same, about the key.
    #[must_use]
    pub fn at_key(mut self) -> Self {
        self.target = Target::Key;
        self
    }

    /// The same, with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with another place.
    #[must_use]
    pub fn related(mut self, location: &Location, message: impl Into<String>) -> Self {
        self.related.push(Related { location: location.clone(), message: message.into() });
        self
    }
}

/// Everything found wrong so far, and where secrets were found.
#[derive(Debug, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    secrets: Vec<Location>,
    /// Those of one code at one place, so that a thousand mistakes do not cost a million looks.
    known: HashMap<(&'static str, Location), Vec<usize>>,
    wrong: bool,
}

impl Diagnostics {
    /// Records one more. What several routes inherit is reported once.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let place = (diagnostic.code, diagnostic.location.clone());
        let known = self.known.entry(place).or_default();
        if !known.iter().any(|at| self.found[*at] == diagnostic) {
            known.push(self.found.len());
            self.wrong |= diagnostic.severity == Severity::Error;
            self.found.push(diagnostic);
        }
    }

    /// Records an error about the value at `location`.
    pub fn error(&mut self, code: &'static str, location: &Location, message: impl Into<String>) {
        self.push(Diagnostic::error(code, location, message));
    }

    /// Whether anything stops the start.
    pub fn has_errors(&self) -> bool {
        self.wrong
    }

    /// All of them, in the order found.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.found
    }

    /// All of them, in the order found.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.found
    }

    /// Notes that the value at `location` is shown nowhere.
    pub fn secret(&mut self, location: &Location) {
        self.secrets.push(location.clone());
    }

    /// Where secrets stand.
    pub fn secrets(&self) -> &[Location] {
        &self.secrets
    }
}

/// The candidate that `word` was probably meant to be.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
