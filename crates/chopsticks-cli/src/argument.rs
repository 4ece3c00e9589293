//! Arguments of functions: JSON if it is valid JSON, otherwise text.

use std::{fmt, str::FromStr};

use chopsticks::{OsName, pencode::BigInt};
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;
use thiserror::Error;

/// An argument, as Python receives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Argument {
    Bool(bool),
    Dict(Vec<(String, Argument)>),
    Float(f64),
    /// An integer of any size, which is the reason why serde_json does not parse numbers.
    Int(BigInt),
    List(Vec<Argument>),
    /// An argument that is not UTF-8.
    Name(OsName),
    None,
    Text(String),
}

/// `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keyword {
    pub(crate) name: String,
    pub(crate) value: Argument,
}

#[derive(Debug, Error)]
pub(crate) enum InvalidArgument {
    #[error("expected NAME=VALUE")]
    NotAPair,
    #[error("the JSON is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Parses an argument of the command line, which need not be UTF-8.
pub(crate) fn parser() -> impl TypedValueParser<Value = Argument> {
    OsStringValueParser::new().try_map(|text| match text.into_string() {
        Ok(text) => text.parse(),
        Err(name) => Ok::<_, InvalidArgument>(Argument::Name(name.into())),
    })
}

impl Argument {
    /// Converts valid JSON. Returns `None` for text that Python could not represent.
    fn from_json(json: &RawValue, depth: usize) -> Result<Option<Self>, InvalidArgument> {
        let text = json.get().trim();
        if depth > MAX_DEPTH {
            return Err(InvalidArgument::TooDeep);
        }
        Ok(Some(match text.as_bytes() {
            b"null" => Self::None,
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            [b'"', ..] => match serde_json::from_str(text) {
                Ok(text) => Self::Text(text),
                // Half a surrogate pair.
                Err(_) => return Ok(None),
            },
            [b'[', ..] => {
                let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else { return Ok(None) };
                let items = items.into_iter().map(|item| Self::from_json(item, depth + 1));
                match items.collect::<Result<Option<_>, _>>()? {
                    Some(items) => Self::List(items),
                    None => return Ok(None),
                }
            }
            [b'{', ..] => {
                let Ok(Pairs(pairs)) = serde_json::from_str(text) else { return Ok(None) };
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| Ok(Self::from_json(value, depth + 1)?.map(|value| (key, value))));
                match pairs.collect::<Result<Option<_>, InvalidArgument>>()? {
                    Some(pairs) => Self::Dict(pairs),
                    None => return Ok(None),
                }
            }
            _ => match text.parse() {
                Ok(int) => Self::Int(int),
                // As in Python's `json`, a float that is too large is infinite.
                Err(_) => text.parse().map_or(Self::Text(text.to_owned()), Self::Float),
            },
        }))
    }
}

impl FromStr for Argument {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        let json = match serde_json::from_str::<&RawValue>(text) {
            Ok(json) => Self::from_json(json, 0)?,
            Err(_) => None,
        };
        Ok(json.unwrap_or_else(|| Self::Text(text.to_owned())))
    }
}

impl Serialize for Argument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Dict(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Int(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Name(name) => name.serialize(serializer),
            Self::None => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl FromStr for Keyword {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        match text.split_once('=') {
            None | Some(("", _)) => Err(InvalidArgument::NotAPair),
            Some((name, value)) => Ok(Self { name: name.to_owned(), value: value.parse()? }),
        }
    }
}

/// The pairs of a JSON object in their order. The values are not parsed yet.
struct Pairs<'de>(Vec<(String, &'de RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// The depth limit of serde_json. Each level is a level of recursion, and parses its content again.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use chopsticks::pencode::marshal;

    use super::*;

    /// What Python makes of an argument.
    fn python(text: &str) -> String {
        let bytes = marshal::to_vec(&text.parse::<Argument>().unwrap()).unwrap();
        marshal::decode_graph(&bytes).unwrap().to_string()
    }

    #[test]
    fn json_becomes_what_it_is_in_python() {
        for (text, expected) in [
            ("5", "5"),
            ("-5", "-5"),
            ("-0", "0"),
            ("1.0", "1.0"),
            ("1e3", "1000.0"),
            ("1e999", "inf"),
            ("true", "True"),
            ("false", "False"),
            ("null", "None"),
            ("\"5\"", "'5'"),
            ("\"\\u20ac\"", "'€'"),
            ("[]", "[]"),
            ("{}", "{}"),
            (" [1, [2.5, null], \"x\"] ", "[1, [2.5, None], 'x']"),
            ("{\"z\": 1, \"a\": {\"b\": [true]}}", "{'z': 1, 'a': {'b': [True]}}"),
        ] {
            assert_eq!(python(text), expected, "{text}");
        }
    }

    #[test]
    fn integers_of_any_size_stay_integers() {
        for digits in
            ["9223372036854775807", "18446744073709551616", "-170141183460469231731687303715884105729"]
        {
            assert_eq!(python(digits), digits);
        }
        let long = format!("1{}", "0".repeat(400));
        assert_eq!(python(&format!("[{long}]")), format!("[{long}]"));
    }

    #[test]
    fn what_is_not_json_is_text() {
        for text in [
            "web", "", "-x", "True", "None", "[1,", "{1: 2}", "'x'", "007", "0x10", "1_000", "NaN", "a=b",
            "5 6",
        ] {
            assert_eq!(text.parse::<Argument>().unwrap(), Argument::Text(text.to_owned()));
        }
        // JSON, but no text that Python could be sent.
        let half = "[\"\\ud800\"]";
        assert_eq!(half.parse::<Argument>().unwrap(), Argument::Text(half.to_owned()));
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).parse::<Argument>();
        assert!(matches!(nested(100), Ok(Argument::List(_))));
        assert!(matches!(nested(50_000), Err(InvalidArgument::TooDeep)));
    }

    #[test]
    fn keywords_are_split_at_the_first_equals_sign() {
        let keyword = |text: &str| text.parse::<Keyword>().map(|keyword| (keyword.name, keyword.value));
        assert_eq!(keyword("x=5").unwrap(), ("x".to_owned(), Argument::Int(5.into())));
        assert_eq!(keyword("x=a=b").unwrap(), ("x".to_owned(), Argument::Text("a=b".to_owned())));
        assert_eq!(keyword("x=").unwrap(), ("x".to_owned(), Argument::Text(String::new())));
        assert!(keyword("x").is_err());
        assert!(keyword("=5").is_err());
    }
}
