//! Names of the library's types, as the users of its facade write them.

/// Replaces each path to a type of a crate of the library by the path in the facade:
/// `chopsticks_tunnel::error::Error` by `chopsticks::Error`. Everything else stays as it is.
pub(crate) fn in_facade(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_path(c)).unwrap_or(rest.len());
        let (path, behind) = rest.split_at(end);
        match public_path(path) {
            Some(path) => out.push_str(&path),
            None => out.push_str(path),
        }
        // What separates two paths, such as `<` and `, `.
        let next = behind.find(is_of_path).unwrap_or(behind.len());
        out.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    out
}

fn is_of_path(c: char) -> bool {
    c == ':' || c == '_' || c.is_alphanumeric()
}

fn public_path(path: &str) -> Option<String> {
    let (layer, inner) = path.strip_prefix("chopsticks_")?.split_once("::")?;
    let name = inner.rsplit("::").next()?;
    let module = match layer {
        "group" | "tunnel" => return Some(format!("chopsticks::{name}")),
        "function" => "functions",
        "driver" | "files" | "importer" | "inventory" | "module" | "pencode" | "protocol" | "text"
        | "transport" => layer,
        _ => return None,
    };
    Some(format!("chopsticks::{module}::{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_library_have_the_names_of_the_facade() {
        for (name, expected) in [
            ("chopsticks_tunnel::error::Error", "chopsticks::Error"),
            (
                "chopsticks_group::failure::Failure<chopsticks_tunnel::error::Error>",
                "chopsticks::Failure<chopsticks::Error>",
            ),
            ("(chopsticks_driver::target::InvalidTarget, u8)", "(chopsticks::driver::InvalidTarget, u8)"),
            ("chopsticks_function::answer::Success", "chopsticks::functions::Success"),
            // Those of others, with all that Rust and Python write.
            ("chopsticks_of_mine::Error", "chopsticks_of_mine::Error"),
            ("my::chopsticks_tunnel::Error", "my::chopsticks_tunnel::Error"),
            ("chopsticks_tunnel", "chopsticks_tunnel"),
            (
                "alloc::boxed::Box<dyn core::error::Error + Send>",
                "alloc::boxed::Box<dyn core::error::Error + Send>",
            ),
            ("subprocess.CalledProcessError", "subprocess.CalledProcessError"),
            ("größe::\u{1f40d} x", "größe::\u{1f40d} x"),
            ("", ""),
        ] {
            assert_eq!(in_facade(name), expected);
        }
    }
}
