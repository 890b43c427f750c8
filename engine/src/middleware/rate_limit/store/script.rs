//! The script that decides, and what is said to it and by it.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use super::health::Unanswered;
use crate::middleware::rate_limit::gcra::Pace;

/// What Redis runs.
pub const SOURCE: &str = include_str!("script.lua");

/// The script, with its digest.
pub struct Decider(Script);

/// What is asked of one limit.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its key in the store.
    pub key: String,
    /// Its quota.
    pub pace: Pace,
    /// As how many requests this one counts.
    pub cost: u64,
    /// Whether it is decided for itself, and refuses nothing.
    pub shadow: bool,
}

/// What a store says to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether what was asked is spent of all that count; of those in the shadow, it is of each that
    /// has it.
    pub admitted: bool,
    /// How much was owed before, in nanoseconds, in the order of what was asked.
    pub owed: Vec<u64>,
}

/// Whether a request is spent, or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Takes what is asked for.
    Spend,
    /// Gives back what was taken.
    GiveBack,
}

impl Default for Decider {
    fn default() -> Self {
        Self(Script::new(SOURCE))
    }
}

impl Decider {
    /// Runs the script by its digest; where Redis does not know that, it is loaded first.
    pub async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        asked: &[Ask],
        way: Way,
    ) -> RedisResult<Value> {
        let mut call = self.0.prepare_invoke();
        // The time is the store's own.
        call.arg("");
        for one in asked {
            let sign = if way == Way::GiveBack { "-" } else { "" };
            call.key(&one.key).arg(one.pace.interval).arg(one.pace.tolerance);
            call.arg(format!("{sign}{}", one.cost)).arg(u8::from(one.shadow));
        }
        call.invoke_async(connection).await
    }

    /// Loads the script.
    pub async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.0.load_async(connection).await.map(drop)
    }
}

/// Reads what came back of `asked` limits.
pub fn read(value: &Value, asked: usize) -> Result<Answer, Unanswered> {
    let Value::Array(items) = value else { return Err(Unanswered::Useless) };
    let number = |item: &Value| match item {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let numbers: Option<Vec<u64>> = items.iter().map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() == asked + 1);
    let (admitted, owed) = numbers
        .as_deref()
        .and_then(<[u64]>::split_first)
        .filter(|(admitted, _)| **admitted <= 1)
        .ok_or(Unanswered::Useless)?;
    Ok(Answer { admitted: *admitted == 1, owed: owed.to_vec() })
}
