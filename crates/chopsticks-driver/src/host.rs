//! Names of hosts.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use thiserror::Error;

/// The name of a tunnel's host: the key of its results, and the label of its errors and output.
///
/// A name is any text of 1 to 255 bytes without control characters. It is cheap to clone.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostName(Arc<str>);

/// Error for a text that cannot name a host.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("invalid host name {text:?}: expected 1 to 255 bytes without control characters")]
pub struct InvalidHostName {
    text: String,
}

impl HostName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Creates a name from any text, by replacing what a name cannot contain.
    pub fn lossy(text: &str) -> Self {
        let mut name: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        name.truncate(name.floor_char_boundary(MAX_LEN));
        if name.is_empty() {
            name.push('?');
        }
        Self(name.into())
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        if text.is_empty() || text.len() > MAX_LEN || text.chars().any(char::is_control) {
            return Err(InvalidHostName { text: text.chars().take(MAX_LEN).collect() });
        }
        Ok(Self(text.into()))
    }
}

/// Like the `Debug` of text, since results and groups that are printed with `{:?}` name many hosts.
impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Allows looking up a `&str` in maps with names as keys.
impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for HostName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for HostName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for HostName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<HostName> for str {
    fn eq(&self, other: &HostName) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<HostName> for &str {
    fn eq(&self, other: &HostName) -> bool {
        *self == other.as_str()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.as_str().to_owned()
    }
}

/// The limit in DNS.
const MAX_LEN: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_console() {
        assert!("web\n1".parse::<HostName>().is_err());
        assert!("".parse::<HostName>().is_err());
        assert_eq!(HostName::lossy("web\x1b[1").as_str(), "web?[1");
        assert_eq!(HostName::lossy("").as_str(), "?");
        assert_eq!("web1.example".parse::<HostName>().unwrap().to_string(), "web1.example");
    }

    #[test]
    fn name_compares_with_text_and_becomes_one() {
        let name = HostName::lossy("web1");
        assert!(name == "web1" && name == *"web1");
        assert!("web1" == name && *"web1" == name);
        assert!(name != "web2");
        assert_eq!(String::from(name), "web1");
    }

    #[test]
    fn debug_output_buries_no_name() {
        assert_eq!(format!("{:#?}", [HostName::lossy("web1")]), "[\n    \"web1\",\n]");
    }
}
