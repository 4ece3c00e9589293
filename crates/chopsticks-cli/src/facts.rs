//! `chopsticks facts`.

use std::process::ExitCode;

use chopsticks::facts::{self, Facts};

use crate::{
    answer::Answer,
    args::{self, FactsArgs},
    fleet::Fleet,
};

/// Collects the facts of all targets.
pub(crate) fn run(args: FactsArgs) -> ExitCode {
    let targets = args::checked("facts", || args.fleet.targets());
    Fleet::new(args.fleet, targets).run(move |tunnel, _| async move {
        let reply = facts::encoded(&tunnel).await?;
        let facts: Facts = reply.decode()?;
        Ok(Answer::Facts(Box::new(facts), reply))
    })
}
