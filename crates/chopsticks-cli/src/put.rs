//! `chopsticks put`.

use std::{process::ExitCode, sync::Arc};

use chopsticks::Put;

use crate::{
    answer::Answer,
    args::{self, PutArgs},
    bars::Bars,
    fleet::Fleet,
    input::Input,
};

/// Writes the file or folder to all targets.
pub(crate) fn run(mut args: PutArgs) -> ExitCode {
    let targets = args::checked("put", || args.check());
    let has_template = args.has_local_template();
    let PutArgs { local, remote, owner, transfer, fleet } = args;
    let bars = if fleet.json { Bars::none() } else { Bars::new(targets.len()) };
    let timeout = fleet.timeout;
    let compares = transfer.compares();
    let input = match has_template {
        true => Input::Path(local),
        false => args::checked("put", || Input::open(&local, targets.len())),
    };
    let hosts = targets.hosts.clone();
    let what = Arc::new((input, remote, owner, transfer));
    let fleet = Fleet::new(fleet, targets).transferring(bars.clone());
    fleet.run(move |tunnel, _| {
        let (what, bars, hosts) = (what.clone(), bars.clone(), hosts.clone());
        async move {
            let (input, remote, owner, transfer) = &*what;
            let host = tunnel.host().clone();
            let mut put = match input {
                Input::Path(path) if has_template => Put::new(hosts.fill(&host, &path.to_string_lossy())),
                input => input.put(),
            };
            put = transfer.of_put(put).on_progress(|progress| bars.show(&host, progress));
            if let Some(remote) = remote {
                put = match remote.to_str() {
                    Some(template) => put.to(hosts.fill(&host, template)),
                    None => put.to(remote),
                };
            }
            if let Some(owner) = owner {
                put = put.owner(owner);
            }
            if let Some(timeout) = timeout {
                put = put.timeout(timeout);
            }
            let answer = if transfer.recursive {
                tunnel.put_dir_with(put).await.map(|folder| Answer::Folder(folder, compares))
            } else {
                tunnel.put_with(put).await.map(|file| Answer::File(file, compares))
            };
            bars.end(&host);
            Ok(answer?)
        }
    })
}
