//! `chopsticks fetch`.

use std::{collections::HashMap, io, process::ExitCode, sync::Arc};

use chopsticks::{Error, ErrorKind, Fetch, Side};

use crate::{
    answer::Answer,
    args::{self, FetchArgs},
    bars::Bars,
    fleet::{Fleet, Stopped},
    outcome::Failure,
};

/// Reads the file or folder of all targets.
pub(crate) fn run(args: FetchArgs) -> ExitCode {
    let (targets, paths) = args::checked("fetch", || args.check());
    let is_stdout = args.is_stdout();
    let FetchArgs { remote, transfer, fleet, .. } = args;
    let hosts = targets.targets.iter().map(|target| target.host().clone());
    let paths: Option<HashMap<_, _>> = paths.map(|paths| hosts.zip(paths).collect());
    let bars = if fleet.json { Bars::none() } else { Bars::new(targets.len()) };
    let timeout = fleet.timeout;
    let compares = transfer.compares();
    let what = Arc::new((remote, paths, transfer));
    let fleet = Fleet::new(fleet, targets).transferring(bars.clone());
    fleet.run(move |tunnel, _| {
        let (what, bars) = (what.clone(), bars.clone());
        async move {
            let (remote, paths, transfer) = &*what;
            let host = tunnel.host().clone();
            let mut fetch = transfer.of_fetch(Fetch::new(remote));
            if let Some(path) = paths.as_ref().and_then(|paths| paths.get(&host)) {
                fetch = fetch.to(path);
            }
            fetch = fetch.on_progress(|progress| bars.show(&host, progress));
            if let Some(timeout) = timeout {
                fetch = fetch.timeout(timeout);
            }
            if is_stdout {
                let fetched = tunnel.fetch_with(fetch.writer(tokio::io::stdout())).await;
                bars.end(&host);
                return match fetched {
                    Ok(file) => Ok(Answer::Shown(file)),
                    Err(error) => Err(unwritten(&error).unwrap_or_else(|| error.into())),
                };
            }
            let is_folder = transfer.recursive;
            let answer = if is_folder {
                tunnel.fetch_dir_with(fetch).await.map(|folder| Answer::Folder(folder, compares))
            } else {
                tunnel.fetch_with(fetch).await.map(|file| Answer::File(file, compares))
            };
            bars.end(&host);
            answer.map_err(|error| refused(error, is_folder))
        }
    })
}

/// Adds what to do about a folder in place of a file, and the other way round.
fn refused(error: Error, is_folder: bool) -> Stopped {
    let advice = match error.kind() {
        ErrorKind::File { side: Side::Remote, source, .. } => match source.kind() {
            io::ErrorKind::IsADirectory if !is_folder => ": write -r to fetch all that is in it",
            io::ErrorKind::NotADirectory if is_folder => ": leave out -r to fetch a file",
            _ => "",
        },
        _ => "",
    };
    let mut failure = Failure::from(error);
    failure.message.push_str(advice);
    Stopped::Failure(failure)
}

/// Returns the reason if stdout did not accept the content.
fn unwritten(error: &Error) -> Option<Stopped> {
    match error.kind() {
        ErrorKind::File { side: Side::Local, source, .. } => Some(Stopped::Output(source.clone())),
        _ => None,
    }
}
