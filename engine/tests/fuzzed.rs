//! The properties that `engine/fuzz` tries with mutated bytes, with proptest's values here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed property is a panic

mod properties;

use proptest::prelude::*;

/// One of `words`, or a little of anything.
fn piece(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        1 => "\\PC{0,4}",
    ]
}

fn pieces(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(piece(words), 0..most).prop_map(|pieces| pieces.concat())
}

const PATHS: &[&str] = &[
    "/", "a", "%41", "%2F", "%2e", "%2E", ".", "..", "%5c", "\\", "%00", "%", "%c3%a9", "%ff", "é",
    ";", "~", "%25",
];

const EXPRESSIONS: &[&str] = &[
    "role(\"a\")",
    "scope(\"b\")",
    "claim(\"c.d\")",
    " == ",
    "5",
    "-1.5",
    "\"z\"",
    "true",
    " && ",
    " || ",
    "!",
    "(",
    ")",
];

const FORWARDED: &[&str] = &[
    "192.0.2.1",
    "10.0.0.1",
    "for=",
    "proto=https",
    ";",
    ", ",
    "\"",
    "\\",
    "[2001:db8::1]",
    ":80",
    "unknown",
    " ",
    "%e",
];

const REQUESTS: &[&str] = &[
    "GET ",
    "OPTIONS ",
    "POST ",
    "/",
    "/public/7",
    "/old/",
    "/ip",
    "//evil.test",
    "\n",
    "origin: https://app.example.com",
    "origin: null",
    "access-control-request-method: GET",
    "authorization: Bearer a.b.c",
    "authorization: Basic YTpi",
    "cookie: session=x",
    "accept-encoding: br;q=0.5, *",
    "accept: text/html",
    "x-forwarded-for: 192.0.2.1",
    "host: x",
    "range: bytes=0-1",
    "content-length: 5000",
];

/// What a fuzz target once found stays tried.
#[test]
fn what_was_found_once_holds() {
    properties::expression::holds("claim(\"x\") == -1.95e33");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_path_has_one_meaning(rest in pieces(PATHS, 10)) {
        properties::path::holds(&format!("/{rest}"));
        properties::path::holds(&rest);
    }

    #[test]
    fn an_expression_survives_its_spelling(text in pieces(EXPRESSIONS, 12)) {
        properties::expression::holds(&text);
    }

    #[test]
    fn the_trusted_proxy_decides_whose_request_it_is(said in pieces(FORWARDED, 12)) {
        properties::forwarded::holds(said.as_bytes());
    }

    #[test]
    fn every_request_is_answered(text in pieces(REQUESTS, 16)) {
        properties::request::holds(text.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_edited_document_is_a_plan_or_mistakes(script in prop::collection::vec(any::<u8>(), 0..24)) {
        properties::plan::holds(&properties::plan::edited(&script));
    }
}

#[test]
fn the_document_that_is_edited_is_right() {
    let wire = properties::plan::edited(&[]);
    let (plan, found) = pybolt_engine::plan::Plan::compile(&wire);
    assert!(plan.is_some(), "{found:?}");
}
