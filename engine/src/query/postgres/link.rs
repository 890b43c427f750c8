//! One connection: its statements, and what is under way on it.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Row, RowStream};

use super::Postgres;
use super::decode::{Decoder, Raw};
use super::text::{Text, postgres_type};
use super::tls::Tls;
use crate::query::cell::{Broken, Cell};
use crate::query::statement::Statement;
use crate::query::wire::Column;
use crate::query::{Failure, Value};

/// So many statements are kept prepared on one connection.
const MAX_PREPARED: usize = 1000;

/// A connection that stands.
pub struct Link {
    client: Client,
    tls: Tls,
    prepared: Mutex<HashMap<Arc<Statement>, Arc<OnceCell<Prepared>>>>,
    queue: Mutex<Queue>,
}

/// What is under way, in the order in which it is answered.
#[derive(Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<(u64, Instant)>,
}

/// A statement that this connection knows.
struct Prepared {
    statement: tokio_postgres::Statement,
    decoders: Arc<[Decoder]>,
}

/// Why there are no rows.
pub enum Wrong {
    /// The server, or the way to it.
    Postgres(tokio_postgres::Error),
    /// Something else.
    Known(Failure),
}

impl From<tokio_postgres::Error> for Wrong {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// Rows, and how they are read.
pub struct Answered {
    rows: Vec<Row>,
    decoders: Arc<[Decoder]>,
}

impl Answered {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The value of a row's column.
    pub fn cell(&self, row: usize, column: usize) -> Result<Cell<'_>, Broken> {
        let raw: Option<Raw<'_>> =
            self.rows[row].try_get(column).map_err(|_| Broken("a column that is not there"))?;
        raw.map_or(Ok(Cell::Null), |raw| self.decoders[column].read(raw.0))
    }
}

impl Link {
    pub(super) fn new(client: Client, tls: Tls) -> Self {
        Self { client, tls, prepared: Mutex::default(), queue: Mutex::default() }
    }

    /// Whether nothing can be asked of it any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// How much is under way, and since when that which runs.
    pub fn load(&self) -> (usize, Duration) {
        let queue = self.queue.lock();
        let age = queue.waiting.front().map(|(_, since)| since.elapsed()).unwrap_or_default();
        (queue.waiting.len(), age)
    }

    /// The rows of `statement`, `max` of them at most.
    pub(super) async fn rows(
        &self,
        database: &Postgres,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Answered, Wrong> {
        let texts = statement.binds.iter().map(|bind| Text::new(bind, values));
        let place = Place::new(self);
        let answered = if database.config.prepare {
            self.prepared_rows(database, statement, texts, max).await
        } else {
            let types = statement.binds.iter().map(|bind| postgres_type(&bind.pg));
            let stream = self.client.query_typed_raw(&statement.sql, texts.zip(types)).await;
            match stream {
                Ok(stream) => take(stream, max, None, statement, database.config.use_tz).await,
                Err(error) => Err(error.into()),
            }
        };
        place.leave();
        answered
    }

    async fn prepared_rows(
        &self,
        database: &Postgres,
        statement: &Arc<Statement>,
        texts: impl ExactSizeIterator<Item = Text<'_>>,
        max: u64,
    ) -> Result<Answered, Wrong> {
        let cell = self.cell(statement);
        let prepared = cell
            .get_or_try_init(|| async {
                database.prepared.fetch_add(1, Relaxed);
                self.prepare(statement, database.config.use_tz).await
            })
            .await?;
        let decoders = Arc::clone(&prepared.decoders);
        let asked = async {
            let stream = self.client.query_raw(&prepared.statement, texts).await?;
            take(stream, max, Some(decoders), statement, database.config.use_tz).await
        };
        let answered = asked.await;
        if let Err(Wrong::Postgres(error)) = &answered {
            let stale = [&SqlState::FEATURE_NOT_SUPPORTED, &SqlState::INVALID_SQL_STATEMENT_NAME];
            if error.code().is_some_and(|code| stale.contains(&code)) {
                self.prepared.lock().remove(statement);
            }
        }
        answered
    }

    fn cell(&self, statement: &Arc<Statement>) -> Arc<OnceCell<Prepared>> {
        let mut prepared = self.prepared.lock();
        if let Some(known) = prepared.get(statement) {
            return Arc::clone(known);
        }
        if prepared.len() >= MAX_PREPARED {
            // Those of plans that are gone, and whatever else.
            prepared.clear();
        }
        Arc::clone(prepared.entry(Arc::clone(statement)).or_default())
    }

    /// Prepares with the types that values have in Python; where no function takes those, with
    /// whatever the server infers, as for a literal.
    async fn prepare(&self, statement: &Statement, use_tz: bool) -> Result<Prepared, Wrong> {
        let types: Vec<Type> = statement.binds.iter().map(|bind| postgres_type(&bind.pg)).collect();
        let mut prepared = self.client.prepare_typed(&statement.sql, &types).await;
        let unfit = [
            &SqlState::UNDEFINED_FUNCTION,
            &SqlState::DATATYPE_MISMATCH,
            &SqlState::AMBIGUOUS_FUNCTION,
        ];
        let code = prepared.as_ref().err().and_then(|error| error.code());
        if code.is_some_and(|code| unfit.contains(&code)) {
            prepared = self.client.prepare_typed(&statement.sql, &[]).await;
        }
        let known = prepared?;
        if known.params().len() != statement.binds.len() {
            return Err(Wrong::Known(Failure::Failed("its parameters are others".to_owned())));
        }
        let types = known.columns().iter().map(tokio_postgres::Column::type_);
        let decoders = decoders(types, statement, use_tz)?;
        Ok(Prepared { statement: known, decoders })
    }
}

fn decoders<'a>(
    types: impl ExactSizeIterator<Item = &'a Type>,
    statement: &Statement,
    use_tz: bool,
) -> Result<Arc<[Decoder]>, Wrong> {
    if types.len() < statement.columns.len() {
        let what = "its columns are others than Django's".to_owned();
        return Err(Wrong::Known(Failure::Failed(what)));
    }
    let column = |(ty, column): (&Type, &Column)| Decoder::new(ty, column.kind, use_tz);
    Ok(types.zip(&statement.columns).map(column).collect())
}

/// Collects rows. What comes behind `max` of them is not kept.
async fn take(
    stream: RowStream,
    max: u64,
    known: Option<Arc<[Decoder]>>,
    statement: &Statement,
    use_tz: bool,
) -> Result<Answered, Wrong> {
    let mut stream = pin!(stream);
    let mut rows: Vec<Row> = Vec::new();
    while let Some(row) =
        std::future::poll_fn(|cx| futures_core::Stream::poll_next(stream.as_mut(), cx)).await
    {
        let row = row?;
        if rows.len() as u64 >= max {
            return Err(Wrong::Known(Failure::TooMany));
        }
        rows.push(row);
    }
    let decoders = match (known, rows.first()) {
        (Some(known), _) => known,
        (None, Some(row)) => {
            decoders(row.columns().iter().map(tokio_postgres::Column::type_), statement, use_tz)?
        }
        (None, None) => Arc::new([]),
    };
    Ok(Answered { rows, decoders })
}

/// A statement's place in the queue, until dropped: who goes meanwhile has it cancelled.
struct Place<'a> {
    link: &'a Link,
    number: u64,
    left: bool,
}

impl<'a> Place<'a> {
    fn new(link: &'a Link) -> Self {
        let mut queue = link.queue.lock();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push_back((number, Instant::now()));
        Self { link, number, left: false }
    }

    fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.link.queue.lock();
        let place = queue.waiting.iter().position(|(number, _)| *number == self.number);
        if let Some(place) = place {
            queue.waiting.remove(place);
        }
        if place == Some(0) {
            // The next one runs from now on.
            if let Some((_, since)) = queue.waiting.front_mut() {
                *since = Instant::now();
            }
            if !self.left {
                self.link.cancel();
            }
        }
    }
}

impl Link {
    /// Has the server end what runs.
    fn cancel(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let token = self.client.cancel_token();
        let tls = self.tls.clone();
        runtime.spawn(async move {
            // Where it fails, the server's own bound on statements ends it.
            match tls {
                Tls::Off => token.cancel_query(NoTls).await.ok(),
                Tls::On(tls) => token.cancel_query(tls).await.ok(),
            };
        });
    }
}
