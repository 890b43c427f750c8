//! One connection: its statements, what is under way on it, and how that is given up.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, RowStream};

use super::cancel::cancel;
use super::decode::{Decoder, Raw};
use super::failure::{Wrong, is_outdated, is_stale};
use super::keep::Connector;
use super::queue::{Load, Place, Queue};
use super::text::Text;
use super::transaction::{Ending, send};
use super::types::Attempts;
use crate::query::cell::{Broken, Cell};
use crate::query::statement::Statement;
use crate::query::wire::Column;
use crate::query::{Failure, Value};

/// So many statements are known to one connection.
const MAX_KNOWN: usize = 1000;

/// A statement that nobody waits for may run so long before it is cancelled; what is over by itself
/// costs nobody a connection. That is done again after twice as long each time, up to the last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// So long a cancellation may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that stands.
pub struct Link {
    client: Client,
    connector: Arc<Connector>,
    prepared: Known<Prepared>,
    /// Where nothing is prepared: the statements whose types are known.
    described: Known<()>,
    queue: Arc<Queue>,
    begun: Instant,
    /// When the last cancellation was sent, in milliseconds since `begun`; 0: never.
    cancelled: AtomicU64,
}

/// What a connection knows of statements.
type Known<T> = Mutex<HashMap<Arc<Statement>, Arc<OnceCell<T>>>>;

/// A statement that this connection knows.
struct Prepared {
    statement: tokio_postgres::Statement,
    decoders: Arc<[Decoder]>,
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
    pub(super) fn new(client: Client, connector: Arc<Connector>) -> Self {
        Self {
            client,
            connector,
            prepared: Mutex::default(),
            described: Mutex::default(),
            queue: Arc::default(),
            begun: Instant::now(),
            cancelled: AtomicU64::new(0),
        }
    }

    /// Whether nothing can be asked of it any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// How much is under way, and since when that which runs.
    pub fn load(&self) -> Load {
        self.queue.load()
    }

    /// Has the server end a session's statements soon after its client has gone, however it goes; a
    /// server that does not know how (before PostgreSQL 14) ends them when they are late.
    pub(super) async fn settle(self: Arc<Self>) {
        self.client.batch_execute("SET client_connection_check_interval = '1s'").await.ok();
    }

    /// Asks for the rows of `statement`, `max` of them at most.
    pub(super) fn ask(
        self: &Arc<Self>,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Asked {
        let place = Place::new(&self.queue);
        let (number, is_behind) = (place.number, place.is_behind);
        let texts = statement.binds.iter().map(|bind| Text::new(bind, values).into_owned());
        let texts: Vec<_> = texts.collect();
        let reading = Arc::clone(self).read(place, Arc::clone(statement), texts, max);
        Asked {
            link: Arc::clone(self),
            number,
            is_behind,
            is_sent: false,
            reading: Some(Box::pin(reading)),
        }
    }

    async fn read(
        self: Arc<Self>,
        place: Place,
        statement: Arc<Statement>,
        texts: Vec<Text<'static>>,
        max: u64,
    ) -> Result<Answered, Wrong> {
        let (stream, known, ending) = if self.connector.config.prepare {
            let (stream, decoders) = self.run_prepared(&place, &statement, &texts).await?;
            (stream, Some(decoders), None)
        } else {
            // Apart, for the sake of what is prepared: every read has a future of this size.
            let (stream, ending) = Box::pin(self.run_alone(&place, &statement, &texts)).await?;
            (stream, None, Some(ending))
        };
        let mut stream = Box::pin(stream);
        let collected = collect(stream.as_mut(), max).await;
        if let Err(Wrong::Known(failure)) = collected {
            // The rest of the rows, which are too many.
            let link = Arc::clone(&self);
            self.see_off(place.number, async move {
                while let Some(Ok(_)) = next(stream.as_mut()).await {}
                drop(stream);
                link.end(ending, &place).await.ok();
            });
            return Err(failure.into());
        }
        // After an error there may be more of it, which is passed over.
        drop(stream);
        let ended = self.end(ending, &place).await;
        let rows = collected?;
        ended?;
        let decoders = match (known, rows.first()) {
            (Some(known), _) => known,
            (None, Some(row)) => {
                let types = row.columns().iter().map(tokio_postgres::Column::type_);
                decoders(types, &statement, self.connector.config.use_tz)?
            }
            (None, None) => Arc::new([]),
        };
        Ok(Answered { rows, decoders })
    }

    /// Waits until the session is free again.
    async fn end(
        &self,
        ending: Option<Ending>,
        place: &Place,
    ) -> Result<(), tokio_postgres::Error> {
        match ending {
            Some(ending) => Box::pin(ending.over(&self.client, place)).await,
            None => Ok(()),
        }
    }

    async fn run_prepared(
        &self,
        place: &Place,
        statement: &Arc<Statement>,
        texts: &[Text<'static>],
    ) -> Result<(RowStream, Arc<[Decoder]>), Wrong> {
        loop {
            let cell = cell(&self.prepared, statement);
            let known = cell.get();
            let is_known = known.is_some();
            let prepared = match known {
                Some(prepared) => prepared,
                None => {
                    let prepare = || async {
                        self.connector.counts.prepared.fetch_add(1, Relaxed);
                        self.prepare(statement).await
                    };
                    let prepared = Box::pin(cell.get_or_try_init(prepare)).await?;
                    // Meanwhile others were sent.
                    place.fall_back();
                    prepared
                }
            };
            if place.is_left() {
                return Err(Failure::Unavailable.into());
            }
            let error = match self.client.query_raw(&prepared.statement, texts).await {
                Ok(stream) => return Ok((stream, Arc::clone(&prepared.decoders))),
                Err(error) => error,
            };
            let is_outdated = is_known && is_outdated(&error);
            if is_outdated || is_stale(&error) {
                self.forget(statement, &cell);
            }
            // What was prepared just now is not outdated.
            if !is_outdated {
                return Err(error.into());
            }
        }
    }

    async fn run_alone(
        &self,
        place: &Place,
        statement: &Arc<Statement>,
        texts: &[Text<'static>],
    ) -> Result<(RowStream, Ending), Wrong> {
        // Types of the project's own are asked for while rows wait, and those that wait hold up the
        // answers: no row does the first time.
        let described = cell(&self.described, statement);
        let describe = || async {
            let sql = format!("SELECT * FROM ({}) AS described LIMIT 0", statement.sql);
            match self.send(place, statement, &sql, texts).await {
                Ok((rows, ending)) => {
                    drop(rows);
                    ending.over(&self.client, place).await.ok();
                }
                // The statement itself tells.
                Err(Wrong::Postgres(error)) if !is_stale(&error) => {}
                Err(wrong) => return Err(wrong),
            }
            Ok::<_, Wrong>(())
        };
        described.get_or_try_init(describe).await?;
        self.send(place, statement, &statement.sql, texts).await
    }

    async fn send(
        &self,
        place: &Place,
        statement: &Statement,
        sql: &str,
        texts: &[Text<'static>],
    ) -> Result<(RowStream, Ending), Wrong> {
        let mut attempts = Attempts::new(statement);
        loop {
            let begin = &self.connector.begin;
            let sent = send(&self.client, place, begin, sql, texts, &attempts.types).await;
            if attempts.are_over(&sent) {
                return sent;
            }
        }
    }

    /// Has `statement` prepared anew, unless somebody else has done so already.
    fn forget(&self, statement: &Arc<Statement>, cell: &Arc<OnceCell<Prepared>>) {
        let mut prepared = self.prepared.lock();
        if prepared.get(statement).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            prepared.remove(statement);
        }
    }

    async fn prepare(&self, statement: &Statement) -> Result<Prepared, Wrong> {
        let mut attempts = Attempts::new(statement);
        let known = loop {
            let known = self.client.prepare_typed(&statement.sql, &attempts.types).await;
            let known = known.map_err(Wrong::from);
            if attempts.are_over(&known) {
                break known?;
            }
        };
        if known.params().len() != statement.binds.len() {
            return Err(Failure::Failed("its parameters are others".to_owned()).into());
        }
        let types = known.columns().iter().map(tokio_postgres::Column::type_);
        let decoders = decoders(types, statement, self.connector.config.use_tz)?;
        Ok(Prepared { statement: known, decoders })
    }
}

/// What is known of `statement`, or will be.
fn cell<T>(known: &Known<T>, statement: &Arc<Statement>) -> Arc<OnceCell<T>> {
    let mut known = known.lock();
    if let Some(cell) = known.get(statement) {
        return Arc::clone(cell);
    }
    if known.len() >= MAX_KNOWN {
        // Those of plans that are gone, and whatever else.
        known.clear();
    }
    Arc::clone(known.entry(Arc::clone(statement)).or_default())
}

fn decoders<'a>(
    types: impl ExactSizeIterator<Item = &'a Type>,
    statement: &Statement,
    use_tz: bool,
) -> Result<Arc<[Decoder]>, Wrong> {
    if types.len() < statement.columns.len() {
        let what = "its columns are others than Django's".to_owned();
        return Err(Failure::Failed(what).into());
    }
    let column = |(ty, column): (&Type, &Column)| Decoder::new(ty, column.kind, use_tz);
    Ok(types.zip(&statement.columns).map(column).collect())
}

/// Collects rows, `max` of them at most.
async fn collect(mut stream: Pin<&mut RowStream>, max: u64) -> Result<Vec<Row>, Wrong> {
    let mut rows: Vec<Row> = Vec::new();
    while let Some(row) = next(stream.as_mut()).await {
        let row = row?;
        if rows.len() as u64 >= max {
            return Err(Failure::TooMany.into());
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The next item of a stream.
pub(super) async fn next<S: Stream>(mut stream: Pin<&mut S>) -> Option<S::Item> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}

type Reading = Pin<Box<dyn Future<Output = Result<Answered, Wrong>> + Send>>;

/// A statement that somebody waits for. Where nobody does any more, it is cancelled when it runs and
/// does not end by itself.
pub struct Asked {
    link: Arc<Link>,
    number: u64,
    /// Whether others were before it.
    pub is_behind: bool,
    is_sent: bool,
    reading: Option<Reading>,
}

impl Asked {
    /// Whether it runs: nothing is before it any more.
    pub fn runs(&self) -> bool {
        self.link.queue.runs(self.number).is_some()
    }
}

impl Future for Asked {
    type Output = Result<Answered, Wrong>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.is_sent = true;
        let reading = self.reading.as_mut().expect("it is not asked again after it has answered");
        let polled = reading.as_mut().poll(cx);
        if polled.is_ready() {
            self.reading = None;
        }
        polled
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(reading) = self.reading.take().filter(|_| self.is_sent) else { return };
        self.link.see_off(self.number, async move { drop(reading.await) });
    }
}

impl Link {
    /// Sees to the end what nobody waits for: until then it keeps its place.
    fn see_off(self: &Arc<Self>, number: u64, rest: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let turn = self.queue.leave(number);
        let link = Arc::clone(self);
        runtime.spawn(async move {
            let mut rest = pin!(rest);
            tokio::select! {
                () = rest.as_mut() => return,
                () = turn.notified() => {}
            }
            let ran = link.queue.runs(number).unwrap_or_default();
            let mut look = LOOKS.0.saturating_sub(ran);
            while tokio::time::timeout(look, rest.as_mut()).await.is_err() {
                if link.queue.runs(number).is_none() {
                    // It has fallen back behind others.
                    look = LOOKS.0;
                    continue;
                }
                let mut cancelling = pin!(link.cancel());
                tokio::select! {
                    () = rest.as_mut() => return cancelling.await,
                    () = cancelling.as_mut() => {}
                }
                look = (look * 2).clamp(LOOKS.0, LOOKS.1);
            }
        });
    }

    /// Has the server end what runs. Where that fails, its own bound on statements ends it.
    async fn cancel(&self) {
        self.cancelled.store(self.now(), Relaxed);
        let token = self.client.cancel_token();
        let sent = cancel(&token, &self.connector.tls, &self.connector.config);
        tokio::time::timeout(CANCEL_TIMEOUT, sent).await.ok();
    }

    /// Whether a cancellation was sent so lately that it may have hit another statement.
    pub fn has_cancelled(&self) -> bool {
        let last = self.cancelled.load(Relaxed);
        last > 0 && self.now().saturating_sub(last) < 10_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}
