//! Names of functions.

use std::str::FromStr;

use thiserror::Error;

/// The name of a Python function, `module:name` or `module.name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FunctionName(String);

#[derive(Debug, Error)]
#[error("`module:name` or `module.name` is wanted")]
pub(crate) struct InvalidFunctionName;

impl FunctionName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = InvalidFunctionName;

    fn from_str(text: &str) -> Result<Self, InvalidFunctionName> {
        let parts = match text.split_once(':') {
            Some((module, name)) => [module, name],
            None => text.rsplit_once('.').ok_or(InvalidFunctionName)?.into(),
        };
        // Python has the last word on what an identifier is; this catches slips.
        let is_identifier =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        match parts.iter().all(|part| part.split('.').all(is_identifier)) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidFunctionName),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_other_text() {
        for name in
            ["os:getpid", "os.getpid", "os.path:join", "a.b.c", "m:Class.method", "_m:_f1", "größe:maß"]
        {
            assert_eq!(name.parse::<FunctionName>().unwrap().as_str(), name);
        }
        for wrong in [
            "",
            "f",
            ":",
            "m:",
            ":f",
            "m.",
            ".f",
            "m::f",
            "m:f()",
            "m f",
            "a..b",
            "m:f:g",
            "lambda x: x",
            "m-x:f",
        ] {
            assert!(wrong.parse::<FunctionName>().is_err(), "{wrong}");
        }
    }
}
