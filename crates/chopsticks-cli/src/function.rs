//! Names of functions.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use chopsticks::Function;
use thiserror::Error;

/// A Python function: `module:name`, `module.name`, or `path/of/script.py:name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum FunctionName {
    Named(String),
    Script { path: PathBuf, name: String },
}

#[derive(Debug, Error)]
#[error("expected `module:name`, `module.name` or `script.py:name`")]
pub(crate) struct InvalidFunctionName;

impl FunctionName {
    /// Returns the function to call.
    pub(crate) fn function(&self) -> Function {
        match self {
            Self::Named(name) => Function::name(name),
            Self::Script { path, name } => Function::script(path, name),
        }
    }

    /// Returns the folder of a script, from which Python would also import.
    pub(crate) fn script_folder(&self) -> Option<&Path> {
        match self {
            Self::Named(_) => None,
            Self::Script { path, .. } => match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => Some(folder),
                _ => Some(Path::new(".")),
            },
        }
    }

    /// Returns the script's file.
    pub(crate) fn script(&self) -> Option<&Path> {
        match self {
            Self::Named(_) => None,
            Self::Script { path, .. } => Some(path),
        }
    }
}

impl FromStr for FunctionName {
    type Err = InvalidFunctionName;

    fn from_str(text: &str) -> Result<Self, InvalidFunctionName> {
        // Python has the last word on what an identifier is; this catches slips.
        let is_identifier =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_name = |part: &str| part.split('.').all(is_identifier);
        if let Some((path, name)) = text.rsplit_once(':')
            && (path.contains('/') || path.ends_with(".py"))
        {
            let is_function = is_name(name) && !path.ends_with('/');
            return is_function
                .then(|| Self::Script { path: path.into(), name: name.to_owned() })
                .ok_or(InvalidFunctionName);
        }
        // A module's name is that of a file, which need not be an identifier.
        let is_module = |path: &str| is_name(&path.replace('-', "_"));
        let is_valid = match text.split_once(':') {
            Some((module, name)) => is_module(module) && is_name(name),
            None => text.contains('.') && is_name(text),
        };
        if is_valid { Ok(Self::Named(text.to_owned())) } else { Err(InvalidFunctionName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_other_text() {
        for name in [
            "os:getpid",
            "os.getpid",
            "os.path:join",
            "a.b.c",
            "m:Class.method",
            "_m:_f1",
            "größe:maß",
            "m.0001-x:f",
        ] {
            assert_eq!(name.parse::<FunctionName>().unwrap(), FunctionName::Named(name.to_owned()));
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
            "m-x.f",
            "m:f-x",
            "deploy.py:",
            "./deploy.py:f()",
            "ops/:f",
        ] {
            assert!(wrong.parse::<FunctionName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn scripts_are_told_by_their_path() {
        for (text, path, name, folder) in [
            ("deploy.py:restart", "deploy.py", "restart", "."),
            ("./my-deploy.py:Web.restart", "./my-deploy.py", "Web.restart", "."),
            ("/srv/a:b/tool:main", "/srv/a:b/tool", "main", "/srv/a:b"),
        ] {
            let function: FunctionName = text.parse().unwrap();
            assert_eq!(function, FunctionName::Script { path: path.into(), name: name.to_owned() });
            assert_eq!(function.script_folder(), Some(Path::new(folder)));
        }
    }
}
