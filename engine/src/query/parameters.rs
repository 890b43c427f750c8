//! What a request brings to a query: taken from its path, its query string and its principal, and
//! refused where it does not fit.

use bytes::Bytes;
use serde_json::{Value as JsonValue, json};

use super::page::Cursors;
use super::wire::{Parameter, Place};
use crate::body::Body;
use crate::http::{HeaderValue, StatusCode, header};
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

/// Takes `parameters` from a request; 422 where they do not fit.
pub fn take(
    parameters: &[Parameter],
    request: &Parts,
    cursors: Option<&Cursors>,
    use_tz: bool,
) -> Result<Values, Response> {
    let mut values = Vec::with_capacity(parameters.len());
    let mut errors = Vec::new();
    for parameter in parameters {
        let found = find(parameter, request);
        match found.and_then(|found| read(parameter, found.as_deref(), cursors, use_tz)) {
            Ok(value) => values.push(value),
            Err(message) => errors.push(json!({
                "in": match parameter.place {
                    Some(Place::Path) => "path",
                    Some(Place::Principal) => "principal",
                    _ => "query",
                },
                "field": parameter.name,
                "message": message,
            })),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(invalid(&errors)) }
}

/// The text of a parameter: the last one of several.
fn find(parameter: &Parameter, request: &Parts) -> Result<Option<String>, String> {
    Ok(match parameter.place {
        None => None,
        Some(Place::Path) => request.param(&parameter.name).map(str::to_owned),
        Some(Place::Principal) => {
            let principal = request.principal.as_ref();
            match principal.and_then(|principal| principal.claims.read().get(&parameter.name)) {
                None | Some(JsonValue::Null) => None,
                Some(JsonValue::Array(_)) => return Err("expected one value".to_owned()),
                Some(JsonValue::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            }
        }
        Some(Place::Query | Place::Limit | Place::Offset | Place::Cursor) => {
            let query = request.uri.query().unwrap_or_default();
            form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| *name == parameter.name)
                .last()
                .map(|(_, value)| value.into_owned())
        }
    })
}

fn read(
    parameter: &Parameter,
    found: Option<&str>,
    cursors: Option<&Cursors>,
    use_tz: bool,
) -> Result<Option<Value>, String> {
    let Some(text) = found.or(parameter.default.as_deref()) else {
        return if parameter.optional { Ok(None) } else { Err("is required".to_owned()) };
    };
    if parameter.place == Some(Place::Cursor) {
        let opened = cursors.and_then(|cursors| cursors.open(text));
        let opened = opened.and_then(|text| parameter.scalar.read(&text, use_tz).ok());
        return opened
            .map(|text| Some(Value(text)))
            .ok_or("expected the cursor of a page".to_owned());
    }
    let value = parameter.scalar.read(text, use_tz);
    if matches!(parameter.place, Some(Place::Limit | Place::Offset)) {
        let least = i64::from(parameter.place == Some(Place::Limit));
        let fits = |value: i64| value >= least && parameter.max.is_none_or(|max| value <= max);
        if !value.as_ref().is_ok_and(|value| value.parse().is_ok_and(fits)) {
            return Err(match parameter.max {
                Some(max) => format!("expected an integer from {least} to {max}"),
                None => format!("expected an integer from {least} up"),
            });
        }
    }
    Ok(Some(Value(value?)))
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
