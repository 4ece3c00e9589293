//! What is written is read back, byte for byte and whatever it is made of.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use chopsticks_pencode::marshal;
use chopsticks_protocol::{
    Arguments, Call, CallFailure, Callee, Done, DoneFolder, Entry, EntryKind, Exit, Failure, Fetch, Folder,
    Hello, Import, ImportFailure, Imported, Item, ItemError, ItemFormat, ItemReader, Keywords, Listing,
    Logged, Modules, Printed, Put, Record, Resource, Run, Source, SourceText, Spawn, Start,
};
use proptest::{collection::vec, option, prelude::*};

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

/// Values of several kinds and depths, encoded.
fn encoded() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|value| marshal::to_vec(&value).expect("it can be written")),
        any::<f64>().prop_map(|value| marshal::to_vec(&value).expect("it can be written")),
        any::<u128>().prop_map(|value| marshal::to_vec(&value).expect("it can be written")),
        option::of(text()).prop_map(|value| marshal::to_vec(&value).expect("it can be written")),
        vec((text(), vec(any::<bool>(), 0..3)), 0..3)
            .prop_map(|value| marshal::to_vec(&value).expect("it can be written")),
        proptest::collection::btree_map(text(), vec(any::<u8>(), 0..3), 0..3)
            .prop_map(|value| marshal::to_vec(&value).expect("it can be written")),
    ]
}

fn named() -> impl Strategy<Value = Vec<(Cow<'static, str>, Cow<'static, [u8]>)>> {
    vec((text().prop_map(Cow::Owned), encoded().prop_map(Cow::Owned)), 0..4)
}

fn callee() -> impl Strategy<Value = Callee<'static>> {
    let source = prop_oneof![
        text().prop_map(|text| Source::Text(Cow::Owned(text))),
        bytes().prop_map(|bytes| Source::Bytes(Cow::Owned(bytes))),
    ];
    prop_oneof![
        text().prop_map(|name| Callee::Name(Cow::Owned(name))),
        (source, text(), named(), text(), option::of(text())).prop_map(
            |(source, name, globals, file, module)| {
                let (name, file, module) = (Cow::Owned(name), Cow::Owned(file), module.map(Cow::Owned));
                Callee::Source(SourceText { source, name, globals, file, module })
            }
        ),
    ]
}

fn arguments() -> impl Strategy<Value = Arguments> {
    prop_oneof![
        bytes().prop_map(|bytes| {
            let mut writer = marshal::Writer::new();
            writer.bytes(&bytes);
            Arguments::Graph(writer.finish().expect("it can be written").into())
        }),
        vec(encoded(), 0..4).prop_map(|values| Arguments::Values {
            count: values.len() as u32,
            encoded: values.concat().into()
        }),
        // Long enough to be a piece by itself.
        Just(Arguments::Values {
            count: 1,
            encoded: marshal::to_vec(&"x".repeat(5000)).expect("it can be written").into()
        }),
    ]
}

fn keywords() -> impl Strategy<Value = Keywords<'static>> {
    prop_oneof![Just(Keywords::InGraph), Just(Keywords::None), named().prop_map(Keywords::Values)]
}

fn entry() -> impl Strategy<Value = Entry<'static>> {
    let kind = prop_oneof![
        Just(EntryKind::Module),
        Just(EntryKind::Package),
        Just(EntryKind::Namespace),
        Just(EntryKind::Unpacked)
    ];
    (text(), kind, text(), bytes(), vec(text(), 0..3)).prop_map(|(name, kind, file, source, submodules)| {
        let is_file = kind != EntryKind::Namespace;
        Entry {
            name: Cow::Owned(name),
            kind,
            file: Cow::Owned(if is_file { file } else { String::new() }),
            source: Cow::Owned(if is_file { source } else { Vec::new() }),
            submodules: Cow::Owned(submodules),
        }
    })
}

proptest! {
    #[test]
    fn call(callee in callee(), arguments in arguments(), keywords in keywords()) {
        let call = Call { callee, arguments, keywords };
        let bytes = Bytes::from(call.encode().unwrap().concat());
        let read = Call::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &call);
        prop_assert_eq!(read.encode().unwrap().concat(), bytes);
    }

    #[test]
    fn start(
        texts in vec(text(), 3),
        hosts in vec(text(), 0..3),
        numbers in (any::<u32>(), any::<u32>()),
        switches in any::<[bool; 3]>(),
        cwd in option::of(text()),
        encode in vec(text(), 0..2),
        env in proptest::collection::btree_map(text(), text(), 0..3),
    ) {
        let ((depth, depth_limit), [site, user, search]) = (numbers, switches);
        let env: BTreeMap<_, _> = env;
        let start = Start { host: texts[0].clone(), hosts, depth, depth_limit, path: texts, site, user, search, cwd, encode, env };
        prop_assert_eq!(Start::decode(&start.encode().unwrap()).unwrap(), start);
    }

    #[test]
    fn hello(python in option::of(any::<(u8, u8, u8)>()), pid in any::<u32>(), texts in vec(text(), 3)) {
        let [executable, hostname, platform] = texts.try_into().unwrap();
        let hello = Hello { python, executable, pid, hostname, platform };
        prop_assert_eq!(Hello::decode(&hello.encode().unwrap()).unwrap(), hello);
    }

    #[test]
    fn modules(listing in option::of((vec(text(), 0..3), vec(text(), 0..3))), entries in vec(entry(), 0..4)) {
        let listing = listing.map(|(names, roots)| Listing { names: names.into(), roots: roots.into() });
        let modules = Modules { listing, entries };
        prop_assert_eq!(Modules::decode(&modules.encode().unwrap()).unwrap(), modules);
    }

    #[test]
    fn printed(hosts in vec(text(), 0..3), lost in 0..u64::from(u32::MAX), text in bytes()) {
        let printed = Printed { hosts, lost, text };
        prop_assert_eq!(Printed::decode(&printed.encode().unwrap()).unwrap(), printed);
    }

    #[test]
    fn logged(
        hosts in vec(text(), 0..3),
        lost in 0..u64::from(u32::MAX),
        record in option::of((vec(text(), 4), any::<i64>(), any::<i64>(), option::of(text()))),
    ) {
        let record = record.map(|(texts, level, line, traceback)| {
            let [logger, name, file, message] = texts.try_into().unwrap();
            Record { logger, level, name, file, line, message, traceback }
        });
        let logged = Logged { hosts, lost, record };
        prop_assert_eq!(Logged::decode(&logged.encode().unwrap()).unwrap(), logged);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in vec(any::<u8>(), 0..64)) {
        for read in [Printed::decode(&bytes).is_ok(), Logged::decode(&bytes).is_ok()] {
            // Nothing else begins with a dict.
            let is_dict = bytes.first().is_some_and(|tag| tag & 0x7f == 0x7b);
            prop_assert!(!read || is_dict);
        }
    }

    #[test]
    fn import(name in text(), wanted_by in option::of(text()), entry in option::of(entry())) {
        let import = Import { name, wanted_by };
        prop_assert_eq!(Import::decode(&import.encode().unwrap()).unwrap(), import);
        let imported = Imported(entry);
        prop_assert_eq!(Imported::decode(&imported.encode().unwrap()).unwrap(), imported);
    }

    #[test]
    fn resource(package in text(), path in text(), entries in option::of(vec((text(), any::<bool>()), 0..4))) {
        let resource = Resource { package, path };
        prop_assert_eq!(Resource::decode(&resource.encode().unwrap()).unwrap(), resource);
        let folder = Folder(entries);
        prop_assert_eq!(Folder::decode(&folder.encode().unwrap()).unwrap(), folder);
    }

    #[test]
    fn run(signature in any::<u64>(), name in text(), arguments in bytes()) {
        let run = Run { signature, name, arguments: arguments.into() };
        let bytes = Bytes::from(run.encode().unwrap().concat());
        prop_assert_eq!(Run::decode(&bytes).unwrap(), run);
        // A message that ends within its head is refused.
        for len in 0..10 {
            prop_assert!(Run::decode(&bytes.slice(..len)).is_err());
        }
    }

    #[test]
    fn failures(texts in vec(text(), 4), errno in any::<i32>(), path in bytes(), value in option::of(bytes())) {
        let failure = ImportFailure::new(texts[0].clone(), texts[1..].to_vec());
        prop_assert_eq!(ImportFailure::decode(&failure.encode().unwrap()).unwrap(), failure);
        let failure = Failure { errno, message: texts[0].clone(), path };
        prop_assert_eq!(Failure::decode(&failure.encode().unwrap()).unwrap(), failure);
        let [kind, r#type, message, traceback] = texts.try_into().unwrap();
        let failure = CallFailure { kind, r#type, message, traceback, value };
        prop_assert_eq!(CallFailure::decode(&failure.encode().unwrap()).unwrap(), failure);
    }

    #[test]
    fn put(
        names in (bytes(), bytes()),
        mode in option::of(any::<u32>()),
        default in any::<u32>(),
        owner in option::of(text()),
        modified in option::of(any::<i64>()),
        switches in any::<[bool; 6]>(),
        base in bytes(),
    ) {
        let ((path, name), [replace, sync, folder, keep, parents, part]) = (names, switches);
        let put = Put { path, name, mode, default, owner, modified, replace, sync, folder, keep, parents, base, part };
        prop_assert_eq!(Put::decode(&put.encode().unwrap()).unwrap(), put);
    }

    #[test]
    fn fetch(
        path in bytes(),
        limit in any::<i64>(),
        folder in any::<bool>(),
        skip in vec(bytes(), 0..4),
        block in any::<u32>(),
        digests in bytes(),
    ) {
        let skip = skip.into_iter().map(Into::into).collect();
        let fetch = Fetch { path, limit, folder, skip, block, digests };
        prop_assert_eq!(Fetch::decode(&fetch.encode().unwrap()).unwrap(), fetch);
    }

    #[test]
    fn transfer_that_is_done(
        path in bytes(),
        sha1 in bytes(),
        of_fetched in option::of((any::<u32>(), any::<i64>())),
        in_place in any::<bool>(),
        counts in any::<[u32; 5]>(),
    ) {
        let [files, folders, links, left_out, size] = counts.map(u64::from);
        let (mode, modified) = of_fetched.unzip();
        let in_place = in_place && mode.is_none();
        let done = Done { path: path.clone(), size, sha1, in_place, mode, modified };
        prop_assert_eq!(Done::decode(&done.encode().unwrap()).unwrap(), done);
        let done = DoneFolder { path, files, folders, links, left_out, size };
        prop_assert_eq!(DoneFolder::decode(&done.encode().unwrap()).unwrap(), done);
    }

    #[test]
    fn program(
        argv in vec(bytes(), 0..4),
        env in proptest::collection::btree_map(bytes(), option::of(bytes()), 0..4),
        cwd in option::of(bytes()),
        stderr in any::<u32>(),
        status in any::<i32>(),
    ) {
        let spawn = Spawn { argv, env: env.into_iter().collect(), cwd, stderr };
        prop_assert_eq!(Spawn::decode(&spawn.encode().unwrap()).unwrap(), spawn);
        let exit = Exit { status };
        prop_assert_eq!(Exit::decode(&exit.encode().unwrap()).unwrap(), exit);
    }

    #[test]
    fn whatever_comes_is_read_or_refused(payload in vec(any::<u8>(), 0..60)) {
        let payload = Bytes::from(payload);
        let _ = Call::decode(&payload);
        let _ = Start::decode(&payload);
        let _ = Modules::decode(&payload);
        let _ = Spawn::decode(&payload);
    }

    #[test]
    fn call_that_is_cut_short_is_refused(callee in callee(), arguments in arguments(), cut in any::<prop::sample::Index>()) {
        let bytes = Call { callee, arguments, keywords: Keywords::None }.encode().unwrap().concat();
        let cut = Bytes::from(bytes[..cut.index(bytes.len())].to_vec());
        prop_assert!(Call::decode(&cut).is_err());
    }
}

fn item() -> impl Strategy<Value = Item> {
    let formats = [
        ItemFormat::Failure,
        ItemFormat::Pencode,
        ItemFormat::Marshal,
        ItemFormat::Bytes,
        ItemFormat::Raised,
    ];
    (proptest::sample::select(formats.to_vec()), vec(any::<u8>(), 0..40))
        .prop_map(|(format, payload)| Item { format, payload: payload.into() })
}

/// Reads bytes that come in pieces of the given sizes, again and again.
fn read_items(bytes: &[u8], sizes: &[usize], reader: &mut ItemReader) -> Result<Vec<Item>, ItemError> {
    let mut items = Vec::new();
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).min(rest.len()));
        let (piece, after) = rest.split_at(size);
        rest = after;
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(item) = reader.next()? {
            items.push(item);
        }
    }
    Ok(items)
}

proptest! {
    #[test]
    fn items_are_read_in_whatever_pieces_they_come(items in vec(item(), 0..20), sizes in vec(1_usize..50, 1..6)) {
        let mut bytes = Vec::new();
        for item in &items {
            Item::write(item.format, &item.payload, &mut bytes)?;
        }
        let mut reader = ItemReader::new(40);
        prop_assert_eq!(&read_items(&bytes, &sizes, &mut reader)?, &items);
        prop_assert!(reader.is_at_end_of_item());
        // Of a part, only what is whole.
        if bytes.pop().is_some() {
            let mut reader = ItemReader::new(40);
            prop_assert_eq!(read_items(&bytes, &sizes, &mut reader)?.len(), items.len() - 1);
            prop_assert!(!reader.is_at_end_of_item());
        }
    }

    #[test]
    fn any_bytes_are_items_or_an_error(bytes in vec(any::<u8>(), 0..100), sizes in vec(1_usize..20, 1..4)) {
        let _ = read_items(&bytes, &sizes, &mut ItemReader::new(50));
    }
}

#[test]
fn item_over_the_limit_is_refused_by_its_head() {
    let mut reader = ItemReader::new(3);
    reader.push(Bytes::from_static(&[2, 0, 0, 0, 4]));
    assert_eq!(reader.next(), Err(ItemError::TooLarge { len: 4, limit: 3 }));
    let mut reader = ItemReader::new(3);
    reader.push(Bytes::from_static(&[9]));
    assert_eq!(reader.next(), Err(ItemError::UnknownFormat { code: 9 }));
}
