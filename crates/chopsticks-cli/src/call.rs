//! `chopsticks call`.

use std::process::ExitCode;

use chopsticks::{Call, Codebase, Encode, Links, inventory::Host};

use crate::{
    answer::Answer,
    args::{self, CallArgs, EncodeName, LinksName},
    fleet::Fleet,
};

/// Calls the function on all targets.
pub(crate) fn run(args: CallArgs) -> ExitCode {
    let targets = args::checked("call", || args.check());
    let CallArgs {
        function,
        args,
        kwargs,
        kw_vars,
        roots,
        includes,
        excludes,
        unpacks,
        links,
        encode,
        fleet,
    } = args;
    let mut call = args.into_iter().fold(Call::new(function.function()), Call::arg);
    for keyword in kwargs {
        call = call.kwarg(keyword.name, keyword.value);
    }
    // Of several roots that have a module the first wins. Shared by all tunnels, so that each file is read and parsed once.
    let codebase = function.script_folder().map_or_else(Codebase::default, Codebase::folder);
    let codebase = roots.into_iter().fold(codebase, Codebase::and_path);
    let codebase = includes.into_iter().fold(codebase, Codebase::include);
    let codebase = excludes.into_iter().fold(codebase, Codebase::exclude);
    let codebase = unpacks.into_iter().fold(codebase, Codebase::unpack);
    let codebase = match links {
        LinksName::Anywhere => codebase.links(Links::Anywhere),
        LinksName::WithinRoot => codebase,
    };
    let hosts = targets.hosts.clone();
    let fleet = Fleet::new(fleet, targets).with_config(|config| {
        let config = encode.into_iter().fold(config, |config, what| {
            config.encode(match what {
                EncodeName::Names => Encode::Names,
                EncodeName::Objects => Encode::Objects,
            })
        });
        config.modules(codebase)
    });
    fleet.run(move |tunnel, _| {
        let variables = hosts.get(tunnel.host()).map(Host::variables);
        let call = kw_vars.iter().fold(call.clone(), |call, keyword| {
            match variables.and_then(|variables| variables.get(&keyword.variable)) {
                Some(value) => call.kwarg(&keyword.name, value),
                None => call,
            }
        });
        async move { Ok(Answer::Value(tunnel.call_with(call).await?)) }
    })
}
