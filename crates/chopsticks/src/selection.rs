//! Hosts selected by texts.

use chopsticks_inventory::{SelectError, Selection, Selector};
use chopsticks_tunnel::Target;

/// Selects the hosts that texts describe: targets with ranges, groups of an inventory, files of
/// targets, and hosts of the user's `ssh_config`. [`Selector`] lists the forms.
///
/// Nothing is connected. [`Group::selected`](crate::Group::selected) makes a group of the hosts.
///
/// ```
/// use chopsticks::{Selector, select};
///
/// let selection = select(&Selector::new().except("web7"), ["ssh://admin@web[1-9]:2222!root@web1", "db=local"])?;
/// assert_eq!(selection.hosts().len(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`SelectError`] if a text is invalid, if a file cannot be read, if two different targets have the
/// same name, or if there are no hosts.
pub fn select(
    selector: &Selector,
    on: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Selection, SelectError> {
    let name_of = |text: &str| match text.parse::<Target>() {
        Ok(target) => Ok(target.host().to_string()),
        Err(error) => Err(error.to_string()),
    };
    selector.select(on, name_of)
}
