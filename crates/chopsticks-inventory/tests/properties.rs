//! Properties of names and files: what is folded reads back, and no input panics.

use chopsticks_inventory::{Format, Inventory, MAX_NAMES, NodeSet, Selector, expand, fold, runs};
use proptest::prelude::*;

proptest! {
    #[test]
    fn folded_names_read_back(names in proptest::collection::vec("[a-c]{0,2}[0-9]{1,3}(\\.[xy][0-9]?)?", 1..40)) {
        let mut names = names;
        names.sort();
        names.dedup();
        let folded = fold(names.iter().map(String::as_str));
        let set: NodeSet = folded.parse().unwrap();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), names.iter().map(String::as_str).collect::<Vec<_>>());
        let count: u64 = runs(names.iter().map(String::as_str)).iter().map(|run| run.len()).sum();
        prop_assert_eq!(count, names.len() as u64);
        prop_assert_eq!(set.to_string(), folded);
    }

    #[test]
    fn consecutive_numbers_become_one_range(start in 0_u64..2000, count in 2_u64..300, width in 0_usize..6) {
        let names: Vec<_> = (start..start + count).map(|number| format!("n{number:0width$}.x")).collect();
        let folded = fold(names.iter().map(String::as_str));
        prop_assert_eq!(expand(&folded.replace(", ", "")).is_ok(), true);
        let set: NodeSet = folded.parse().unwrap();
        prop_assert_eq!(set.len() as u64, count);
        prop_assert!(set.iter().eq(names.iter().map(String::as_str)));
    }

    #[test]
    fn any_text_is_a_bounded_set_or_a_named_error(text in "[\\[\\]a-c0-9,!&/?:=@ -]{0,40}") {
        match text.parse::<NodeSet>() {
            Ok(set) => prop_assert!(set.len() <= MAX_NAMES),
            Err(error) => prop_assert!(error.to_string().starts_with("invalid names ")),
        }
        let name_of = |target: &str| Ok(target.to_owned());
        if let Ok(selection) = Selector::new().ssh_config("/dev/null").select([text.replace('@', "")], name_of) {
            prop_assert!(selection.hosts().len() <= MAX_NAMES);
        }
    }

    #[test]
    fn any_text_is_an_inventory_or_an_error_with_its_file(text in "(?s).{0,120}|[\\[\\]a-c0-9:=# \"'\n{}*&-]{0,120}") {
        for format in [Format::Ini, Format::Toml, Format::Yaml] {
            match Inventory::parse(&text, format, "f") {
                Ok(inventory) => {
                    for name in inventory.names() {
                        let _ = inventory.host(name).expect("it is one of the names");
                    }
                }
                Err(error) => prop_assert!(error.to_string().starts_with("f:"), "{}", error),
            }
        }
    }

    #[test]
    fn sets_follow_the_laws_of_sets(a in "[a-d](,[a-d]){0,4}", b in "[a-d](,[a-d]){0,4}") {
        let [left, right]: [NodeSet; 2] = [a.parse().unwrap(), b.parse().unwrap()];
        let without: NodeSet = b.split(',').fold(a.clone(), |text, name| format!("{text}!{name}")).parse().unwrap();
        prop_assert_eq!(&left.clone().difference(&right), &without);
        let both = left.clone().intersection(&right);
        prop_assert_eq!(left.clone().difference(&right).union(&both), left);
    }
}
