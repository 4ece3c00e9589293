//! Attributes of files other than their content.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use rustix::fs::Mode;

/// Copies the extended attributes of the old file to a new one, as far as they can be set; ACLs in
/// any case.
#[cfg(target_os = "linux")]
pub(crate) fn copy_attributes(folder: &OwnedFd, name: &OsStr, file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{self, XattrFlags};

    let path = std::path::Path::new(&crate::spare::in_proc(folder.as_raw_fd())).join(name);
    let mut names = vec![0_u8; MAX_ATTRIBUTE];
    // Not every file system has some.
    let Ok(len) = fs::llistxattr(&path, &mut names[..]) else { return Ok(()) };
    let mut value = vec![0_u8; MAX_ATTRIBUTE];
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // What vouches for a content does not for another.
        if [&b"security.capability"[..], b"security.evm", b"security.ima"].contains(&name) {
            continue;
        }
        let read = fs::lgetxattr(&path, name, &mut value[..]);
        let copied = read.and_then(|len| fs::fsetxattr(file, name, &value[..len], XattrFlags::empty()));
        if name == b"system.posix_acl_access" {
            copied?;
        }
    }
    Ok(())
}

/// Other systems do not keep them.
#[cfg(not(target_os = "linux"))]
pub(crate) fn copy_attributes(_: &OwnedFd, _: &OsStr, _: &File) -> io::Result<()> {
    Ok(())
}

/// Returns the permission bits that new files do not get.
pub(crate) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    if let Some(mask) = found.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()) {
        return mask;
    }
    // What another thread makes meanwhile is closed to others, and never open.
    let _guard = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(mask);
    bits_of(mask)
}

/// Returns the permission bits of a mode. The type of the system has 16 bits or 32.
pub(crate) fn bits_of(mode: Mode) -> u32 {
    fn wide(bits: impl Into<u32>) -> u32 {
        bits.into()
    }
    wide(mode.bits())
}

/// Returns the mode with these permission bits. Others are ignored.
pub(crate) fn mode_of(bits: u32) -> Mode {
    fn narrow<T: TryFrom<u32> + Default>(bits: u32) -> T {
        T::try_from(bits).unwrap_or_default()
    }
    Mode::from_raw_mode(narrow(bits & 0o7777))
}

// The umask is the process's.
static SETTING: Mutex<()> = Mutex::new(());
/// The maximum size on Linux of an attribute, and of all names.
#[cfg(target_os = "linux")]
const MAX_ATTRIBUTE: usize = 64 << 10;
