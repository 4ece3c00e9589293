//! The values of variables.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// The variables of a host, by name.
pub type Variables = BTreeMap<String, Variable>;

/// The value of a variable. It serializes as what it is, so that it can be an argument of a
/// function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Variable {
    /// No value: `null` in YAML.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Variable>),
    /// A mapping, in the order of the file.
    Dict(Vec<(String, Variable)>),
}

impl Variable {
    /// Returns the value as a text for a template: texts as they are, numbers and truth values as
    /// they are usually written. Returns `None` for lists, mappings and no value.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(value) => Some(value.clone()),
            Self::None | Self::List(_) | Self::Dict(_) => None,
        }
    }
}

impl From<&str> for Variable {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Writes what [`to_text`](Variable::to_text) returns, and names the kind of other values.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("null"),
            Self::List(items) => write!(f, "a list of {}", items.len()),
            Self::Dict(pairs) => write!(f, "a mapping of {}", pairs.len()),
            value => f.write_str(&value.to_text().unwrap_or_default()),
        }
    }
}

impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Dict(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
