//! `chopsticks call`.

use std::process::ExitCode;

use chopsticks::{Call, inventory::Host};

use crate::{
    answer::Answer,
    args::{self, CallArgs},
    fleet::Fleet,
};

/// Calls the function on all targets.
pub(crate) fn run(args: CallArgs) -> ExitCode {
    let targets = args::checked("call", || args.check());
    let CallArgs { function, args, kwargs, kw_vars, code, shown, fleet } = args;
    let mut call = args.into_iter().fold(Call::new(function.function()), Call::arg);
    for keyword in kwargs {
        call = call.kwarg(keyword.name, keyword.value);
    }
    let hosts = targets.hosts.clone();
    let fleet =
        Fleet::new(fleet, targets).showing(shown).with_config(|config| code.configure(&function, config));
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
