//! `chopsticks containers`.

use std::{io, process::ExitCode};

use chopsticks::{Docker, Podman, tunnel::ContainerInfo};
use serde_json::json;
use tokio::runtime;

use crate::{
    args::{ContainersArgs, EngineName},
    output::Output,
};

/// Lists the containers that were left over, and removes them with `--remove`.
pub(crate) fn run(args: &ContainersArgs) -> ExitCode {
    let mut output = Output::human();
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(list(args, &mut output))
}

async fn list(args: &ContainersArgs, output: &mut Output) -> ExitCode {
    let engines =
        if args.engine.is_empty() { &[EngineName::Docker, EngineName::Podman][..] } else { &args.engine };
    let mut code = ExitCode::SUCCESS;
    let mut missing = 0;
    for &engine in engines {
        let result = match of(engine, args).await {
            // Nobody has asked for this one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && args.engine.is_empty() => {
                missing += 1;
                continue;
            }
            result => result,
        };
        match result.and_then(|lines| output.write(&lines)) {
            Ok(()) => {}
            Err(error) => {
                output.complain(&format!("{}: {error}", engine.name()));
                code = ExitCode::FAILURE;
            }
        }
    }
    if missing == engines.len() {
        output.complain("neither docker nor podman is installed here");
        code = ExitCode::FAILURE;
    }
    code
}

/// Returns the lines for one engine's containers.
async fn of(engine: EngineName, args: &ContainersArgs) -> io::Result<String> {
    let mut lines = String::new();
    for container in engine.containers().await? {
        let is_left_over = container.is_orphan();
        if !is_left_over && !args.all {
            continue;
        }
        let is_removed = is_left_over && args.remove;
        if is_removed {
            engine.remove(&container).await?;
        }
        let (name, id, status) = (container.name(), container.id(), container.status());
        if args.json {
            let line = json!({
                "engine": engine.name(), "name": name, "id": id, "status": status,
                "left_over": is_left_over, "removed": is_removed,
            });
            lines.push_str(&format!("{line}\n"));
        } else {
            let what = match (is_removed, is_left_over) {
                (true, _) => "removed",
                (false, true) => "left over",
                (false, false) => "in use",
            };
            let id = id.get(..12).unwrap_or(id);
            lines.push_str(&chopsticks::text::harmless_line(&format!(
                "{}: {name} ({id}): {status}: {what}",
                engine.name()
            )));
            lines.push('\n');
        }
    }
    Ok(lines)
}

impl EngineName {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    async fn containers(self) -> io::Result<Vec<ContainerInfo>> {
        match self {
            Self::Docker => Docker::new("any").containers().await,
            Self::Podman => Podman::new("any").containers().await,
        }
    }

    async fn remove(self, container: &ContainerInfo) -> io::Result<()> {
        match self {
            Self::Docker => Docker::new("any").remove(container).await,
            Self::Podman => Podman::new("any").remove(container).await,
        }
    }
}
