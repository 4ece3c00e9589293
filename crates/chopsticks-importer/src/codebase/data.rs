//! The data of packages.

use std::collections::BTreeSet;

use chopsticks_module::{Resource, ResourceEntry, ResourceKind};

use crate::{
    codebase::Codebase,
    error::CodebaseError,
    look::{Look, Place},
    module::Found,
    name::ModuleName,
    path,
    rules::{Fate, Rules},
};

/// Finds a file or folder below a package's own folder. In a namespace package, the first folder
/// that has a file wins, and folders of one name are merged.
pub(crate) fn resource(
    codebase: &Codebase,
    package: &ModuleName,
    path: &str,
) -> Result<Option<Resource>, CodebaseError> {
    if !path.is_empty() && !path::is_below(path) {
        return Ok(None);
    }
    let rules = codebase.rules();
    let mut look = codebase.look();
    let Some(found) = Found::find(package, &mut look)? else { return Ok(None) };
    let mut entries: Option<BTreeSet<ResourceEntry>> = None;
    for folder in found.folders() {
        let place = folder.join(path);
        // Told without looking whether there is such a file.
        match rules.data(&place.path) {
            Fate::Served => {}
            Fate::Hidden => continue,
            Fate::Excluded(pattern) => {
                let pattern = pattern.to_owned();
                return Err(CodebaseError::Excluded { path: look.shown(&place), pattern });
            }
        }
        match look.kind(&place)? {
            Some(ResourceKind::File) if entries.is_none() => {
                look.check_within(&place)?;
                return Ok(Some(Resource::File(look.text(&place)?.source.clone())));
            }
            Some(ResourceKind::File) | None => {}
            Some(ResourceKind::Folder) => {
                look.check_within(&place)?;
                entries.get_or_insert_default().extend(listed(&place, rules, &mut look)?);
            }
        }
    }
    Ok(entries.map(|entries| Resource::Folder(entries.into_iter().collect())))
}

/// Returns the entries of a folder that would be served on request.
pub(crate) fn listed(
    folder: &Place,
    rules: &Rules,
    look: &mut Look<'_>,
) -> Result<Vec<ResourceEntry>, CodebaseError> {
    let (mut entries, _) = look.list(folder)?;
    entries.retain(|entry| {
        let place = folder.join(&entry.name);
        path::is_part(&entry.name)
            && rules.data(&place.path) == Fate::Served
            && look.check_within(&place).is_ok()
    });
    Ok(entries)
}
