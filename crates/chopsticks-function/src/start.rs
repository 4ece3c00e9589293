//! How a process becomes an agent.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::registry::test_agent;

/// Turns this process into an agent if it was started as one. In this case it does not return.
/// Otherwise it only records that a copy of this program would become an agent.
///
/// Call it at the beginning of `main`, or let [`main`](macro@crate::main) do it. Everything that
/// the program does before this call also runs on every host. Test binaries use
/// [`tests`](crate::tests!).
pub fn init() {
    #[cfg(feature = "agent")]
    {
        if let Some(role) = Role::of(std::env::args_os().map(|word| word.to_string_lossy().into_owned())) {
            crate::agent::run(role);
        }
        IS_READY.store(true, Ordering::Relaxed);
    }
}

/// What the controller needs to know to start a copy of this program as an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    words: Vec<String>,
}

impl Start {
    /// Returns how to start a copy of this program.
    ///
    /// Returns `None` if the copy would not become an agent, because [`init`] has not been called
    /// and this is not a program of [`tests`](crate::tests!).
    pub fn of_this_program() -> Option<Self> {
        let words = match test_agent() {
            // The role is the name of a test that is left out: the one place for a word of ours. With more than one thread,
            // nothing is printed before the test begins.
            Some(test) => [test, "--exact", "--ignored", "--nocapture", "--test-threads=2", SKIP, AGENT]
                .map(str::to_owned)
                .to_vec(),
            None if IS_READY.load(Ordering::Relaxed) => vec![AGENT.to_owned()],
            None => return None,
        };
        Some(Self { words })
    }

    /// Returns how to start a program that is not of [`tests`](crate::tests!), and begins with
    /// [`init`].
    pub fn of_a_program() -> Self {
        Self { words: vec![AGENT.to_owned()] }
    }

    /// Returns the arguments of the program. A token is to be appended to the last one: letters and
    /// digits, which distinguish the agent from others on its host. The arguments have neither blanks
    /// nor characters that are special in a shell.
    pub fn arguments(&self) -> &[String] {
        &self.words
    }
}

/// What a copy of this program was started for.
#[cfg(feature = "agent")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Agent {
        token: String,
    },
    /// What an agent turns into at its end.
    Cleaner {
        token: String,
    },
    /// Runs one call.
    Call {
        token: String,
    },
    /// Waits for the end of an agent, and ends what is left of it.
    Guard {
        token: String,
        agent: u32,
    },
}

#[cfg(feature = "agent")]
impl Role {
    /// Returns the role that the words of a command line name, if they do.
    fn of(words: impl IntoIterator<Item = String>) -> Option<Self> {
        let words: Vec<_> = words.into_iter().skip(1).collect();
        let (_, word) = role_of(&words)?;
        let token = |prefix| word.strip_prefix(prefix).map(str::to_owned);
        if let Some(token) = token(AGENT) {
            return Some(Self::Agent { token });
        }
        if let Some(token) = token(CLEANER) {
            return Some(Self::Cleaner { token });
        }
        if let Some(token) = token(CALL) {
            return Some(Self::Call { token });
        }
        let (token, agent) = word.strip_prefix(GUARD)?.split_once(':')?;
        Some(Self::Guard { token: token.to_owned(), agent: agent.parse().ok()? })
    }

    /// Returns the arguments that start this program, which is an agent, in another role.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut words: Vec<_> =
            std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some((place, _)) = role_of(&words) {
            words[place] = match self {
                Self::Agent { token } => format!("{AGENT}{token}"),
                Self::Call { token } => format!("{CALL}{token}"),
                Self::Cleaner { token } => format!("{CLEANER}{token}"),
                Self::Guard { token, agent } => format!("{GUARD}{token}:{agent}"),
            };
        }
        words
    }
}

/// Returns the word that names the role, and its place: the first one, or in a program of tests the
/// one behind `--skip`.
#[cfg(feature = "agent")]
fn role_of(words: &[String]) -> Option<(usize, &str)> {
    let is_role = |word: &str| [AGENT, CALL, CLEANER, GUARD].iter().any(|prefix| word.starts_with(prefix));
    let place = match words.iter().position(|word| word == SKIP) {
        Some(skip) if test_agent().is_some() => skip + 1,
        _ => 0,
    };
    words.get(place).filter(|word| is_role(word)).map(|word| (place, word.as_str()))
}

static IS_READY: AtomicBool = AtomicBool::new(false);

const AGENT: &str = "chopsticks-agent:";
#[cfg(feature = "agent")]
const CALL: &str = "chopsticks-call:";
#[cfg(feature = "agent")]
const CLEANER: &str = "chopsticks-cleaner:";
#[cfg(feature = "agent")]
const GUARD: &str = "chopsticks-guard:";
/// The option of programs of tests that names a test which is left out.
const SKIP: &str = "--skip";

#[cfg(all(test, feature = "agent"))]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<Role> {
        Role::of(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn role_is_the_first_word() {
        let token = "12ab".to_owned();
        assert_eq!(of(&["x", "chopsticks-agent:12ab"]), Some(Role::Agent { token: token.clone() }));
        assert_eq!(of(&["x", "chopsticks-cleaner:12ab"]), Some(Role::Cleaner { token: token.clone() }));
        assert_eq!(of(&["x", "chopsticks-call:12ab"]), Some(Role::Call { token: token.clone() }));
        assert_eq!(of(&["x", "chopsticks-guard:12ab:7"]), Some(Role::Guard { token, agent: 7 }));
        for other in
            [&["x"][..], &[], &["x", "run", "chopsticks-agent:12ab"], &["x", "chopsticks-guard:12ab"]]
        {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
