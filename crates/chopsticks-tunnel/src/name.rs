//! Names that need not be UTF-8, in the form of text.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name on a host that need not be UTF-8, such as that of a file.
///
/// With [`Encode::Names`](crate::Encode::Names), agents send such names as text in which each byte
/// that is not UTF-8 is one of the private characters U+EF80 to U+EFFF. They accept this text in
/// arguments. As a `String`, the text can be printed, stored and sent again. This type contains the
/// bytes; for `serde` it is text of this kind.
///
/// ```
/// use std::ffi::OsStr;
///
/// use chopsticks_tunnel::OsName;
///
/// let name = OsName::from_text("caf\u{efe9}.txt");
/// assert_eq!(name.as_bytes(), b"caf\xe9.txt");
/// assert_eq!(name.to_text(), "caf\u{efe9}.txt");
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OsName(OsString);

impl OsName {
    /// Creates a name from the text that an agent sends.
    pub fn from_text(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len());
        for c in text.chars() {
            match u32::from(c) {
                // The low byte is the one meant.
                code @ FIRST..=LAST => bytes.push((code & 0xff) as u8),
                _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Self(OsString::from_vec(bytes))
    }

    /// Returns the text that an agent accepts.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for chunk in self.as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                // Bytes of a character that would be read as a byte.
                match u32::from(c) {
                    FIRST..=LAST => text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(escape)),
                    _ => text.push(c),
                }
            }
            text.extend(chunk.invalid().iter().copied().map(escape));
        }
        text
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the name in the form that the system accepts.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// Returns the name as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// Returns the character for a byte from 0x80 on.
fn escape(byte: u8) -> char {
    char::from_u32(0xef00 + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

impl From<&OsStr> for OsName {
    fn from(name: &OsStr) -> Self {
        Self(name.to_owned())
    }
}

impl From<OsString> for OsName {
    fn from(name: OsString) -> Self {
        Self(name)
    }
}

impl From<PathBuf> for OsName {
    fn from(path: PathBuf) -> Self {
        Self(path.into_os_string())
    }
}

impl From<OsName> for OsString {
    fn from(name: OsName) -> Self {
        name.0
    }
}

impl From<OsName> for PathBuf {
    fn from(name: OsName) -> Self {
        name.0.into()
    }
}

impl FromStr for OsName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::from_text(text))
    }
}

/// Writes the text, as an agent sends it.
impl fmt::Display for OsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl Serialize for OsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for OsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from_text(&text))
    }
}

/// The first of the characters for the bytes 0x80 to 0xff.
const FIRST: u32 = 0xef80;
const LAST: u32 = 0xefff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [
            &b"caf\xe9"[..],
            b"",
            b"\xff\xfe",
            "é€🍜".as_bytes(),
            b"a\xee\xbe\xa9b",
            b"\xee\xbe",
            b"\xed\xb3\xa9",
            &all,
        ] {
            let name = OsName::from(OsString::from_vec(bytes.to_vec()));
            assert_eq!(OsName::from_text(&name.to_text()), name);
            assert_eq!(name.as_bytes(), bytes);
        }
    }

    #[test]
    fn text_that_is_utf8_is_what_it_is() {
        assert_eq!(OsName::from(OsString::from("é€🍜")).to_text(), "é€🍜");
    }
}
