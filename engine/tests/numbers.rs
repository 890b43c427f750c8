//! Every number that a configuration takes, against what is no such number: one mistake that names
//! the key, or a stated meaning; never a silent clamp.

#![allow(clippy::needless_pass_by_value)] // the table reads better with values

use pybolt_engine::plan::Plan;
use serde_json::{Value, json};

/// The document with `value` under a key, the key's place, and the values that it takes.
type Field = (fn(Value) -> Value, &'static str, &'static [&'static str]);

fn route(slot: &str, value: Value) -> Value {
    json!({"routes": [{"path": "/", "handler": "m:f", slot: value}]})
}

fn server(value: Value) -> Value {
    json!({"server": value, "routes": [{"path": "/", "handler": "m:f"}]})
}

fn limits(key: &str, value: Value) -> Value {
    server(json!({"limits": {key: value}}))
}

const FIELDS: &[Field] = &[
    (|v| json!({"version": v, "routes": [{"path": "/", "handler": "m:f"}]}), "version", &[]),
    (|v| server(json!({"workers": v})), "server.workers", &[]),
    (|v| server(json!({"drain_timeout": v})), "server.drain_timeout", &["1ms"]),
    (|v| limits("first_byte", v), "server.limits.first_byte", &["1ms"]),
    (|v| limits("header_read", v), "server.limits.header_read", &["1ms"]),
    (|v| limits("body_idle", v), "server.limits.body_idle", &["1ms"]),
    (|v| limits("body_min_rate", v), "server.limits.body_min_rate", &[]),
    (|v| limits("write_idle", v), "server.limits.write_idle", &["1ms"]),
    (|v| limits("keep_alive", v), "server.limits.keep_alive", &["1ms"]),
    (|v| limits("connections", v), "server.limits.connections", &[]),
    (|v| limits("connections_per_address", v), "server.limits.connections_per_address", &[]),
    (|v| limits("uri", v), "server.limits.uri", &[]),
    (|v| limits("headers", v), "server.limits.headers", &[]),
    (|v| limits("header_count", v), "server.limits.header_count", &[]),
    (|v| server(json!({"python": {"threads": v}})), "server.python.threads", &[]),
    (
        |v| server(json!({"python": {"switch_interval": v}})),
        "server.python.switch_interval",
        &["1ms"],
    ),
    (|v| route("python", json!({"concurrency": v})), "routes[0].python.concurrency", &[]),
    (|v| route("python", json!({"concurrency": 1, "queue": v})), "routes[0].python.queue", &["0"]),
    (
        |v| route("python", json!({"concurrency": 1, "max_wait": v})),
        "routes[0].python.max_wait",
        &["1ms"],
    ),
    (
        |v| json!({"routes": [{"path": "/", "respond": {"status": v}}]}),
        "routes[0].respond.status",
        &[],
    ),
    (
        |v| json!({"routes": [{"path": "/", "redirect": {"to": "/a", "status": v}}]}),
        "routes[0].redirect.status",
        &[],
    ),
    (|v| route("maintenance", json!({"retry_after": v})), "routes[0].maintenance.retry_after", &[]),
    (|v| route("timeout", v), "routes[0].timeout", &["1ms"]),
    (|v| route("body_limit", v), "routes[0].body_limit", &["0B"]),
    (|v| route("rate_limit", json!({"a": {"rate": v}})), "routes[0].rate_limit.a.rate", &["1/1ms"]),
    (
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "burst": v}})),
        "routes[0].rate_limit.a.burst",
        &[],
    ),
    (
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "cost": v}})),
        "routes[0].rate_limit.a.cost",
        &[],
    ),
    (
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "ipv6_prefix": v}})),
        "routes[0].rate_limit.a.ipv6_prefix",
        &[],
    ),
    (|v| route("cors", json!({"origins": ["*"], "max_age": v})), "routes[0].cors.max_age", &["0s"]),
    (
        |v| {
            route(
                "auth",
                json!({"type": "jwt", "algorithms": ["HS256"], "secret": "x".repeat(32), "leeway": v}),
            )
        },
        "routes[0].auth.leeway",
        &["0s", "1ms"],
    ),
    (
        |v| route("security_headers", json!({"hsts": v})),
        "routes[0].security_headers.hsts",
        &["0s", "1000y"],
    ),
    (|v| route("compress", json!({"levels": {"zstd": v}})), "routes[0].compress.levels.zstd", &[]),
    (
        |v| route("compress", json!({"levels": {"br": v}})),
        "routes[0].compress.levels.br",
        &["0", "-0"],
    ),
    (|v| route("compress", json!({"levels": {"gzip": v}})), "routes[0].compress.levels.gzip", &[]),
    (
        |v| route("compress", json!({"min_size": v})),
        "routes[0].compress.min_size",
        &["0B", "9223372036854775808B"],
    ),
];

fn mistakes(document: Value) -> Vec<(String, String)> {
    let wire = json!({"documents": [{"source": "x", "config": document}]}).to_string();
    let found = Plan::compile(&wire).1;
    found.iter().map(|item| (item.code.to_owned(), item.location.dotted())).collect()
}

#[test]
fn what_is_no_number_of_the_kind_is_one_mistake_at_its_key() {
    let mut values = vec![
        json!(true),
        json!(null),
        json!(-1),
        json!(0),
        json!(1_u64 << 63),
        json!(1.5),
        json!(1e3),
    ];
    values.extend(
        [
            "",
            "NaN",
            ".nan",
            "inf",
            "1e3",
            "-1",
            "+5",
            "0x10",
            "1_000",
            " 5",
            "99999999999999999999",
            "-1s",
            "1.5s",
            "5 s",
            "5S",
            "s",
            "0s",
            "1ms",
            "1000y",
            "99999999999999999999y",
            "-1B",
            "0B",
            "1 MiB",
            "1mib",
            "9223372036854775808B",
            "99999999999GiB",
            "0/1m",
            "1/0s",
            "-1/1m",
            "1/-1m",
            "1/1ms",
            "5/15",
            "1/2/3m",
            "9223372036854775808/1m",
            "1/1000y",
        ]
        .map(Value::from),
    );
    let mut wrong = Vec::new();
    for (document, place, meant) in FIELDS {
        for value in &values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let found = mistakes(document(value.clone()));
            let expected = usize::from(!meant.contains(&text.as_str()));
            if found.len() != expected
                || found.iter().any(|(code, at)| !code.starts_with('E') || at != place)
            {
                wrong.push(format!("{place}: {value}: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
