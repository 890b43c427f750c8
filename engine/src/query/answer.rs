//! Answering a request by its reads.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::json;

use super::Failure;
use super::cell::Broken;
use super::databases::Table;
use super::json::Json;
use super::parameters::{self, Values};
use super::policy::{QueryPolicy, ReadPlan};
use super::rows::{Children, Fetched};
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
        object(&policy, given, &values, &mut json).await
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
        let found = read.fetch(given, values, read.max_rows).await?;
        return Ok(read.write(&found, json)?);
    };
    let number = |at: usize| values[at].as_ref().and_then(|value| value.text().parse::<u64>().ok());
    let limit = number(paging.limit).unwrap_or_default();
    let found = read.fetch(given, values, limit.saturating_add(1)).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = found.table.count();
    read.list(&found, count.min(limit), json)?;
    if count <= limit {
        return Ok(true);
    }
    let next = match &paging.cursors {
        None => {
            let offset = number(paging.from).unwrap_or_default();
            offset.saturating_add(limit as u64).to_string()
        }
        Some((column, cursors)) => {
            let mut last = Json::default();
            found.table.with(limit - 1, *column, |cell| last.cell(cell))?;
            cursors.seal(&last.0)
        }
    };
    match paging.link(&request.uri, &next) {
        Some(link) => Err(Refused::Link(link)),
        None => Ok(true),
    }
}

/// Writes all reads under their keys; whether all that must be there are.
async fn object(
    policy: &QueryPolicy,
    given: usize,
    values: &Values,
    json: &mut Json,
) -> Result<bool, Refused> {
    let fetched = policy.reads.iter().map(|read| read.fetch(given, values, read.max_rows));
    let fetched = try_join_all(fetched).await?;
    json.raw(b"{");
    for (place, (read, found)) in policy.reads.iter().zip(&fetched).enumerate() {
        if place > 0 {
            json.raw(b", ");
        }
        json.text(read.key.as_deref().unwrap_or_default());
        json.raw(b": ");
        if !read.write(found, json)? {
            return Ok(false);
        }
    }
    json.raw(b"}");
    Ok(true)
}

impl QueryPolicy {
    /// What all reads find, with `values` for the parameters; for who makes something else of it than
    /// JSON.
    pub async fn fetch(&self, values: &Values) -> Result<Vec<Fetched>, Failure> {
        let given = self.given(values);
        let fetched = self.reads.iter().map(|read| read.fetch(given, values, read.max_rows));
        try_join_all(fetched).await
    }
}

impl ReadPlan {
    /// Asks for the rows of a read and for those within them at once.
    async fn fetch(&self, given: usize, values: &Values, max: u64) -> Result<Fetched, Failure> {
        let table = self.rows(given, values, max);
        if self.nested.is_empty() {
            return Ok(Fetched { table: table.await?, children: Vec::new() });
        }
        let inner = self.nested.iter().map(|plan| {
            let read = &plan.read;
            read.rows(given, values, read.max_rows)
        });
        let (table, inner) = tokio::join!(table, try_join_all(inner));
        let children = self.nested.iter().zip(inner?).map(|(plan, table)| {
            let broken = |Broken(what)| Failure::Failed(format!("a row has {what}"));
            Children::new(plan, table).map_err(broken)
        });
        Ok(Fetched { table: table?, children: children.collect::<Result<_, _>>()? })
    }

    async fn rows(&self, given: usize, values: &Values, max: u64) -> Result<Table, Failure> {
        let statement = self.statement(given).ok_or(Failure::Unavailable)?;
        self.database.rows(statement, values, max).await
    }
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
