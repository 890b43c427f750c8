//! The script that decides, and what is said to it and by it.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use super::health::Unanswered;
use crate::middleware::rate_limit::gcra::Pace;

/// What Redis runs.
const SOURCE: &str = include_str!("script.lua");

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
        // The time is the store's own.
        self.run_at("", connection, asked, way).await
    }

    /// The same at a moment of seconds and nanoseconds.
    pub async fn run_at(
        &self,
        clock: &str,
        connection: &mut MultiplexedConnection,
        asked: &[Ask],
        way: Way,
    ) -> RedisResult<Value> {
        let mut call = self.0.prepare_invoke();
        call.arg(clock);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use tempfile::TempDir;
    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::middleware::rate_limit::Quota;

    const SECOND: u64 = 1_000_000_000;

    /// A server that ends with the test.
    struct Redis {
        process: Child,
        port: u16,
        _directory: TempDir,
    }

    impl Redis {
        fn start() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let process = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                .arg("--dir")
                .arg(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-server is there: tests/install_tools.sh");
            let begun = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(begun.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(5));
            }
            Self { process, port, _directory: directory }
        }

        async fn connect(&self) -> MultiplexedConnection {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
            client.get_multiplexed_async_connection().await.unwrap()
        }
    }

    impl Drop for Redis {
        fn drop(&mut self) {
            self.process.kill().ok();
            self.process.wait().ok();
        }
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// What a limit is in a property: its quota, as how much a request counts, whether it is in the
    /// shadow.
    type Written = (u64, u64, u64, bool);

    /// A step: how long it comes after the one before, in nanoseconds, and which limits it is for.
    type Step = (i64, u8);

    fn written() -> impl Strategy<Value = Vec<Written>> {
        prop::collection::vec((1_u64..1000, 1_u64..20, 1_u64..4, prop::bool::weighted(0.2)), 1..4)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Now and then the clock is set back.
        let pause = prop_oneof![9 => 0..300_000_000_000_i64, 1 => -2_000_000_000_000..0_i64];
        prop::collection::vec((pause, 1_u8..8), 1..60)
    }

    /// The model: the local arithmetic over arrival times, all or none.
    #[derive(Default)]
    struct Model {
        arrivals: [u64; 3],
    }

    impl Model {
        fn decide(&mut self, now: u64, asked: &[(usize, &Ask)]) -> (bool, Vec<u64>) {
            let owed = |arrival: u64, pace: Pace| arrival.saturating_sub(now).min(pace.tolerance);
            let found: Vec<u64> =
                asked.iter().map(|(at, ask)| owed(self.arrivals[*at], ask.pace)).collect();
            let fits = |ask: &Ask, owed: u64| ask.pace.decide(owed, 0, ask.cost).0.admitted;
            let admitted =
                asked.iter().zip(&found).all(|((_, ask), owed)| ask.shadow || fits(ask, *owed));
            for ((at, ask), owed) in asked.iter().zip(&found) {
                if fits(ask, *owed) && (admitted || ask.shadow) {
                    self.arrivals[*at] = now + owed + ask.pace.interval * ask.cost;
                }
            }
            (admitted, found)
        }
    }

    #[test]
    fn the_script_decides_exactly_as_the_local_arithmetic() {
        let runtime = runtime();
        let redis = Redis::start();
        let connection = runtime.block_on(redis.connect());
        let decider = Decider::default();
        let cases = Cell::new(0);
        proptest!(ProptestConfig::with_cases(200), |(limits in written(), steps in steps())| {
            let number = cases.replace(cases.get() + 1);
            let mut connection = connection.clone();
            let asks: Vec<Ask> = limits.iter().enumerate().map(|(at, (count, burst, cost, shadow))| {
                // So slow that no key expires by Redis's own clock meanwhile.
                let period = Duration::from_secs(7_000);
                let quota = Quota { count: *count, period, burst: *burst };
                let cost = (*cost).min(*burst);
                Ask { key: format!("{number}:{at}"), pace: quota.into(), cost, shadow: *shadow }
            }).collect();
            let mut model = Model::default();
            // Near a full second, where the parts of a moment carry over.
            let mut now = 1_764_000_000 * SECOND - 1;
            for (pause, which) in steps {
                now = now.checked_add_signed(pause).unwrap();
                let chosen: Vec<(usize, &Ask)> =
                    asks.iter().enumerate().filter(|(at, _)| which & (1 << at) != 0).collect();
                let asked: Vec<Ask> = chosen.iter().map(|(_, ask)| (*ask).clone()).collect();
                let clock = format!("{} {}", now / SECOND, now % SECOND);
                let run = decider.run_at(&clock, &mut connection, &asked, Way::Spend);
                let answer = read(&runtime.block_on(run).unwrap(), asked.len()).unwrap();
                prop_assert_eq!((answer.admitted, answer.owed), model.decide(now, &chosen));
            }
        });
    }

    #[test]
    fn what_is_given_back_is_whole_and_a_key_is_gone_with_it() {
        runtime().block_on(async {
            let redis = Redis::start();
            let mut connection = redis.connect().await;
            let decider = Decider::default();
            let pace = Quota { count: 10, period: Duration::from_secs(3600), burst: 5 }.into();
            let asked = |cost| [Ask { key: "a".into(), pace, cost, shadow: false }];
            let owed = async |connection: &mut MultiplexedConnection, cost, way| {
                let value = decider.run(connection, &asked(cost), way).await.unwrap();
                read(&value, 1).unwrap()
            };
            assert!(owed(&mut connection, 3, Way::Spend).await.admitted);
            assert!(!owed(&mut connection, 3, Way::Spend).await.admitted);
            owed(&mut connection, 1, Way::GiveBack).await;
            assert!(owed(&mut connection, 3, Way::Spend).await.admitted);
            owed(&mut connection, 5, Way::GiveBack).await;
            let kept: bool =
                redis::cmd("EXISTS").arg("a").query_async(&mut connection).await.unwrap();
            assert!(!kept);
        });
    }

    #[test]
    fn a_decade_is_told_to_the_microsecond() {
        runtime().block_on(async {
            let redis = Redis::start();
            let mut connection = redis.connect().await;
            let decider = Decider::default();
            let year = Duration::from_secs(365 * 86_400);
            let pace = Pace::from(Quota { count: 1_000_003, period: year, burst: 10_000_000 });
            let ask = |cost| [Ask { key: "a".into(), pace, cost, shadow: false }];
            let mut spent = 0;
            for (at, cost) in [9_000_000, 1, 999_990, 3, 3, 3].into_iter().enumerate() {
                // The last of them take all that there is.
                let clock = format!("1764000000 {}", 999_999_990 + at);
                let run = decider.run_at(&clock, &mut connection, &ask(cost), Way::Spend).await;
                let answer = read(&run.unwrap(), 1).unwrap();
                assert!(answer.admitted);
                let expected = (pace.interval * spent).saturating_sub(at as u64);
                assert!(answer.owed[0].abs_diff(expected) < 1000, "{answer:?} {expected}");
                spent += cost;
            }
            let run = decider.run_at("1764000001 0", &mut connection, &ask(1), Way::Spend).await;
            assert!(!read(&run.unwrap(), 1).unwrap().admitted);
        });
    }
}
