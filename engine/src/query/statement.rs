//! One statement, as it is known to every connection.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::Value;
use super::wire::{Bind, Column, Read, Variant};

/// SQL with its parameters, equal to every other one that reads the same in the same way.
#[derive(Debug)]
pub struct Statement {
    /// The text, by Django's compiler.
    pub sql: Box<str>,
    /// What its placeholders stand for.
    pub binds: Box<[Bind]>,
    /// Its columns.
    pub columns: Box<[Column]>,
    /// Which types of its parameters a server took the last time.
    pub fitting: AtomicUsize,
    hash: u64,
}

impl Statement {
    /// The statement of a variant of `read`.
    pub fn new(read: &Read, variant: &Variant) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        variant.sql.hash(&mut hasher);
        Arc::new(Self {
            sql: variant.sql.as_str().into(),
            binds: variant.binds.clone().into(),
            columns: read.columns.clone().into(),
            fitting: AtomicUsize::new(0),
            hash: hasher.finish(),
        })
    }

    fn types(&self) -> impl Iterator<Item = &str> {
        self.binds.iter().map(|bind| bind.pg.as_str())
    }
}

impl Hash for Statement {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.hash == other.hash
                && self.sql == other.sql
                && self.columns == other.columns
                && self.types().eq(other.types()))
    }
}

impl Eq for Statement {}

impl Bind {
    /// What stands here in a request that brings `values`; `None` is `NULL`.
    pub fn fill<'a>(&'a self, values: &'a [Option<Value>]) -> Option<Cow<'a, str>> {
        let Some(number) = self.param else { return self.value.as_deref().map(Cow::Borrowed) };
        let text = values.get(number)?.as_ref()?.text();
        if self.plus != 0 {
            let sum = text.parse::<i64>().ok()?.saturating_add(self.plus);
            return Some(Cow::Owned(sum.to_string()));
        }
        if !self.escape && self.prefix.is_empty() && self.suffix.is_empty() {
            return Some(Cow::Borrowed(text));
        }
        let mut pattern = self.prefix.clone();
        for character in text.chars() {
            if self.escape && matches!(character, '\\' | '%' | '_') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push_str(&self.suffix);
        Some(Cow::Owned(pattern))
    }
}
