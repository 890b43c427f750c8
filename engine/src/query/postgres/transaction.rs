//! A statement in a transaction of its own, where a pooler keeps no session for us. Beginning, statement
//! and end are sent at once: nothing else comes between them, and it takes no longer.

use std::pin::Pin;

use futures_util::future::join3;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, RowStream, SimpleQueryStream};

use super::failure::Wrong;
use super::link::next;
use super::queue::Place;
use super::text::Text;
use crate::query::Failure;

/// The end of a transaction, which is on its way.
pub struct Ending(Pin<Box<SimpleQueryStream>>);

/// Sends `sql` in a transaction that begins with `begin`. Where it fails, all is over.
pub async fn send(
    client: &Client,
    place: &Place,
    begin: &str,
    sql: &str,
    texts: &[Text<'static>],
    types: &[Type],
) -> Result<(RowStream, Ending), Wrong> {
    // Since an attempt before, others were sent.
    place.fall_back();
    if place.is_left() {
        return Err(Failure::Unavailable.into());
    }
    let begun = client.batch_execute(begin);
    let asked = client.query_typed_raw(sql, texts.iter().zip(types.iter().cloned()));
    // Each is sent when it is first polled, and the last one is not read yet.
    let (begun, asked, ended) = join3(begun, asked, client.simple_query_raw("COMMIT")).await;
    let ending = Ending(Box::pin(ended?));
    match begun.and(asked) {
        Ok(rows) => Ok((rows, ending)),
        Err(error) => {
            ending.over(client, place).await.ok();
            Err(error.into())
        }
    }
}

impl Ending {
    /// Waits until the session is free again. A cancellation that is late may hit the end itself, and
    /// leave the transaction open.
    pub async fn over(mut self, client: &Client, place: &Place) -> Result<(), Error> {
        let mut ended = Ok(());
        while let Some(answer) = next(self.0.as_mut()).await {
            if let Err(error) = answer {
                ended = Err(error);
                break;
            }
        }
        let mut is_open = is_open_after(&ended);
        while is_open {
            place.fall_back();
            is_open = is_open_after(&client.batch_execute("ROLLBACK").await);
        }
        ended
    }
}

/// Other errors are of a pooler, or leave no session.
fn is_open_after(ended: &Result<(), Error>) -> bool {
    let open = [&SqlState::QUERY_CANCELED, &SqlState::IN_FAILED_SQL_TRANSACTION];
    ended.as_ref().is_err_and(|error| error.code().is_some_and(|code| open.contains(&code)))
}
