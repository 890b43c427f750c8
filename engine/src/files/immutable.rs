//! Names that change with their content: what has one never needs to be asked for again.
//!
//! Django's `ManifestStaticFilesStorage` writes `staticfiles.json` beside the files; where it is
//! there, the names in it are the ones, and no other. Else they are what looks like the names it
//! makes: `name.0123456789ab.ext`, twelve hexadecimal digits.

use std::collections::HashSet;
use std::io::Read;

use serde_json::Value;

use super::root::{Opened, Root};

/// Where the manifest is.
pub const MANIFEST: &str = "staticfiles.json";

/// A larger manifest is none.
const MAX_MANIFEST: u64 = 32 << 20;

/// Which names change with their content.
#[derive(Debug)]
pub enum Immutable {
    /// None.
    Off,
    /// Those of the manifest.
    Listed(HashSet<Box<str>>),
    /// Those that look like it.
    Pattern,
}

impl Immutable {
    /// Reads the manifest of `root`, where it has one.
    pub fn of(root: &Root) -> Result<Self, String> {
        let opened = root.look_up(MANIFEST).map_err(|error| error.to_string())?;
        let Opened::File(file, _) = opened else { return Ok(Self::Pattern) };
        let mut text = String::new();
        file.take(MAX_MANIFEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_MANIFEST {
            return Err("it is larger than 32MiB".to_owned());
        }
        let manifest: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let paths = manifest.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or("it has no `paths`")?;
        let hashed = paths.iter().filter_map(|(name, hashed)| {
            hashed.as_str().filter(|hashed| hashed != name).map(Into::into)
        });
        Ok(Self::Listed(hashed.collect()))
    }

    /// Whether `name` changes with its content.
    pub fn is_hashed(&self, name: &str) -> bool {
        match self {
            Self::Off => false,
            Self::Listed(names) => names.contains(name),
            Self::Pattern => looks_hashed(name),
        }
    }

    /// A few words for `bolt explain`.
    pub fn summary(&self) -> Option<String> {
        match self {
            Self::Off => None,
            Self::Listed(names) => Some(format!("{} immutable by {MANIFEST}", names.len())),
            Self::Pattern => Some("hashed names immutable".to_owned()),
        }
    }
}

fn looks_hashed(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let pieces: Vec<&str> = file.split('.').collect();
    let is_hash = |piece: &str| {
        piece.len() == 12 && piece.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match &*pieces {
        [first, hash] | [first, .., hash, _] => !first.is_empty() && is_hash(hash),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_hashed() {
        for (name, expected) in [
            ("a.0123456789ab.css", true),
            ("css/a.min.0123456789ab.css", true),
            ("LICENSE.0123456789ab", true),
            ("a.0123456789ab.css.gz", false),
            ("a.css", false),
            ("a.0123456789abc.css", false),
            ("a.0123456789AB.css", false),
            ("a.0123456789ag.css", false),
            ("0123456789ab.css", false),
            (".0123456789ab.css", false),
            ("a.0123456789ab/b.css", false),
            ("", false),
        ] {
            assert_eq!(Immutable::Pattern.is_hashed(name), expected, "{name}");
        }
    }
}
