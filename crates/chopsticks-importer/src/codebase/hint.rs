//! Help for a user who named a module that does not exist.

use crate::{codebase::Codebase, module::Found, name::ModuleName, stdlib};

/// Returns names similar to the missing one, and where it was looked up, or `None` if there is
/// nothing to add.
pub(crate) fn hint(codebase: &Codebase, name: &ModuleName) -> Option<String> {
    if name.parts().next().is_some_and(stdlib::has) {
        return None;
    }
    let mut look = codebase.look();
    let mut around: Option<ModuleName> = None;
    for name in name.lineage() {
        let found = match Found::find(&name, &mut look) {
            Ok(found) => found,
            Err(error) => return Some(error.to_string()),
        };
        if found.is_some() {
            around = Some(name);
            continue;
        }
        let there = match &around {
            None => codebase.top_level().ok()?,
            Some(package) => match Found::find(package, &mut look).ok().flatten()? {
                // What is below a plain module is one of its names, of which only the host knows.
                Found::Module { .. } => return None,
                found => found.submodules(&mut look).ok()?.to_vec(),
            },
        };
        let near = near(name.last(), &there);
        let near: Vec<_> = near.into_iter().map(|near| with_package(around.as_ref(), near)).collect();
        let near = if near.is_empty() { String::new() } else { format!("; near: {}", near.join(", ")) };
        return Some(format!("the codebase has no module {name} in {}{near}", searched(codebase)));
    }
    None
}

fn with_package(package: Option<&ModuleName>, name: &str) -> String {
    package.map_or_else(|| name.to_owned(), |package| format!("{package}.{name}"))
}

/// Returns the first few roots.
fn searched(codebase: &Codebase) -> String {
    let mut roots = codebase.roots();
    let mut text: Vec<_> = roots.by_ref().take(SHOWN).map(|root| root.display().to_string()).collect();
    match roots.count() {
        0 if text.is_empty() => text.push("its empty list of roots".to_owned()),
        0 => {}
        more => text.push(format!("{more} more")),
    }
    text.join(", ")
}

/// Returns the names most similar to `name`.
fn near<'a>(name: &str, there: &'a [String]) -> Vec<&'a str> {
    let mut near: Vec<_> = there
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known.as_str()))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .collect();
    near.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    near.into_iter().take(SHOWN).map(|(_, known)| known).collect()
}

/// One wrong letter in three.
const LIKE: f64 = 0.6;
const SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embedded;

    fn hint_of(name: &str) -> Option<String> {
        let embedded =
            Embedded::new().package("ops", "").module("ops.deploy", "").module("report", "").label("/code");
        hint(&Codebase::source(embedded), &name.parse().unwrap())
    }

    #[test]
    fn near_names_and_roots_are_named() {
        let text = hint_of("reprot").unwrap();
        assert_eq!(text, "the codebase has no module reprot in /code; near: report");
        let text = hint_of("ops.depoly").unwrap();
        assert_eq!(text, "the codebase has no module ops.depoly in /code; near: ops.deploy");
        assert_eq!(hint_of("xyz").unwrap(), "the codebase has no module xyz in /code");
    }

    #[test]
    fn there_is_nothing_to_say_of_what_is_there_or_not_ours() {
        for name in ["report", "ops.deploy", "ops", "json.x", "ops.deploy.Class"] {
            assert_eq!(hint_of(name), None, "{name}");
        }
    }

    #[test]
    fn few_of_many_roots_are_named() {
        let codebase = (0..9).fold(Codebase::empty(), |codebase, n| codebase.and_folder(format!("/r{n}")));
        assert_eq!(searched(&codebase), "/r0, /r1, /r2, 6 more");
    }
}
