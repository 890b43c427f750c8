//! PostgreSQL's binary formats (`src/backend/utils/adt/*_send`), read as psycopg reads their text.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio_postgres::types::{FromSql, Kind as TypeKind, Type};

use crate::query::cell::{Broken, Cell};
use crate::query::python;
use crate::query::wire::Kind;

/// The bytes of a value, whatever its type.
pub struct Raw<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// How values of one column are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoder {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// A `numeric` that Django makes a float or an int.
    NumericAs(Number),
    /// An integer that Django makes a `Decimal`.
    WholeAsDecimal(Box<Decoder>),
    /// An integer that Django makes a float.
    Whole(Box<Decoder>),
    Text,
    Json,
    Jsonb,
    /// JSON that nobody parses: a string.
    JsonbText,
    Uuid,
    Date,
    Time,
    Timestamp {
        /// Whether Django says that it is of UTC.
        aware: bool,
    },
    /// A moment that Django makes the date of.
    DateOfTimestamp,
    Interval,
    Inet,
    Array(Box<Decoder>),
    /// A `bool` that Django makes an int.
    BoolAsInt,
    /// A type that Django makes nothing of its column of: it holds nothing but `NULL`.
    Nothing,
}

/// What a `numeric` becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Int,
    Float,
}

impl Decoder {
    /// The reader of a column of `ty` that Django makes `kind` of.
    pub fn new(ty: &Type, kind: Kind, use_tz: bool) -> Self {
        if let TypeKind::Array(member) = ty.kind() {
            return Self::Array(Box::new(Self::new(member, kind, use_tz)));
        }
        if let TypeKind::Domain(inner) = ty.kind() {
            return Self::new(inner, kind, use_tz);
        }
        let plain = match *ty {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => Self::Numeric,
            Type::JSON if kind == Kind::Json => Self::Json,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
                Self::Text
            }
            Type::JSONB if kind == Kind::Json => Self::Jsonb,
            Type::JSONB => Self::JsonbText,
            Type::UUID => Self::Uuid,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMESTAMP => Self::Timestamp { aware: false },
            Type::TIMESTAMPTZ => Self::Timestamp { aware: use_tz },
            Type::INTERVAL => Self::Interval,
            Type::INET | Type::CIDR => Self::Inet,
            _ if ty.name() == "citext" || matches!(ty.kind(), TypeKind::Enum(_)) => Self::Text,
            _ => Self::Nothing,
        };
        let is_whole = matches!(plain, Self::Int2 | Self::Int4 | Self::Int8);
        match (kind, plain) {
            (Kind::Float, Self::Numeric) => Self::NumericAs(Number::Float),
            (Kind::Int, Self::Numeric) => Self::NumericAs(Number::Int),
            (Kind::Float, plain) if is_whole => Self::Whole(Box::new(plain)),
            (Kind::Int, plain) if is_whole => plain,
            (Kind::Int, Self::Bool) => Self::BoolAsInt,
            (Kind::Decimal, plain) if is_whole => Self::WholeAsDecimal(Box::new(plain)),
            // `DATE_TRUNC` says neither.
            (Kind::Datetime, Self::Timestamp { .. }) => Self::Timestamp { aware: use_tz },
            (Kind::Date, Self::Timestamp { .. }) => Self::DateOfTimestamp,
            (Kind::Float, plain @ (Self::Float4 | Self::Float8))
            | (Kind::Decimal, plain @ Self::Numeric)
            | (Kind::Json, plain @ (Self::Json | Self::Jsonb))
            | (Kind::Bool, plain @ Self::Bool)
            | (Kind::Uuid, plain @ Self::Uuid)
            | (Kind::Date, plain @ Self::Date)
            | (Kind::Time, plain @ Self::Time)
            | (Kind::Duration, plain @ Self::Interval)
            | (Kind::Raw, plain) => plain,
            _ => Self::Nothing,
        }
    }

    /// The value that `bytes` are.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<Cell<'a>, Broken> {
        Ok(match self {
            Self::Bool => Cell::Bool(fixed::<1>(bytes)?[0] != 0),
            Self::BoolAsInt => Cell::Int(i64::from(fixed::<1>(bytes)?[0] != 0)),
            Self::Nothing => return Err(Broken("a value of a type that is not its column's")),
            Self::Int2 => Cell::Int(i16::from_be_bytes(fixed(bytes)?).into()),
            Self::Int4 => Cell::Int(i32::from_be_bytes(fixed(bytes)?).into()),
            Self::Int8 => Cell::Int(i64::from_be_bytes(fixed(bytes)?)),
            Self::Oid => Cell::Int(u32::from_be_bytes(fixed(bytes)?).into()),
            // By its shortest text, as who reads the text does.
            Self::Float4 => {
                let text = f32::from_be_bytes(fixed(bytes)?).to_string();
                Cell::Float(text.parse().map_err(|_| TORN)?)
            }
            Self::Float8 => Cell::Float(f64::from_be_bytes(fixed(bytes)?)),
            Self::Numeric => super::numeric::read(bytes)?.into_cell(),
            Self::NumericAs(Number::Float) => Cell::Float(super::numeric::read(bytes)?.to_float()?),
            Self::NumericAs(Number::Int) => super::numeric::read(bytes)?.into_whole()?,
            Self::Whole(inner) => match inner.read(bytes)? {
                #[expect(clippy::cast_precision_loss)] // as `float(value)` does
                Cell::Int(value) => Cell::Float(value as f64),
                _ => return Err(TORN),
            },
            Self::WholeAsDecimal(inner) => match inner.read(bytes)? {
                Cell::Int(value) => {
                    let digits = value.unsigned_abs().to_string();
                    Cell::Decimal(python::decimal(value < 0, &digits, 0))
                }
                _ => return Err(TORN),
            },
            Self::Text => Cell::Text(Cow::Borrowed(text(bytes)?)),
            Self::Json => Cell::Json(Cow::Borrowed(text(bytes)?)),
            Self::Jsonb | Self::JsonbText => {
                let (version, rest) = bytes.split_first().ok_or(TORN)?;
                if *version != 1 {
                    return Err(TORN);
                }
                let rest = Cow::Borrowed(text(rest)?);
                if *self == Self::Jsonb { Cell::Json(rest) } else { Cell::Text(rest) }
            }
            Self::Uuid => Cell::Uuid(fixed(bytes)?),
            Self::Date => {
                let days = i32::from_be_bytes(fixed(bytes)?);
                Cell::Date(i64::from(days) + DAYS_TO_2000)
            }
            Self::Time => Cell::Time(i64::from_be_bytes(fixed(bytes)?)),
            Self::Timestamp { aware } => Cell::Datetime(moment(bytes)?, *aware),
            Self::DateOfTimestamp => Cell::Date(moment(bytes)?.div_euclid(86_400_000_000)),
            Self::Interval => interval(bytes)?,
            Self::Inet => inet(bytes)?,
            Self::Array(member) => array(bytes, member)?,
        })
    }
}

const TORN: Broken = Broken("a value of another length than its type has");
const DAYS_TO_2000: i64 = 10_957;
const TO_2000: i64 = DAYS_TO_2000 * 86_400_000_000;

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Broken> {
    bytes.try_into().map_err(|_| TORN)
}

fn text(bytes: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(bytes).map_err(|_| Broken("text that is not UTF-8"))
}

/// Microseconds since 1970-01-01 00:00.
fn moment(bytes: &[u8]) -> Result<i64, Broken> {
    let since = i64::from_be_bytes(fixed(bytes)?).checked_add(TO_2000);
    since.ok_or(Broken("a moment that Python has no year for"))
}

/// Months are 30 days and years 365, as psycopg has them.
fn interval(bytes: &[u8]) -> Result<Cell<'static>, Broken> {
    let bytes: [u8; 16] = fixed(bytes)?;
    let microseconds = i64::from_be_bytes(fixed(&bytes[..8])?);
    let days = i32::from_be_bytes(fixed(&bytes[8..12])?);
    let months = i32::from_be_bytes(fixed(&bytes[12..])?);
    let days = i64::from(days) + i64::from(months / 12) * 365 + i64::from(months % 12) * 30;
    let whole = i128::from(days) * 86_400_000_000 + i128::from(microseconds);
    Ok(Cell::Duration(whole))
}

/// Family, length of the netmask, whether it is a `cidr`, length, address.
fn inet(bytes: &[u8]) -> Result<Cell<'static>, Broken> {
    const V4: u8 = 2;
    let [family, mask, is_cidr, _, address @ ..] = bytes else { return Err(TORN) };
    let (shown, all) = if *family == V4 {
        (Ipv4Addr::from(fixed::<4>(address)?).to_string(), 32)
    } else {
        (Ipv6Addr::from(fixed::<16>(address)?).to_string(), 128)
    };
    let shown = if *mask == all && *is_cidr == 0 { shown } else { format!("{shown}/{mask}") };
    Ok(Cell::Text(Cow::Owned(shown)))
}

fn array<'a>(bytes: &'a [u8], member: &Decoder) -> Result<Cell<'a>, Broken> {
    let mut rest = bytes;
    let dimensions = take_i32(&mut rest)?;
    take_i32(&mut rest)?;
    take_i32(&mut rest)?;
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(take_i32(&mut rest)?).map_err(|_| TORN)?);
        take_i32(&mut rest)?;
    }
    if lengths.is_empty() {
        return Ok(Cell::List(Vec::new()));
    }
    level(&lengths, &mut rest, member)
}

fn level<'a>(lengths: &[usize], rest: &mut &'a [u8], member: &Decoder) -> Result<Cell<'a>, Broken> {
    let Some((&length, inner)) = lengths.split_first() else {
        let size = take_i32(rest)?;
        let Ok(size) = usize::try_from(size) else { return Ok(Cell::Null) };
        let (value, after) = rest.split_at_checked(size).ok_or(TORN)?;
        *rest = after;
        return member.read(value);
    };
    (0..length).map(|_| level(inner, rest, member)).collect::<Result<_, _>>().map(Cell::List)
}

fn take_i32(rest: &mut &[u8]) -> Result<i32, Broken> {
    let (value, after) = rest.split_first_chunk::<4>().ok_or(TORN)?;
    *rest = after;
    Ok(i32::from_be_bytes(*value))
}
