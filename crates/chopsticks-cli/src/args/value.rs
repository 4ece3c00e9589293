//! Parsers for the values of options.

use std::{str::FromStr, time::Duration};

use chopsticks::LogLevel;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// An environment variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A keyword argument that comes from a variable of the target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VariableKeyword {
    pub(crate) name: String,
    pub(crate) variable: String,
}

pub(super) fn log_level() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::ALL.map(LogLevel::name))
        .try_map(|name| name.parse::<LogLevel>().map_err(|error| error.to_string()))
}

impl FromStr for VariableKeyword {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, variable) = text.split_once('=').unwrap_or((text, text));
        if name.is_empty() || variable.is_empty() {
            return Err("expected NAME or NAME=VARIABLE".to_owned());
        }
        Ok(Self { name: name.to_owned(), variable: variable.to_owned() })
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

pub(super) fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err("expected octal digits, such as 644".to_owned()),
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let size = digits.parse().ok().and_then(|number: usize| number.checked_mul(unit));
    size.filter(|&size| size > 0)
        .ok_or_else(|| "expected a number of bytes above 0, such as 1000000 or 64M".to_owned())
}

/// A number of seconds, or times with units.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        Err(_) => humantime::parse_duration(text)
            .map_err(|_| "expected a time, such as 30 or 0.5, in seconds, or 1m30s".to_owned())?,
    };
    if duration.is_zero() { Err("expected a time above 0".to_owned()) } else { Ok(duration) }
}
