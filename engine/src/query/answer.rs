//! Answering a request by its reads.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use serde_json::json;

use super::Failure;
use super::cell::Broken;
use super::databases::Table;
use super::json::Json;
use super::parameters::{self, Values};
use super::policy::{QueryPolicy, ReadPlan};
use super::rows::Children;
use super::wire::Shape;
use crate::body::Body;
use crate::handler::Handler;
use crate::http::{HeaderName, HeaderValue, StatusCode, header};
use crate::middleware::access_log::write_line;
use crate::middleware::authorize::Permitted;
use crate::middleware::rejection::{Form, Rejection, RejectionKind};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// The innermost service of a route that is read.
pub struct Reading(pub Arc<QueryPolicy>);

impl Handler for Reading {
    fn call(&self, request: Permitted<Request>) -> Reply {
        let policy = Arc::clone(&self.0);
        let cursors = policy.paging.as_ref().and_then(|paging| paging.cursors.as_ref());
        let cursors = cursors.map(|(_, cursors)| cursors);
        match parameters::take(&policy.parameters, &request, cursors, policy.use_tz) {
            Err(refused) => refused.into(),
            Ok(values) => Reply::pending(answer(policy, values, request)),
        }
    }
}

async fn answer(policy: Arc<QueryPolicy>, values: Values, request: Permitted<Request>) -> Response {
    let given = policy.given(&values);
    let mut json = Json(Vec::with_capacity(512));
    let answered = if policy.is_object() {
        object(&policy, given, &values, &mut json).await.map(|()| true)
    } else {
        only(&policy, given, &values, &request, &mut json).await
    };
    match answered {
        Ok(true) => Response::json(Bytes::from(json.0)),
        Ok(false) => not_found(),
        Err(Refused::Link(link)) => {
            let mut response = Response::json(Bytes::from(json.0));
            response.headers.append(header::LINK, link);
            response
        }
        Err(Refused::Failed(failure)) => policy.refuse(&failure, request.form),
        Err(Refused::Broken(Broken(what))) => {
            policy.refuse(&Failure::Failed(format!("a row has {what}")), request.form)
        }
    }
}

/// Why the answer is not the JSON alone.
enum Refused {
    /// There is a page behind it.
    Link(HeaderValue),
    Failed(Failure),
    Broken(Broken),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Writes the one read that is the answer; whether there is anything.
async fn only(
    policy: &QueryPolicy,
    given: usize,
    values: &Values,
    request: &Request,
    json: &mut Json,
) -> Result<bool, Refused> {
    let read = &policy.reads[0];
    let Some(paging) = &policy.paging else {
        let (table, children) = fetch(read, given, values, read.max_rows).await?;
        return write(read, &table, &children, json);
    };
    let number = |at: usize| values[at].as_ref().and_then(|value| value.text().parse::<u64>().ok());
    let limit = number(paging.limit).unwrap_or_default();
    let (table, children) = fetch(read, given, values, limit.saturating_add(1)).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    read.layout.list(&table, table.count().min(limit), &children, json)?;
    if table.count() <= limit {
        return Ok(true);
    }
    let next = match &paging.cursors {
        None => {
            let offset = number(paging.from).unwrap_or_default();
            offset.saturating_add(limit as u64).to_string()
        }
        Some((column, cursors)) => {
            let mut last = Json::default();
            table.write(limit - 1, *column, &mut last)?;
            cursors.seal(&last.0)
        }
    };
    match paging.link(&request.uri, &next) {
        Some(link) => Err(Refused::Link(link)),
        None => Ok(true),
    }
}

/// Writes all reads under their keys.
async fn object(
    policy: &QueryPolicy,
    given: usize,
    values: &Values,
    json: &mut Json,
) -> Result<(), Refused> {
    let fetched = policy.reads.iter().map(|read| fetch(read, given, values, read.max_rows));
    let fetched = try_join_all(fetched).await?;
    json.raw(b"{");
    for (place, (read, (table, children))) in policy.reads.iter().zip(&fetched).enumerate() {
        if place > 0 {
            json.raw(b", ");
        }
        json.text(read.key.as_deref().unwrap_or_default());
        json.raw(b": ");
        if !write(read, table, children, json)? {
            json.raw(b"null");
        }
    }
    json.raw(b"}");
    Ok(())
}

/// The rows of a read and those within them, asked for at once.
async fn fetch<'a>(
    read: &'a ReadPlan,
    given: usize,
    values: &Values,
    max: u64,
) -> Result<(Table, Vec<Children<'a>>), Refused> {
    let rows = |read: &'a ReadPlan, max: u64| async move {
        let statement = read.statement(given).ok_or(Failure::Unavailable)?;
        read.database.rows(statement, values, max).await
    };
    if read.nested.is_empty() {
        return Ok((rows(read, max).await?, Vec::new()));
    }
    let inner = read.nested.iter().map(|nested| rows(&nested.read, nested.read.max_rows));
    let (table, inner) = tokio::join!(rows(read, max), join_all(inner));
    let children = read
        .nested
        .iter()
        .zip(inner)
        .map(|(nested, table)| Ok(Children::new(nested, table?)?))
        .collect::<Result<_, Refused>>()?;
    Ok((table?, children))
}

/// Writes a read; whether there is anything.
fn write(
    read: &ReadPlan,
    table: &Table,
    children: &[Children<'_>],
    json: &mut Json,
) -> Result<bool, Refused> {
    match read.shape {
        Shape::List => read.layout.list(table, table.count(), children, json)?,
        Shape::One | Shape::Value if table.count() == 0 => return Ok(false),
        Shape::One => read.layout.row(table, 0, children, json)?,
        Shape::Value => read.layout.value(table, 0, json)?,
    }
    Ok(true)
}

/// 404 as a handler's `HTTPError` is answered.
fn not_found() -> Response {
    let mut response = Response::new(StatusCode::NOT_FOUND);
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers.append(header::CONTENT_TYPE, kind);
    response.body = Body::from(RejectionKind::NotFound.json());
    response
}

impl QueryPolicy {
    /// The answer where there are no rows, and a line of the log where somebody has to mend it.
    fn refuse(&self, failure: &Failure, form: Form) -> Response {
        let (kind, reason) = match failure {
            Failure::Unavailable => (RejectionKind::DatabaseUnavailable, None),
            Failure::Crowded => (RejectionKind::Overloaded, None),
            Failure::Late => (RejectionKind::Timeout, None),
            Failure::TooMany => (RejectionKind::Internal, Some("more rows than max_rows")),
            Failure::Failed(reason) => (RejectionKind::Internal, Some(reason.as_str())),
        };
        if let Some(reason) = reason {
            write_line(&format!("{}\n", json!({"query": self.name, "failed": reason})));
        }
        let mut refusal = Rejection::new(kind);
        if matches!(failure, Failure::Unavailable | Failure::Crowded) {
            let soon: (HeaderName, _) = (header::RETRY_AFTER, HeaderValue::from_static("1"));
            refusal = refusal.with_header(soon.0, soon.1);
        }
        refusal.into_response(form)
    }
}
