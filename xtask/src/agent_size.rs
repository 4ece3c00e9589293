//! Prints how large the agent is, and keeps what every connection sends within its budget.

use chopsticks_agent::{FIRST_STAGE, LIBRARY, PACKED, Part};

use crate::failure::Failure;

/// Most bytes that the packed agent may have.
///
/// Every connection sends them before anything else, together with the first call; with these, both
/// fit into the 10 packets of 1460 bytes that TCP sends before the first acknowledgement.
const BUDGET: usize = 9640;

/// Most bytes that the first stage may have: it is an argument, shown by `ps` and copied by every shell
/// and `sudo` on the way.
const FIRST_STAGE_BUDGET: usize = 512;

/// Most bytes that the Python package may have which code on hosts imports, as it is sent to those that open tunnels.
///
/// It is compiled there, at 5 KB in a millisecond: as long as two agents take to start.
const LIBRARY_BUDGET: usize = 84 << 10;

/// Prints the sizes, and fails above a budget.
pub(crate) fn run() -> Result<(), Failure> {
    println!("{:16} {:>8} {:>8}", "part", "original", "stripped");
    for part in Part::ALL {
        let remark = if part.is_packed() { "" } else { "  when asked for" };
        println!("{:16} {:8} {:8}{remark}", part.name(), part.original_len(), part.source().len());
    }
    let sent = || Part::ALL.into_iter().filter(|part| part.is_packed());
    let original: usize = sent().map(Part::original_len).sum();
    let stripped: usize = sent().map(|part| part.source().len()).sum();
    println!("{:16} {original:8} {stripped:8}  compressed {}, budget {BUDGET}", "packed", PACKED.len());
    println!("{:16} {:8} {:>8}  budget {FIRST_STAGE_BUDGET}", "first stage", FIRST_STAGE.len(), "");
    for module in LIBRARY {
        let remark = if module.on_demand { "  when asked for" } else { "" };
        println!("{:25} {:8}{remark}", module.name, module.source.len());
    }
    let library: usize =
        LIBRARY.iter().filter(|module| !module.on_demand).map(|module| module.source.len()).sum();
    println!("{:25} {library:8}  budget {LIBRARY_BUDGET}", "library");
    check("the packed agent", PACKED.len(), BUDGET)?;
    check("the library", library, LIBRARY_BUDGET)?;
    check("the first stage", FIRST_STAGE.len(), FIRST_STAGE_BUDGET)
}

fn check(what: &str, size: usize, budget: usize) -> Result<(), Failure> {
    if size <= budget {
        return Ok(());
    }
    let excess = size - budget;
    Err(Failure::new(format!("agent-size: {what} has {size} bytes, {excess} over the budget of {budget}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_may_be_used_up_but_not_exceeded() {
        assert_eq!(check("it", BUDGET, BUDGET), Ok(()));
        let message = "agent-size: it has 9641 bytes, 1 over the budget of 9640";
        assert_eq!(check("it", BUDGET + 1, BUDGET), Err(Failure::new(message)));
    }
}
