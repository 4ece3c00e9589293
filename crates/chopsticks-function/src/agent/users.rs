//! Users and groups of the host, and the paths of their folders.
//!
//! A static program cannot use the host's name service, so names are looked up in the files of the
//! host, and then by its program `getent`.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, ErrorKind},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::getuid;

/// Returns the numbers of `user`, `user:group` or `:group`, which are names or numbers.
///
/// # Errors
///
/// The host has no such user or group.
pub(crate) fn owner(text: Option<&str>) -> io::Result<(Option<u32>, Option<u32>)> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok((None, None)) };
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let number = |what: &str, base: &str, name: &str| {
        if name.is_empty() {
            return Ok(None);
        }
        let found = name.parse().ok().or_else(|| {
            let entry = entry(base, 0, name.as_bytes())?;
            str::from_utf8(entry.get(2)?).ok()?.parse().ok()
        });
        let missing = || io::Error::new(ErrorKind::InvalidInput, format!("there is no {what} {name}"));
        found.map(Some).ok_or_else(missing)
    };
    Ok((number("user", "passwd", user)?, number("group", "group", group)?))
}

/// Returns a path from the root on. A leading `~` or `~user` is a home folder.
///
/// # Errors
///
/// There is no such user, or no working folder.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let Some(rest) = bytes.strip_prefix(b"~") else { return std::path::absolute(path) };
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (user, rest) = rest.split_at(end);
    let missing = || {
        let text = format!("there is no user {}", String::from_utf8_lossy(user));
        io::Error::new(ErrorKind::NotFound, text)
    };
    let mut home = home(user).ok_or_else(missing)?;
    home.push(OsStr::from_bytes(rest));
    std::path::absolute(home)
}

/// Returns the home folder of a user; that of this process without a name.
fn home(user: &[u8]) -> Option<OsString> {
    let field = |entry: Vec<Vec<u8>>| entry.into_iter().nth(5).map(OsString::from_vec);
    if !user.is_empty() {
        return entry("passwd", 0, user).and_then(field);
    }
    let mine = env::var_os("HOME").filter(|home| !home.is_empty());
    mine.or_else(|| entry("passwd", 2, getuid().as_raw().to_string().as_bytes()).and_then(field))
}

/// Returns the line of a user or a group whose field number `place` is `wanted`.
fn entry(base: &str, place: usize, wanted: &[u8]) -> Option<Vec<Vec<u8>>> {
    let find = |text: &[u8]| {
        let lines = text.split(|byte| *byte == b'\n');
        let fields = lines.map(|line| line.split(|byte| *byte == b':').map(<[u8]>::to_vec));
        fields
            .map(Iterator::collect::<Vec<_>>)
            .find(|fields| fields.len() > 2 && fields.get(place).is_some_and(|field| field == wanted))
    };
    find(&fs::read(format!("/etc/{base}")).unwrap_or_default()).or_else(|| {
        let mut getent = Command::new("getent");
        getent.arg(base).arg(OsStr::from_bytes(wanted)).stdin(Stdio::null()).stderr(Stdio::null());
        find(&getent.output().ok()?.stdout)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_names_or_numbers() {
        assert_eq!(owner(None).unwrap(), (None, None));
        assert_eq!(owner(Some("root")).unwrap(), (Some(0), None));
        assert_eq!(owner(Some("root:7")).unwrap(), (Some(0), Some(7)));
        assert_eq!(owner(Some(":root")).unwrap(), (None, Some(0)));
        let error = owner(Some("no-such-user")).unwrap_err();
        assert_eq!(error.to_string(), "there is no user no-such-user");
    }

    #[test]
    fn home_folders_are_found() {
        assert!(absolute(Path::new("~root/a")).unwrap().ends_with("root/a"));
        assert_eq!(absolute(Path::new("/a/../b")).unwrap(), Path::new("/a/../b"));
        assert!(absolute(Path::new("~")).unwrap().is_absolute());
        let error = absolute(Path::new("~no-such-user/a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
