//! Every number that a configuration takes, against what is no such number: one mistake that names
//! the key, or a stated meaning; never a silent clamp.

#![allow(clippy::needless_pass_by_value)] // the table reads better with values
#![allow(clippy::unwrap_used)] // a source that cannot be read is a failed test

use std::path::{Path, PathBuf};

use pybolt_engine::plan::Plan;
use serde_json::{Value, json};

/// An option as the source declares it, the document with `value` under it, its place there, and
/// the values that it takes.
type Field = (&'static str, fn(Value) -> Value, &'static str, &'static [&'static str]);

fn route(slot: &str, value: Value) -> Value {
    json!({"routes": [{"path": "/", "handler": "m:f", slot: value}]})
}

fn jwks(value: Value) -> Value {
    route("auth", json!({"type": "jwt", "algorithms": ["RS256"], "jwks": value}))
}

fn server(value: Value) -> Value {
    json!({"server": value, "routes": [{"path": "/", "handler": "m:f"}]})
}

fn limits(key: &str, value: Value) -> Value {
    server(json!({"limits": {key: value}}))
}

const FIELDS: &[Field] = &[
    ("LimitsConfig.first_byte", |v| limits("first_byte", v), "server.limits.first_byte", &["1ms"]),
    (
        "LimitsConfig.header_read",
        |v| limits("header_read", v),
        "server.limits.header_read",
        &["1ms"],
    ),
    ("LimitsConfig.body_idle", |v| limits("body_idle", v), "server.limits.body_idle", &["1ms"]),
    (
        "LimitsConfig.body_min_rate",
        |v| limits("body_min_rate", v),
        "server.limits.body_min_rate",
        &[],
    ),
    ("LimitsConfig.write_idle", |v| limits("write_idle", v), "server.limits.write_idle", &["1ms"]),
    ("LimitsConfig.keep_alive", |v| limits("keep_alive", v), "server.limits.keep_alive", &["1ms"]),
    ("LimitsConfig.connections", |v| limits("connections", v), "server.limits.connections", &[]),
    (
        "LimitsConfig.connections_per_address",
        |v| limits("connections_per_address", v),
        "server.limits.connections_per_address",
        &[],
    ),
    ("LimitsConfig.uri", |v| limits("uri", v), "server.limits.uri", &[]),
    ("LimitsConfig.headers", |v| limits("headers", v), "server.limits.headers", &[]),
    ("LimitsConfig.header_count", |v| limits("header_count", v), "server.limits.header_count", &[]),
    (
        "Config.version",
        |v| json!({"version": v, "routes": [{"path": "/", "handler": "m:f"}]}),
        "version",
        &[],
    ),
    ("ServerConfig.workers", |v| server(json!({"workers": v})), "server.workers", &[]),
    (
        "ServerConfig.drain_timeout",
        |v| server(json!({"drain_timeout": v})),
        "server.drain_timeout",
        &["1ms"],
    ),
    (
        "ServerPythonConfig.threads",
        |v| server(json!({"python": {"threads": v}})),
        "server.python.threads",
        &[],
    ),
    (
        "ServerPythonConfig.switch_interval",
        |v| server(json!({"python": {"switch_interval": v}})),
        "server.python.switch_interval",
        &["1ms"],
    ),
    (
        "PythonConfig.concurrency",
        |v| route("python", json!({"concurrency": v})),
        "routes[0].python.concurrency",
        &[],
    ),
    (
        "PythonConfig.queue",
        |v| route("python", json!({"concurrency": 1, "queue": v})),
        "routes[0].python.queue",
        &["0"],
    ),
    (
        "PythonConfig.max_wait",
        |v| route("python", json!({"concurrency": 1, "max_wait": v})),
        "routes[0].python.max_wait",
        &["1ms"],
    ),
    (
        "RespondConfig.status",
        |v| json!({"routes": [{"path": "/", "respond": {"status": v}}]}),
        "routes[0].respond.status",
        &[],
    ),
    (
        "RedirectConfig.status",
        |v| json!({"routes": [{"path": "/", "redirect": {"to": "/a", "status": v}}]}),
        "routes[0].redirect.status",
        &[],
    ),
    (
        "FilesConfig.cache",
        |v| json!({"routes": [{"path": "/{*p}", "files": {"root": "/", "cache": v}}]}),
        "routes[0].files.cache",
        &["0s"],
    ),
    (
        "FilesConfig.memory",
        |v| json!({"routes": [{"path": "/{*p}", "files": {"root": "/", "memory": v}}]}),
        "routes[0].files.memory",
        &["0B"],
    ),
    (
        "MaintenanceConfig.retry_after",
        |v| route("maintenance", json!({"retry_after": v})),
        "routes[0].maintenance.retry_after",
        &[],
    ),
    (
        "ServerConfig.rate_limit_memory",
        |v| server(json!({"rate_limit_memory": v})),
        "server.rate_limit_memory",
        &[],
    ),
    ("Slots.timeout", |v| route("timeout", v), "routes[0].timeout", &["1ms"]),
    (
        "TimeoutBoundsConfig.first_byte",
        |v| route("timeout", json!({"first_byte": v, "total": "1d"})),
        "routes[0].timeout.first_byte",
        &["1ms"],
    ),
    (
        "TimeoutBoundsConfig.total",
        |v| route("timeout", json!({"total": v})),
        "routes[0].timeout.total",
        &["1ms"],
    ),
    ("Slots.body_limit", |v| route("body_limit", v), "routes[0].body_limit", &["0B"]),
    (
        "RateLimitConfig.rate",
        |v| route("rate_limit", json!({"a": {"rate": v}})),
        "routes[0].rate_limit.a.rate",
        &["1/1ms"],
    ),
    (
        "RateLimitConfig.burst",
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "burst": v}})),
        "routes[0].rate_limit.a.burst",
        &[],
    ),
    (
        "InFlightConfig.limit",
        |v| route("in_flight", json!({"limit": v})),
        "routes[0].in_flight.limit",
        &[],
    ),
    (
        "InFlightConfig.ipv6_prefix",
        |v| route("in_flight", json!({"limit": 5, "ipv6_prefix": v})),
        "routes[0].in_flight.ipv6_prefix",
        &[],
    ),
    (
        "LimitChange.cost",
        |v| {
            json!({
                "define": {"rate_limit": {"a": {"rate": "1/1m"}}},
                "defaults": {"rate_limit": {"a": true}},
                "routes": [{"path": "/", "handler": "m:f", "rate_limit": {"a": {"cost": v}}},
                    {"path": "/b", "handler": "m:f"}],
            })
        },
        "routes[0].rate_limit.a.cost",
        &[],
    ),
    (
        "RateLimitConfig.cost",
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "cost": v}})),
        "routes[0].rate_limit.a.cost",
        &[],
    ),
    (
        "RateLimitConfig.ipv6_prefix",
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "ipv6_prefix": v}})),
        "routes[0].rate_limit.a.ipv6_prefix",
        &[],
    ),
    (
        "RateLimitConfig.store_timeout",
        |v| route("rate_limit", json!({"a": {"rate": "1/1m", "store_timeout": v}})),
        "routes[0].rate_limit.a.store_timeout",
        &["1ms"],
    ),
    (
        "CorsConfig.max_age",
        |v| route("cors", json!({"origins": ["*"], "max_age": v})),
        "routes[0].cors.max_age",
        &["0s"],
    ),
    (
        "JwtConfig.leeway",
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
        "SecurityHeadersConfig.hsts",
        |v| route("security_headers", json!({"hsts": v})),
        "routes[0].security_headers.hsts",
        &["0s", "1000y"],
    ),
    (
        "LevelsConfig.zstd",
        |v| route("compress", json!({"levels": {"zstd": v}})),
        "routes[0].compress.levels.zstd",
        &[],
    ),
    (
        "LevelsConfig.br",
        |v| route("compress", json!({"levels": {"br": v}})),
        "routes[0].compress.levels.br",
        &["0", "-0"],
    ),
    (
        "LevelsConfig.gzip",
        |v| route("compress", json!({"levels": {"gzip": v}})),
        "routes[0].compress.levels.gzip",
        &[],
    ),
    (
        "CompressConfig.min_size",
        |v| route("compress", json!({"min_size": v})),
        "routes[0].compress.min_size",
        &["0B", "9223372036854775808B"],
    ),
    (
        "JwksConfig.refresh",
        |v| jwks(json!({"url": "https://id.example.com/", "refresh": v})),
        "routes[0].auth.jwks.refresh",
        &[],
    ),
    (
        "JwksConfig.cooldown",
        |v| jwks(json!({"url": "https://id.example.com/", "refresh": "1d", "cooldown": v})),
        "routes[0].auth.jwks.cooldown",
        &[],
    ),
    (
        "BasicConfig.cache",
        |v| {
            let user = format!("ann:{{SHA256}}{}", "a".repeat(64));
            route("auth", json!({"type": "basic", "users": [user], "cache": v}))
        },
        "routes[0].auth.cache",
        &["0s", "1ms"],
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
    for (_, document, place, meant) in FIELDS {
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

/// Every option of a numeric kind that the engine's source declares, as `Struct.option`.
fn declared() -> Vec<String> {
    const KINDS: [&str; 11] = [
        "u64",
        "u32",
        "u16",
        "usize",
        "f64",
        "Span",
        "Size",
        "Rate",
        "Workers",
        "ByteRate",
        "TimeoutConfig",
    ];
    let mut found = Vec::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = std::fs::read_to_string(file).unwrap();
        let mut block = None;
        let mut name = String::new();
        for line in source.lines() {
            match line {
                "config! {" => block = Some(8),
                "slots! {" => (block, name) = (Some(4), "Slots".to_owned()),
                "}" => block = None,
                _ => {}
            }
            if let (Some(8), Some(declared)) = (block, line.trim().strip_prefix("pub struct ")) {
                declared.split(' ').next().unwrap_or_default().clone_into(&mut name);
            }
            let Some(indent) = block else { continue };
            let Some(field) = line.strip_prefix(&" ".repeat(indent)) else { continue };
            let Some((option, kind)) =
                field.split_once(": ").filter(|_| !field.starts_with([' ', '/']))
            else {
                continue;
            };
            let kind = kind.split(" = ").next().unwrap_or_default();
            let mut words = kind.split(|c: char| !c.is_alphanumeric());
            if words.any(|word| KINDS.contains(&word)) {
                found.push(format!("{name}.{option}"));
            }
        }
    }
    found
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let within = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    entries.flat_map(within).collect()
}

#[test]
fn every_number_is_tried() {
    let mut declared = declared();
    declared.sort_unstable();
    let mut tried: Vec<&str> = FIELDS.iter().map(|(option, ..)| *option).collect();
    tried.sort_unstable();
    assert_eq!(tried, declared, "an option that takes a number belongs into `FIELDS`");
}
