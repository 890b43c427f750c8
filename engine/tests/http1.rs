//! The listener's scanner: the table of raw requests, any split of their bytes, and actix-http's own
//! idea of where messages end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // what cannot be read is a failed test

#[path = "properties/wire.rs"]
mod wire;

use proptest::prelude::*;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::server::limits::LimitsPolicy;
use serde_json::Value;
use wire::{agrees, scan};

fn rows() -> Vec<Value> {
    let text = std::fs::read_to_string("../tests/vectors/http1.yaml").unwrap();
    let document: Value = serde_norway::from_str(&text).unwrap();
    document["rows"].as_array().unwrap().clone()
}

fn raw(row: &Value) -> Vec<u8> {
    row["raw"].as_str().unwrap().chars().map(|byte| u8::try_from(byte as u32).unwrap()).collect()
}

#[test]
fn every_row_of_the_table_holds() {
    let rows = rows();
    assert!(rows.len() >= 80);
    for row in rows {
        let found = scan(&raw(&row), &[], &LimitsPolicy::default());
        let refused = found.refused.map_or("ok", RejectionKind::code);
        assert_eq!(refused, row["expect"].as_str().unwrap(), "{}", row["name"]);
        assert_eq!(found.ends.len() as u64, row["answers"].as_u64().unwrap(), "{}", row["name"]);
    }
}

#[test]
fn every_row_is_read_alike_byte_by_byte() {
    let limits = LimitsPolicy::default();
    for row in rows() {
        let raw = raw(&row);
        let cuts: Vec<_> = (1..raw.len()).collect();
        let (whole, split) = (scan(&raw, &[], &limits), scan(&raw, &cuts, &limits));
        assert_eq!((whole.ends, whole.refused), (split.ends, split.refused), "{}", row["name"]);
    }
}

fn limited() -> LimitsPolicy {
    LimitsPolicy { uri: 20, headers: 64, header_count: 3, ..LimitsPolicy::default() }
}

#[test]
fn at_each_limit_a_request_passes_and_past_it_none_does() {
    use RejectionKind::{BadBody, HeadersTooLarge, UriTooLong};
    let limits = limited();
    let target =
        |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 1));
    let fields =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    // `Host: a` and its end are 9 bytes, `b: ` and its end 5.
    let bytes = |length: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nb: {}\r\n\r\n", "c".repeat(length - 14))
    };
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = |length: usize| format!("{head}1;{}\r\na\r\n0\r\n\r\n", "e".repeat(length));
    let trailers = |count: usize| format!("{head}0\r\n{}\r\n", "a: b\r\n".repeat(count));
    let trailer = |length: usize| format!("{head}0\r\na: {}\r\n\r\n", "b".repeat(length - 5));
    for (good, bad, kind) in [
        (target(20), target(21), UriTooLong),
        (fields(3), fields(4), HeadersTooLarge),
        (bytes(64), bytes(65), HeadersTooLarge),
        (extension(4096), extension(4097), BadBody),
        (trailers(3), trailers(4), HeadersTooLarge),
        (trailer(64), trailer(65), HeadersTooLarge),
    ] {
        for every in [1, 7, usize::MAX] {
            let cuts =
                |text: &str| (every..text.len()).step_by(every.min(text.len())).collect::<Vec<_>>();
            let found = scan(good.as_bytes(), &cuts(&good), &limits);
            assert_eq!((found.ends.len(), found.refused), (1, None), "{good}");
            let found = scan(bad.as_bytes(), &cuts(&bad), &limits);
            assert_eq!(found.refused, Some(kind), "{bad}");
        }
    }
}

#[test]
fn what_never_ends_its_line_is_refused_at_the_limit() {
    let limits = limited();
    let endless = format!("GET /{}", "a".repeat(200));
    assert_eq!(scan(endless.as_bytes(), &[100], &limits).refused, Some(RejectionKind::UriTooLong));
    let endless = format!("GET / HTTP/1.1\r\na: {}", "a".repeat(100));
    let found = scan(endless.as_bytes(), &[30, 70], &limits);
    assert_eq!(found.refused, Some(RejectionKind::HeadersTooLarge));
}

#[test]
fn actix_http_reads_every_row_alike() {
    for row in rows() {
        agrees(&raw(&row), &[]);
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET / HTTP/1.1\r\nHost: a\r\n".to_owned()),
        Just("POST /x HTTP/1.1\r\nHost: a\r\n".to_owned()),
        Just("POST /x HTTP/1.0\r\nHost: a\r\n".to_owned()),
        Just("Content-Length: 3\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("X_Y: b\r\n".to_owned()),
        Just("Expect: 100-continue\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("3\r\nabc\r\n".to_owned()),
        Just("0\r\n\r\n".to_owned()),
        Just("0\r\nA: b\r\n\r\n".to_owned()),
        Just("abc".to_owned()),
        "[ -~\r\n\t]{0,6}",
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_anything_is_read_alike_and_as_actix_http_reads_it(
        raw in pieces(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(raw.len() + 1)).collect();
        cuts.sort_unstable();
        agrees(&raw, &cuts);
    }

    #[test]
    fn a_mutated_row_is_read_alike_and_as_actix_http_reads_it(
        row in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in any::<[u8; 2]>(),
    ) {
        let rows = rows_once();
        let mut raw = rows[row.index(rows.len())].clone();
        let at = at.index(raw.len());
        raw[at] = byte;
        raw.extend(cuts);
        wire::holds(&raw);
    }
}

fn rows_once() -> &'static [Vec<u8>] {
    static ROWS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    ROWS.get_or_init(|| rows().iter().map(raw).collect())
}
