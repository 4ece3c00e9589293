//! Paths below a root, as text: parts with `/` between them. The root itself is the empty text.

/// Whether `path` leads to something below its root, whatever it is joined to.
pub(crate) fn is_below(path: &str) -> bool {
    path.len() <= MAX_LEN && path.split('/').count() <= MAX_PARTS && path.split('/').all(is_part)
}

/// Whether `name` is one file or folder directly in another.
pub(crate) fn is_part(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

/// Puts one path behind another; either may be empty.
pub(crate) fn join(base: &str, path: &str) -> String {
    match (base, path) {
        ("", path) => path.to_owned(),
        (base, "") => base.to_owned(),
        (base, path) => format!("{base}/{path}"),
    }
}

/// The folder that a path is in, and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path and all folders around it, outermost first.
pub(crate) fn lineage(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| at).chain([path.len()]).map(|end| &path[..end])
}

/// Paths on common systems end here.
const MAX_LEN: usize = 4096;
/// Deeper than any tree of sources. Bounds what an archive's index takes.
const MAX_PARTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for good in ["a", "a/b.txt", ".hidden", "...", "a b/ü"] {
            assert!(is_below(good), "{good:?}");
        }
        for bad in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\\..\\b", "C:\\x", "a\0"]
        {
            assert!(!is_below(bad), "{bad:?}");
        }
        assert!(!is_below(&"a/".repeat(200)) && !is_below(&"a".repeat(5000)));
    }

    #[test]
    fn parts_are_joined_and_split() {
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", ""), "a");
        assert_eq!(join("a", "b"), "a/b");
        assert_eq!((split("a"), split("a/b/c")), (("", "a"), ("a/b", "c")));
        assert_eq!(lineage("a/b/c").collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }
}
