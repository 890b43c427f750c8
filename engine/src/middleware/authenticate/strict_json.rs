//! JSON without duplicate members: two parsers that pick different ones would see two tokens.
//!
//! It borrows from what it is read of: of most tokens little more is wanted than who is asking.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON object whose members, at every depth, have distinct names.
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// A JSON value, every object of which is such a one.
pub enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// So many members are compared with each other; the names of more are sorted.
const FEW: usize = 16;

impl<'a> Object<'a> {
    /// Reads a text that is one.
    pub fn read(json: &'a [u8]) -> serde_json::Result<Self> {
        // Once for all of it, instead of text by text.
        serde_json::from_str(str::from_utf8(json).map_err(serde_json::Error::custom)?)
    }

    /// The member called `name`.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn has_duplicates(&self) -> bool {
        let Self(members) = self;
        if members.len() <= FEW {
            let again = |at: usize| members[..at].iter().any(|(known, _)| *known == members[at].0);
            return (1..members.len()).any(again);
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Json<'_> {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The same, with everything of its own.
impl From<Object<'_>> for Map<String, Value> {
    fn from(Object(members): Object<'_>) -> Self {
        members.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect()
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => Self::Number(number),
            Json::Text(text) => Self::String(text.into_owned()),
            Json::Array(items) => items.into_iter().map(Self::from).collect(),
            Json::Object(object) => Self::Object(object.into()),
        }
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Object(object) => Ok(object),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.to_owned().into()))
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut object = Object(Vec::new());
        while let Some((Name(name), value)) = map.next_entry()? {
            object.0.push((name, value));
        }
        if object.has_duplicates() {
            return Err(A::Error::custom("a member is there twice"));
        }
        Ok(Json::Object(object))
    }
}

/// The name of a member.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(JsonVisitor)? {
            Json::Text(name) => Ok(Self(name)),
            _ => Err(D::Error::custom("not a name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Option<Value> {
        Object::read(json.as_bytes()).ok().map(|object| Value::Object(object.into()))
    }

    #[test]
    fn names_are_distinct_at_every_depth_however_they_are_written() {
        let many: Vec<String> = (0..100).map(|at| format!("\"m{at}\":{at}")).collect();
        let many = many.join(",");
        for (json, is_fine) in [
            (r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#.to_owned(), true),
            (r#"{"a":1,"a":1}"#.to_owned(), false),
            (r#"{"a":1,"b":2,"\u0061":3}"#.to_owned(), false),
            (r#"{"b":{"a":1,"c":null,"a":2}}"#.to_owned(), false),
            (r#"{"b":[[{"a":1,"a":1}]]}"#.to_owned(), false),
            (format!("{{{many}}}"), true),
            (format!("{{{many},\"m\\u0030\":0}}"), false),
            (format!("{{\"x\":{{{many},\"m99\":0}}}}"), false),
        ] {
            assert_eq!(map(&json).is_some(), is_fine, "{json}");
        }
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for json in [
            r#"{"z":1,"a":-1,"f":1.5e3,"big":18446744073709551616,"t":true,"n":null,"s":"é\n\ud83d\ude00"}"#,
            r#" { "\"": [ "", {}, [] ] } "#,
            &deep(126),
            &deep(127),
            r#"{"a":1e400}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1,}"#,
            "{\"a\":\"\n\"}",
            "{} {}",
            "[]",
            "",
        ] {
            let expected = serde_json::from_str::<Map<String, Value>>(json).ok();
            let read = map(json).map(|read| read.to_string());
            assert_eq!(read, expected.map(|map| Value::Object(map).to_string()), "{json}");
        }
        assert!(Object::read(b"{\"a\":\"\xff\"}").is_err());
    }
}
