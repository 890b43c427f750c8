//! What a request brings to a query: taken from its path, its query string and its principal, and
//! refused where it does not fit.

use bytes::Bytes;
use serde_json::{Value as JsonValue, json};

use super::page::Cursors;
use super::wire::{Parameter, Place};
use crate::body::Body;
use crate::http::{HeaderValue, StatusCode, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;
use crate::response::Response;

/// A value of a request, in the form that PostgreSQL reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub String);

impl Value {
    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// The values of one request: a missing one is `None`.
pub type Values = Vec<Option<Value>>;

/// Takes `parameters` from a request; the answer where they cannot be had.
pub fn take(
    parameters: &[Parameter],
    request: &Parts,
    cursors: Option<&Cursors>,
    use_tz: bool,
) -> Result<Values, Response> {
    let mut values = Vec::with_capacity(parameters.len());
    let mut errors = Vec::new();
    for parameter in parameters {
        let Some(found) = find(parameter, request) else {
            return Err(Rejection::new(RejectionKind::Forbidden).into_response(request.form));
        };
        match read(parameter, &found, cursors, use_tz) {
            Ok(value) => values.push(value),
            Err(message) => errors.push(json!({
                "in": if parameter.place == Some(Place::Path) { "path" } else { "query" },
                "field": parameter.name,
                "message": message,
            })),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(invalid(&errors)) }
}

/// The texts of a parameter; `None` where it is the principal's and cannot be had.
fn find(parameter: &Parameter, request: &Parts) -> Option<Vec<String>> {
    match parameter.place? {
        Place::Path => {
            Some(request.param(&parameter.name).map(str::to_owned).into_iter().collect())
        }
        Place::Principal => {
            let principal = request.principal.as_ref()?;
            let found = match principal.claim(&parameter.name) {
                Some(JsonValue::String(text)) => text.clone(),
                Some(JsonValue::Number(number)) => number.to_string(),
                // An API key and a name have no claims, and are somebody too.
                None if parameter.name == "sub" && !principal.id.is_empty() => principal.id.clone(),
                _ => return None,
            };
            // Whoever was verified is not told of a type; a doubt is a refusal.
            parameter.scalar.read(&found, true).ok()?;
            Some(vec![found])
        }
        Place::Query | Place::Limit | Place::Offset | Place::Cursor => {
            let query = request.uri.query().unwrap_or_default();
            let found = form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| *name == parameter.name)
                .map(|(_, value)| value.into_owned());
            Some(found.collect())
        }
    }
}

fn read(
    parameter: &Parameter,
    found: &[String],
    cursors: Option<&Cursors>,
    use_tz: bool,
) -> Result<Option<Value>, String> {
    let text = found.last().map(String::as_str).or(parameter.default.as_deref());
    let Some(text) = text else {
        return if parameter.optional { Ok(None) } else { Err("is required".to_owned()) };
    };
    if parameter.place == Some(Place::Cursor) {
        let opened = cursors.and_then(|cursors| cursors.open(text));
        let opened = opened.and_then(|text| parameter.scalar.read(&text, use_tz).ok());
        return opened.map(|text| Some(Value(text))).ok_or("expected a cursor".to_owned());
    }
    if parameter.many && !found.is_empty() {
        let items = found.iter().map(|text| parameter.scalar.read(text, use_tz));
        return Ok(Some(Value(array(&items.collect::<Result<Vec<_>, _>>()?))));
    }
    let value = parameter.scalar.read(text, use_tz)?;
    if matches!(parameter.place, Some(Place::Limit | Place::Offset)) {
        let least = i64::from(parameter.place == Some(Place::Limit));
        let fits = |value: i64| value >= least && parameter.max.is_none_or(|max| value <= max);
        if !value.parse().is_ok_and(fits) {
            return Err(match parameter.max {
                Some(max) => format!("expected an integer from {least} to {max}"),
                None => format!("expected an integer from {least}"),
            });
        }
    }
    Ok(Some(Value(value)))
}

/// PostgreSQL's spelling of an array.
fn array(items: &[String]) -> String {
    let quoted: Vec<_> = items
        .iter()
        .map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

/// The answer that names what does not fit, as a handler's parameters do (`RequestValidationError`).
fn invalid(errors: &[JsonValue]) -> Response {
    let problem = json!({
        "type": "urn:pybolt:problem:invalid_request",
        "title": "Invalid Request",
        "status": 422,
        "errors": errors,
    });
    let mut response = Response::new(StatusCode::UNPROCESSABLE_ENTITY);
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers.append(header::CONTENT_TYPE, kind);
    response.body = Body::from(Bytes::from(problem.to_string()));
    response
}
