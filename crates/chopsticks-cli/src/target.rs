//! The targets that `--on` selects, and what is known about them.

use std::sync::Arc;

use chopsticks::{
    HostName, Inventory, Selection, Selector, Target,
    inventory::{Host, fold},
    select,
};

use crate::{args::SelectArgs, natural};

/// The targets, and the hosts of the selection that they belong to.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) targets: Vec<Target>,
    pub(crate) hosts: Hosts,
    /// What may be a mistake.
    pub(crate) warnings: Vec<String>,
}

/// What is known about each target.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Arc<Selection>);

/// Selects the targets. The errors are for people.
pub(crate) fn choose(args: &SelectArgs) -> Result<Chosen, String> {
    let mut selector = args.except.iter().fold(Selector::new(), Selector::except);
    let mut warnings = Vec::new();
    if let Some(file) = &args.inventory {
        let inventory = Inventory::read(file).map_err(|error| error.to_string())?;
        warnings.extend(inventory.warnings().iter().map(ToString::to_string));
        selector = selector.inventory(inventory);
    }
    let selection = select(&selector, &args.on).map_err(|error| error.to_string())?;
    let excluded_nothing = |text: &String| format!("`--except {text}` excludes none of the targets");
    warnings.extend(selection.unused().iter().map(excluded_nothing));
    let targets =
        selection.hosts().iter().map(|host| host.target().parse().map_err(|error| format!("{error}")));
    let targets = targets.collect::<Result<_, String>>()?;
    Ok(Chosen { targets, hosts: Hosts(Arc::new(selection)), warnings })
}

impl Chosen {
    /// Puts the targets in the order of their names.
    pub(crate) fn sort(&mut self) {
        self.targets.sort_by(|left, right| natural::compare(left.host().as_str(), right.host().as_str()));
    }

    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }
}

impl Hosts {
    /// Returns what is known about a target.
    pub(crate) fn get(&self, name: &HostName) -> Option<&Host> {
        self.0.get(name.as_str())
    }

    /// Returns what is known about each target, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.0.hosts().iter()
    }

    /// Checks that each target has a variable.
    pub(crate) fn check_variable(&self, name: &str) -> Result<(), String> {
        let without = self.iter().filter(|host| !host.variables().contains_key(name)).map(Host::name);
        let without: Vec<_> = without.collect();
        match without.is_empty() {
            true => Ok(()),
            false => Err(format!("the variable '{name}' is not set for {}", fold(without))),
        }
    }

    /// Checks that a template can be filled for each target.
    pub(crate) fn check_template(&self, template: &str) -> Result<(), String> {
        self.iter().try_for_each(|host| host.fill(template).map(drop).map_err(|error| error.to_string()))
    }

    /// Fills a template that was checked.
    pub(crate) fn fill(&self, name: &HostName, template: &str) -> String {
        let filled = self.get(name).and_then(|host| host.fill(template).ok());
        filled.unwrap_or_else(|| template.to_owned())
    }
}

/// Returns whether a text differs from target to target.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{host}") || text.contains("{var.")
}

#[cfg(test)]
mod tests {
    use chopsticks_support::Scratch;

    use super::*;

    fn hosts(values: &[&str]) -> Result<Vec<String>, String> {
        let on = values.iter().map(|&value| value.to_owned()).collect();
        Ok(choose(&SelectArgs { on, ..SelectArgs::default() })?
            .targets
            .iter()
            .map(|target| target.host().to_string())
            .collect())
    }

    #[test]
    fn commas_separate_targets_of_every_kind() {
        let found = hosts(&[
            "local,web1,admin@web2,ssh://root@10.0.0.7:2222",
            "sudo:www,db=docker://postgres?name=db,docker-exec://web,p=podman://fedora",
        ]);
        let expected =
            ["localhost", "web1", "admin@web2", "root@10.0.0.7:2222", "www@localhost", "db", "web", "p"];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn command_goes_on_to_the_end() {
        let found = hosts(&["a=local,job=exec:srun --nodelist=n1,n2 python3,b=local", "c=local"]);
        assert_eq!(found.unwrap(), ["a", "job", "c"]);
    }

    #[test]
    fn files_have_one_target_a_line() {
        let scratch = Scratch::new();
        scratch.write("hosts", "# the web\n\n  a=local  \r\nb=local\n\tjob=exec:nsenter -t 1,2 python3\n");
        let file = format!("@{}", scratch.path().join("hosts").display());
        assert_eq!(hosts(&[&format!("{file},c=local")]).unwrap(), ["a", "b", "job", "c"]);
        assert!(hosts(&[&file, "a=local"]).unwrap_err().contains("'a' (2 times)"));
    }

    #[test]
    fn byte_order_mark_is_passed_over() {
        let scratch = Scratch::new();
        scratch.write("target", "\u{feff}a=local\r\nb=local\r\n");
        scratch.write("comment", "\u{feff}# hosts\r\na=local\r\n");
        for (name, expected) in [("target", &["a", "b"][..]), ("comment", &["a"])] {
            assert_eq!(hosts(&[&format!("@{}", scratch.path().join(name).display())]).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let scratch = Scratch::new();
        let at = |name: &str| format!("@{}", scratch.path().join(name).display());
        scratch.write("odd", "a=local\n#\nftp://x\n");
        scratch.write("nested", "\n@other\n");
        scratch.write("empty", "# nothing\n");
        for (value, expected) in [
            (at("odd"), "odd:3: invalid target 'ftp://x': `ftp://` is not known"),
            (at("nested"), "nested:2: a file of targets cannot name another one"),
            (at("empty"), "there are no targets"),
            (at("none"), "cannot read targets from "),
            ("@".to_owned(), "missing file name after `@`"),
            ("local,".to_owned(), "invalid target '': it is empty"),
            ("local,local".to_owned(), "'localhost' (2 times)"),
        ] {
            let message = hosts(&[&value]).unwrap_err();
            assert!(message.contains(expected), "{value}: {message}");
        }
    }

    #[test]
    fn names_that_repeat_are_refused_all_at_once() {
        let message = hosts(&["local,a=local,local,b=local,a=local,a=local"]).unwrap_err();
        assert!(message.contains("'a' (3 times), 'localhost' (2 times)"), "{message}");
        assert!(!message.contains("'b'"), "{message}");
    }

    #[test]
    fn ranges_exclusions_and_groups_select_targets() {
        let scratch = Scratch::new();
        scratch.write("hosts.ini", "[web]\nweb[1:3] ansible_connection=local\n");
        let chosen = choose(&SelectArgs {
            on: vec!["@web!web2,n[08-10]=local".to_owned()],
            except: vec!["n09".to_owned(), "x".to_owned()],
            inventory: Some(scratch.path().join("hosts.ini")),
        });
        let chosen = chosen.unwrap();
        let names: Vec<_> = chosen.hosts.iter().map(Host::name).collect();
        assert_eq!(names, ["web1", "web3", "n08", "n10"]);
        assert_eq!(chosen.targets[0].to_string(), "web1=local");
        assert_eq!(chosen.warnings, ["`--except x` excludes none of the targets"]);
        assert!(hosts(&["web[1-999999999]"]).unwrap_err().contains("too many names"));
        assert!(hosts(&["web1!web1"]).unwrap_err().contains("there are no targets"));
    }
}
