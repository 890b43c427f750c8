//! Text in which what a path captured may stand, such as `/new/{id}` or `/v2/{*rest}`.

use crate::config::diagnostic::did_you_mean;
use crate::router::parameter_names;

/// A piece of such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Itself.
    Text(Box<str>),
    /// What was captured under this name.
    Captured(Box<str>),
}

/// Takes `text` apart; `None` where a brace stands alone.
pub fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (before, braced) = rest.split_at(open);
        let (name, after) = braced.strip_prefix('{')?.split_once('}')?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        pieces.push(Piece::Captured(name.trim_start_matches('*').into()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Some(pieces)
}

/// The first name that `pattern` does not capture: what is wrong, and a hint.
pub fn unknown(pieces: &[Piece], pattern: &str) -> Option<(String, String)> {
    let names = parameter_names(pattern);
    let name = pieces.iter().find_map(|piece| match piece {
        Piece::Captured(name) if !names.contains(&&**name) => Some(name),
        _ => None,
    })?;
    let hint = match did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None if names.is_empty() => "it captures nothing".to_owned(),
        None => format!("it captures {}", names.join(", ")),
    };
    Some((format!("`{pattern}` captures no `{name}`"), hint))
}

/// Whether a segment of a path is `.` or `..`.
pub fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}
