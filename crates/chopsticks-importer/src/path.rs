//! Paths below a root, as text: parts with `/` between them. The empty text is the root itself.

/// Returns whether `path` leads to something below its root, whatever it is joined to.
pub(crate) fn is_below(path: &str) -> bool {
    path.len() <= MAX_LEN && path.split('/').count() <= MAX_PARTS && path.split('/').all(is_part)
}

/// Returns whether `name` names one file or folder directly in another.
pub(crate) fn is_part(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

/// Joins two paths, either of which may be empty.
pub(crate) fn join(base: &str, path: &str) -> String {
    match (base, path) {
        ("", path) => path.to_owned(),
        (base, "") => base.to_owned(),
        (base, path) => format!("{base}/{path}"),
    }
}

/// Returns the folder that contains a path, and the path's name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Returns the path and all folders around it, outermost first.
pub(crate) fn lineage(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| at).chain([path.len()]).map(|end| &path[..end])
}

/// The limit of paths on common systems.
const MAX_LEN: usize = 4096;
/// Deeper than any tree of sources. This bounds the size of an archive's index.
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
