//! What a server's errors mean: whether to ask again, and what is told of them.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{ErrorPosition, SqlState};

use crate::query::Failure;

/// Why there are no rows.
pub enum Wrong {
    /// The server, or the way to it.
    Postgres(Error),
    /// Something else.
    Known(Failure),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Known(failure)
    }
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Ask on another connection: this one is at its end.
    Elsewhere,
    /// Ask again: the tables have changed, or others were in the way, or left a transaction open.
    Again,
    /// Ask again if somebody else's cancellation hit it.
    AgainIfHit,
    /// Nothing.
    None,
}

/// What to do about `error`. A read may be sent again whatever has become of it.
pub fn remedy(error: &Error) -> Remedy {
    let Some(code) = error.code() else {
        return if is_broken(error) { Remedy::Elsewhere } else { Remedy::None };
    };
    match *code {
        SqlState::QUERY_CANCELED => Remedy::AgainIfHit,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::IDLE_SESSION_TIMEOUT => Remedy::Elsewhere,
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::IN_FAILED_SQL_TRANSACTION => Remedy::Again,
        // What a pooler says of the server behind it.
        _ if code.code().starts_with("08") => Remedy::Elsewhere,
        _ if is_stale(error) => Remedy::Again,
        _ => Remedy::None,
    }
}

/// Whether a statement has to be prepared anew: its tables have changed, or it is not known, or what a
/// pooler has of its name is another's.
pub fn is_stale(error: &Error) -> bool {
    let stale = [
        &SqlState::FEATURE_NOT_SUPPORTED,
        &SqlState::INVALID_SQL_STATEMENT_NAME,
        &SqlState::DUPLICATE_PSTATEMENT,
    ];
    error.code().is_some_and(|code| stale.contains(&code))
}

/// Whether types that a statement was prepared with do not fit it.
pub fn is_unfit(error: &Error) -> bool {
    let unfit = [
        &SqlState::UNDEFINED_FUNCTION,
        &SqlState::DATATYPE_MISMATCH,
        &SqlState::AMBIGUOUS_FUNCTION,
        &SqlState::AMBIGUOUS_PARAMETER,
        &SqlState::INDETERMINATE_DATATYPE,
    ];
    error.code().is_some_and(|code| unfit.contains(&code))
}

/// Whether a statement that could be executed before cannot any more as it was prepared: a column has
/// another type, or a type is gone.
pub fn is_outdated(error: &Error) -> bool {
    is_unfit(error) || error.code() == Some(&SqlState::INTERNAL_ERROR)
}

/// Whether the connection has ended, or what came of it makes no sense.
fn is_broken(error: &Error) -> bool {
    error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
}

/// What is answered, and the log told. Only words that were said before the server knew any value,
/// and those about rights, are repeated: others quote values.
pub fn failure(error: &Error) -> Failure {
    let Some(found) = error.as_db_error() else {
        return if is_broken(error) {
            Failure::Unavailable
        } else {
            Failure::Failed(error.to_string())
        };
    };
    let code = found.code().code();
    if *found.code() == SqlState::QUERY_CANCELED {
        return Failure::Late;
    }
    // Connections, resources, and systems that end or fail are no mistake of the statement.
    if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) {
        return Failure::Unavailable;
    }
    let is_of_the_text = matches!(found.position(), Some(ErrorPosition::Original(_)));
    let is_of_rights = *found.code() == SqlState::INSUFFICIENT_PRIVILEGE;
    let says =
        if is_of_the_text && code.starts_with("42") || is_of_rights { found.message() } else { "" };
    Failure::Failed(format!("SQLSTATE {code} {says}").trim_end().to_owned())
}
