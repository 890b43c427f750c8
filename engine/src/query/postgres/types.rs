//! The types of a statement's parameters: those that are tried, and which of them fit.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use tokio_postgres::types::Type;

use super::failure::{Wrong, is_unfit};
use crate::query::statement::Statement;
use crate::query::wire::Bind;

/// What is tried, one after the other: the types that values have in Python, but texts with what the
/// server infers, as for Django's literals; where it infers nothing, or no function takes those, the
/// others; then whatever it infers.
const ATTEMPTS: [fn(&Bind) -> Type; 3] = [like_literal, declared, inferred];

fn like_literal(bind: &Bind) -> Type {
    let declared = declared(bind);
    if declared == Type::TEXT { Type::UNKNOWN } else { declared }
}

/// The type called by its name; one that the server infers where it has none.
fn declared(bind: &Bind) -> Type {
    match bind.pg.as_str() {
        "bool" => Type::BOOL,
        "int2" => Type::INT2,
        "int4" => Type::INT4,
        "int8" => Type::INT8,
        "float8" => Type::FLOAT8,
        "numeric" => Type::NUMERIC,
        "text" => Type::TEXT,
        "varchar" => Type::VARCHAR,
        "uuid" => Type::UUID,
        "date" => Type::DATE,
        "time" => Type::TIME,
        "timestamp" => Type::TIMESTAMP,
        "timestamptz" => Type::TIMESTAMPTZ,
        "interval" => Type::INTERVAL,
        "json" => Type::JSON,
        "jsonb" => Type::JSONB,
        _ => Type::UNKNOWN,
    }
}

fn inferred(_: &Bind) -> Type {
    Type::UNKNOWN
}

/// The types that are tried for one statement.
pub struct Attempts<'a> {
    statement: &'a Statement,
    number: usize,
    others: Range<usize>,
    /// Those whose turn it is.
    pub types: Vec<Type>,
    tried: Vec<Vec<Type>>,
}

impl<'a> Attempts<'a> {
    /// Begins with those that fitted the last time.
    pub fn new(statement: &'a Statement) -> Self {
        let number = statement.fitting.load(Relaxed);
        let (types, others) = (types(statement, number), 0..ATTEMPTS.len());
        Self { statement, number, others, types, tried: Vec::new() }
    }

    /// Whether nothing else is to be tried, after this outcome.
    pub fn are_over<T>(&mut self, outcome: &Result<T, Wrong>) -> bool {
        match outcome {
            Ok(_) => self.statement.fitting.store(self.number, Relaxed),
            Err(Wrong::Postgres(error)) if is_unfit(error) => return !self.go_on(),
            Err(_) => {}
        }
        true
    }

    /// Whether there are others.
    fn go_on(&mut self) -> bool {
        for number in &mut self.others {
            let types = types(self.statement, number);
            if types != self.types && !self.tried.contains(&types) {
                self.number = number;
                self.tried.push(std::mem::replace(&mut self.types, types));
                return true;
            }
        }
        false
    }
}

fn types(statement: &Statement, number: usize) -> Vec<Type> {
    statement.binds.iter().map(ATTEMPTS[number]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::query::wire::{Read, Variant};

    fn statement(types: &[&str]) -> std::sync::Arc<Statement> {
        let binds: Vec<_> = types.iter().map(|pg| json!({"type": "str", "pg": pg})).collect();
        let variant: Variant =
            serde_json::from_value(json!({"given": [], "sql": "", "binds": binds})).unwrap();
        let read: Read = serde_json::from_value(json!({
            "alias": "", "key": null, "shape": "list", "rows": "values", "columns": [],
            "max_rows": null, "variants": [],
        }))
        .unwrap();
        Statement::new(&read, &variant)
    }

    fn tried(statement: &Statement) -> Vec<Vec<Type>> {
        let mut attempts = Attempts::new(statement);
        let mut tried = vec![attempts.types.clone()];
        while attempts.go_on() {
            tried.push(attempts.types.clone());
        }
        tried
    }

    #[test]
    fn nothing_is_tried_twice() {
        let (text, number, any) = (Type::TEXT, Type::INT8, Type::UNKNOWN);
        assert_eq!(tried(&statement(&[])), [[]; 1]);
        assert_eq!(tried(&statement(&["text"])), [[any.clone()], [text.clone()]]);
        assert_eq!(tried(&statement(&["int8"])), [[number.clone()], [any.clone()]]);
        assert_eq!(
            tried(&statement(&["text", "int8"])),
            [[any.clone(), number.clone()], [text, number], [any.clone(), any]]
        );
    }

    #[test]
    fn what_fitted_is_tried_first_and_the_others_still_are() {
        let statement = statement(&["text"]);
        let mut attempts = Attempts::new(&statement);
        assert!(attempts.go_on());
        assert!(attempts.are_over(&Ok(())));
        assert_eq!(tried(&statement), [[Type::TEXT], [Type::UNKNOWN]]);
    }
}
