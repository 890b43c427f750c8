//! `tests/vectors/static.yaml` through the whole engine in memory, over a directory of its own. The
//! Python tests read the same table, through the test client and over sockets.

#![allow(clippy::unwrap_used)] // a table that cannot be read is a failed test

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const MODIFIED: Duration = Duration::from_secs(784_111_777);

/// The handler of the fallback, behind the gate.
struct Nobody;

impl Handler for Nobody {
    fn call(&self, _: Permitted<Request>) -> Reply {
        unreachable!("Rust answers alone")
    }
}

struct Table {
    tree: TempDir,
    told: Value,
    runtime: tokio::runtime::Runtime,
}

impl Table {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/static.yaml");
        let told: Value = serde_norway::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let tree = tempfile::tempdir().unwrap();
        for entry in told["tree"].as_array().unwrap() {
            make(tree.path(), entry);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { tree, told, runtime }
    }

    fn engine(&self, config: &Value) -> Engine {
        let document = json!({"source": "x", "directory": self.tree.path(), "config": config});
        let (plan, found) = Plan::compile(&json!({"documents": [document]}).to_string());
        let plan = Arc::new(plan.unwrap_or_else(|| panic!("{found:?}")));
        Engine::new(plan, |_| Rc::new(Nobody))
    }

    fn answer(&self, engine: &Engine, request: Request) -> Response {
        let Ok(response) = self.runtime.block_on(engine.call(request));
        response
    }

    fn body(&self, response: Response) -> Bytes {
        self.runtime.block_on(response.body.collect()).unwrap()
    }
}

fn make(root: &Path, entry: &Value) {
    let path = root.join(entry["path"].as_str().unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if let Some(target) = entry["link"].as_str() {
        symlink(target.replace("{tree}", root.to_str().unwrap()), path).unwrap();
    } else if entry["fifo"] == true {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    } else {
        let text = match entry["size"].as_u64() {
            Some(size) => "0123456789".repeat(usize::try_from(size / 10).unwrap()),
            None => entry["text"].as_str().unwrap().to_owned(),
        };
        fs::write(&path, text).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + MODIFIED).unwrap();
    }
}

fn request(told: &Value, etag: &str, conditions: bool) -> Option<Request> {
    let method = told["method"].as_str().unwrap_or("GET");
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    for pair in told["headers"].as_array().into_iter().flatten() {
        let name = pair[0].as_str().unwrap();
        if conditions || !(name.starts_with("if-") || name == "range") {
            let value = pair[1].as_str().unwrap().replace("{etag}", etag);
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(&value).unwrap());
        }
    }
    let uri = told["url"].as_str().unwrap().parse().ok()?;
    let peer = SocketAddr::from(([127, 0, 0, 1], 40000));
    let request = Request::new(method.parse().unwrap(), uri, headers, Body::Empty);
    Some(request.from_peer(Some(peer)))
}

fn check(table: &Table, row: &Value) -> Vec<String> {
    for key in row["expect"].as_object().unwrap().keys() {
        assert!(["status", "code", "headers", "body", "length", "parts"].contains(&key.as_str()));
    }
    let engine = table.engine(&table.told["configs"][row["config"].as_str().unwrap()]);
    let told = &row["request"];
    let mut etag = String::new();
    if row.to_string().contains("{etag}") {
        let plain = table.answer(&engine, request(told, "", false).unwrap());
        if let Some(tag) = plain.headers.get(&header::ETAG) {
            tag.to_str().unwrap().clone_into(&mut etag);
        }
    }
    for _ in 1..row["repeat"].as_u64().unwrap_or(1) {
        table.answer(&engine, request(told, &etag, true).unwrap());
    }
    let response = table.answer(&engine, request(told, &etag, true).unwrap());
    let expect = &row["expect"];
    let mut wrong = Vec::new();
    let mut compare = |what: &str, expected: &Value, found: Value| {
        if *expected != found {
            wrong.push(format!("{}: {what}: expected {expected}, found {found}", row["name"]));
        }
    };
    compare("status", &expect["status"], json!(response.status.as_u16()));
    if expect["code"].is_string() {
        compare("code", &expect["code"], json!(response.rejection.map(RejectionKind::code)));
    }
    for (name, expected) in expect["headers"].as_object().into_iter().flatten() {
        let header = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let values = response.headers.get_all(&header).map(|value| value.to_str().unwrap());
        let joined = values.collect::<Vec<_>>().join(", ");
        let found = if response.headers.contains(&header) { json!(joined) } else { Value::Null };
        let expected = expected.as_str().map(|text| text.replace("{etag}", &etag));
        compare(name, &json!(expected), found);
    }
    let content_type = response.headers.get(&header::CONTENT_TYPE).cloned();
    let announced = response.body.length();
    let body = table.body(response);
    if let Some(announced) = announced {
        assert_eq!(announced, body.len() as u64);
    }
    if expect["body"].is_string() {
        compare("body", &expect["body"], json!(String::from_utf8_lossy(&body)));
    }
    if expect["length"].is_u64() {
        compare("length", &expect["length"], json!(body.len()));
    }
    if expect["parts"].is_array() {
        let content_type = content_type.unwrap();
        let content_type = content_type.to_str().unwrap();
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        compare("parts", &expect["parts"], parts(str::from_utf8(&body).unwrap(), boundary));
    }
    wrong
}

/// `Content-Range` and text of each part.
fn parts(body: &str, boundary: &str) -> Value {
    let end = format!("\r\n--{boundary}--\r\n");
    let body = body.strip_suffix(end.as_str()).unwrap();
    let between = format!("\r\n--{boundary}\r\n");
    let parts = body.split(between.as_str()).skip(1).map(|part| {
        let (head, text) = part.split_once("\r\n\r\n").unwrap();
        let range = head.split_once("content-range: ").unwrap().1;
        json!([range, text])
    });
    parts.collect()
}

#[test]
fn files_of_a_directory() {
    let table = Table::read();
    let rows = table.told["rows"].as_array().unwrap();
    assert!(rows.len() >= 110, "only {} rows", rows.len());
    let wrong: Vec<String> = rows.iter().flat_map(|row| check(&table, row)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_spelling_leads_out() {
    let table = Table::read();
    let spellings = table.told["spellings"].as_array().unwrap();
    assert!(spellings.len() >= 90);
    for config in ["plain", "links", "encoded"] {
        let engine = table.engine(&table.told["configs"][config]);
        let mut asked = 0;
        for spelling in spellings {
            // What is no target at all is refused by the server, as the tests over sockets show.
            let Some(request) = request(&json!({"url": spelling}), "", true) else { continue };
            asked += 1;
            let response = table.answer(&engine, request);
            assert!(matches!(response.status.as_u16(), 400 | 404), "{config} {spelling}");
            assert!(!table.body(response).windows(6).any(|six| six == b"SECRET"), "{spelling}");
        }
        assert!(asked >= 85, "{asked}");
    }
}

#[test]
fn a_change_shows_within_a_second_and_a_swapped_link_leads_nowhere() {
    let table = Table::read();
    let www = table.tree.path().join("www");
    let engine = table.engine(&table.told["configs"]["links"]);
    let get = |url: &str| {
        let response = table.answer(&engine, request(&json!({"url": url}), "", true).unwrap());
        let tag = response.headers.get(&header::ETAG).cloned();
        (response.status.as_u16(), tag, table.body(response))
    };
    let (_, before, _) = get("/static/a.txt");
    assert_eq!(get("/static/link-in").2, "0123456789");
    let changed = Instant::now();
    fs::write(www.join("a.txt"), "9876543210").unwrap();
    fs::remove_file(www.join("link-in")).unwrap();
    symlink("../secret.txt", www.join("link-in")).unwrap();
    while get("/static/a.txt").2 != "9876543210" || get("/static/link-in").0 != 404 {
        assert!(changed.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, after, _) = get("/static/a.txt");
    assert_ne!(before, after);
    fs::remove_file(www.join("a.txt")).unwrap();
    while get("/static/a.txt").0 != 404 {
        assert!(changed.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A field of an answer that is a date.
fn moment(response: &Response, name: &HeaderName) -> Option<SystemTime> {
    let value = response.headers.get(name)?.to_str().unwrap();
    Some(httpdate::parse_http_date(value).unwrap())
}

#[test]
fn a_file_from_the_future_is_modified_now() {
    let table = Table::read();
    let engine = table.engine(&table.told["configs"]["plain"]);
    let year_10000 = 253_402_300_800;
    for modified in [
        SystemTime::now() + Duration::from_secs(3600),
        UNIX_EPOCH + Duration::from_secs(year_10000),
    ] {
        let path = table.tree.path().join("www/a.txt");
        fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        let ask = |headers: Value| {
            let told = json!({"url": "/static/a.txt", "headers": headers});
            table.answer(&engine, request(&told, "", true).unwrap())
        };
        let begun = SystemTime::now() - Duration::from_secs(1);
        let answer = ask(json!([]));
        let stated = moment(&answer, &header::LAST_MODIFIED).unwrap();
        assert!(begun <= stated && stated <= SystemTime::now());
        assert_eq!(moment(&answer, &header::DATE), Some(stated), "{answer:?}");
        let since = |ago| httpdate::fmt_http_date(stated - Duration::from_secs(ago));
        let later = httpdate::fmt_http_date(stated + Duration::from_secs(10));
        for (headers, expected) in [
            (json!([["if-modified-since", since(1)]]), 200),
            (json!([["if-modified-since", later]]), 200),
            (json!([["if-unmodified-since", since(1)]]), 412),
            (json!([["if-unmodified-since", later]]), 412),
        ] {
            assert_eq!(ask(headers.clone()).status.as_u16(), expected, "{headers}");
        }
        // What a 304 says is no later either.
        let tag = answer.headers.get(&header::ETAG).unwrap().to_str().unwrap();
        let same = ask(json!([["if-none-match", tag]]));
        assert_eq!(same.status.as_u16(), 304);
        assert!(moment(&same, &header::LAST_MODIFIED).unwrap() <= SystemTime::now());
    }
}

#[test]
fn a_file_from_memory_waits_for_nothing() {
    let table = Table::read();
    let engine = table.engine(&table.told["configs"]["plain"]);
    let ask = |method: Method| {
        let told = json!({"url": "/static/a.txt", "method": method.as_str()});
        engine.call(request(&told, "", true).unwrap())
    };
    let Ok(first) = table.runtime.block_on(ask(Method::GET));
    assert_eq!(first.status.as_u16(), 200);
    for method in [Method::GET, Method::HEAD] {
        let answer = ask(method);
        assert_eq!(format!("{answer:?}"), "Ready");
    }
    // A name that cannot be one is refused without a look at the disk.
    let told = json!({"url": "/static/.env"});
    assert_eq!(format!("{:?}", engine.call(request(&told, "", true).unwrap())), "Ready");
}
