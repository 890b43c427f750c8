//! Values on their way to PostgreSQL: text, which the server reads by the type that it has prepared.

use std::borrow::Cow;
use std::error::Error;

use crate::query::Value;
use crate::query::wire::{Bind, Scalar};
use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// A value in PostgreSQL's input form; `None` is `NULL`.
#[derive(Debug)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// What stands at a placeholder.
    pub fn new(bind: &'a Bind, values: &'a [Option<Value>]) -> Self {
        let text = bind.fill(values);
        if bind.scalar == Scalar::Duration && bind.param.is_some() {
            return Self(text.map(|text| Cow::Owned(format!("{text} microseconds"))));
        }
        Self(text)
    }

    /// The same, for whoever outlives the values.
    pub fn into_owned(self) -> Text<'static> {
        Text(self.0.map(|text| Cow::Owned(text.into_owned())))
    }
}

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
