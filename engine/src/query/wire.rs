//! What Python has compiled: the reads of a route and the databases, as they stand on the wire. It is
//! made by `pybolt/queries` and never written by people.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The reads that answer one route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What to call it.
    pub name: String,
    /// 1: Rust; 2: the compiled SQL through Django's cursor; 3: the queryset.
    pub tier: u8,
    /// What requests bring.
    pub parameters: Vec<Parameter>,
    /// What is read.
    pub reads: Vec<Read>,
    /// How it is read page by page.
    pub page: Option<Page>,
}

/// One value that a request brings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name there.
    pub name: String,
    /// Where it stands; none: whoever asks gives it.
    pub place: Option<Place>,
    /// What it has to be.
    #[serde(rename = "type")]
    pub scalar: Scalar,
    /// Whether it may be missing, and its condition with it.
    #[serde(default)]
    pub optional: bool,
    /// What it is where it is missing.
    #[serde(default)]
    pub default: Option<String>,
    /// The most that it may be.
    #[serde(default)]
    pub max: Option<i64>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the path.
    Path,
    /// In the query string.
    Query,
    /// In what is known of who asks.
    Principal,
    /// How many rows a page has.
    Limit,
    /// How many rows stand before it.
    Offset,
    /// The cursor of the page before.
    Cursor,
}

/// What a parameter has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    /// An integer of 64 bits.
    Int,
    /// A finite number.
    Float,
    /// A decimal number.
    Decimal,
    /// Any text.
    Str,
    /// `true`, `1`, `on` or `false`, `0`, `off`.
    Bool,
    /// A UUID.
    Uuid,
    /// `2026-01-31`.
    Date,
    /// `2026-01-31T12:00:00Z`.
    Datetime,
    /// `12:00:00`.
    Time,
    /// `P1DT2H`.
    Duration,
}

/// One statement and what becomes of its rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The database's alias.
    pub alias: String,
    /// Its key in the object that all reads are together.
    pub key: Option<String>,
    /// What is answered of it.
    pub shape: Shape,
    /// How a row is written.
    pub rows: Rows,
    /// The columns, in the statement's order.
    pub columns: Vec<Column>,
    /// More rows are an error; none where the statement has a bound of its own.
    pub max_rows: Option<u64>,
    /// One for each set of optional parameters.
    pub variants: Vec<Variant>,
    /// Lists of rows within rows.
    #[serde(default)]
    pub nested: Vec<Nested>,
}

/// What is answered of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All rows.
    List,
    /// The first row, or 404.
    One,
    /// The first value of the first row.
    Value,
}

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// `{"name": value}`.
    Objects,
    /// `[value]`.
    Arrays,
    /// `value`.
    Values,
}

/// A column of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name; none: it is read and not shown.
    pub name: Option<String>,
    /// What Django makes of it.
    pub kind: Kind,
    /// How many digits a decimal of SQLite has behind the point.
    #[serde(default)]
    pub places: Option<u32>,
}

/// What Django's converters make of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What the driver says.
    Raw,
    /// A `bool`.
    Bool,
    /// An `int`.
    Int,
    /// A `float`.
    Float,
    /// A `Decimal`.
    Decimal,
    /// A `date`.
    Date,
    /// A `datetime`.
    Datetime,
    /// A `time`.
    Time,
    /// A `timedelta`.
    Duration,
    /// A `UUID`.
    Uuid,
    /// What JSON text says.
    Json,
}

/// A statement for one set of optional parameters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The optional parameters that are given.
    pub given: Vec<String>,
    /// The statement, by Django's compiler.
    pub sql: String,
    /// What its placeholders stand for.
    pub binds: Vec<Bind>,
}

/// What a placeholder stands for: a parameter, or a value that is always the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// The parameter's number.
    #[serde(default)]
    pub param: Option<usize>,
    /// Text before it.
    #[serde(default)]
    pub prefix: String,
    /// Text after it.
    #[serde(default)]
    pub suffix: String,
    /// Whether `%`, `_` and `\` in it are escaped.
    #[serde(default)]
    pub escape: bool,
    /// What is added to it.
    #[serde(default)]
    pub plus: i64,
    /// The value that is always the same, in the database's own spelling.
    #[serde(default)]
    pub value: Option<String>,
    /// What it is.
    #[serde(rename = "type")]
    pub scalar: Scalar,
    /// PostgreSQL's type for it; empty: the server infers it.
    #[serde(default)]
    pub pg: String,
}

/// Rows within rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nested {
    /// Their key in the row that they belong to.
    pub name: String,
    /// The column of that row that tells which ones.
    pub parent: usize,
    /// Their own column that says the same.
    pub child: usize,
    /// Their statement.
    pub read: Read,
}

/// How a route is read page by page.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Page {
    /// `limit` and `offset`.
    Offset {},
    /// `limit` and `after`, a signed cursor.
    Key {
        /// The column that the cursor speaks of.
        column: usize,
        /// What cursors are signed with, in hexadecimal.
        secret: String,
    },
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase", deny_unknown_fields)]
pub enum Database {
    /// PostgreSQL.
    Postgresql(Box<Postgres>),
    /// SQLite.
    Sqlite {
        /// The file.
        path: String,
        /// Whether moments are of UTC.
        use_tz: bool,
        /// How many readers a worker has.
        pool: usize,
    },
}

/// How PostgreSQL is reached: Django's settings, resolved as libpq resolves them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Names, addresses, or directories of sockets.
    pub hosts: Vec<String>,
    /// One for each host, or one for all.
    pub ports: Vec<u16>,
    /// The role.
    pub user: String,
    /// Its password; none where it is empty.
    pub password: String,
    /// The database's name.
    pub dbname: String,
    /// libpq's `sslmode`.
    pub sslmode: String,
    /// The certificates that are trusted.
    pub sslrootcert: Option<String>,
    /// The client's certificate.
    pub sslcert: Option<String>,
    /// Its key.
    pub sslkey: Option<String>,
    /// What the server is told of us.
    pub application_name: Option<String>,
    /// Further session parameters.
    pub options: BTreeMap<String, String>,
    /// The connection's time zone; UTC.
    pub timezone: String,
    /// Whether moments are of UTC.
    pub use_tz: bool,
    /// How many connections a worker has.
    pub pool: usize,
    /// Whether statements are prepared.
    pub prepare: bool,
}
