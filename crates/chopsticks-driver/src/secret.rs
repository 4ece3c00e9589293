//! Passwords and passphrases, and where they come from.

use std::{collections::BTreeMap, fmt, sync::Arc};

use zeroize::Zeroizing;

use crate::host::HostName;

pub(crate) use self::slot::Try;
use self::slot::{Asked, Slot};

mod slot;

/// A password or passphrase.
///
/// Its memory is overwritten when the last copy is dropped, and `Debug` does not show it. It must
/// not contain a line break or a NUL byte, because programs that ask for a secret read one line.
///
/// ```
/// use chopsticks_driver::Secret;
///
/// let secret = Secret::new("correct horse");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

/// What a secret is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SecretKind {
    /// The password of a user on a jump host of ssh.
    JumpPassword,
    /// The passphrase of a private key.
    Passphrase,
    /// The password of a user on the host that ssh logs in to.
    Password,
    /// The password that `sudo` asks for.
    Sudo,
}

/// A program that asks for a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SecretRequest {
    /// The name of the tunnel.
    pub host: HostName,
    /// What the secret is for.
    pub kind: SecretKind,
    /// The question, in characters that a terminal can show.
    pub prompt: String,
}

/// Where the secrets of tunnels come from.
///
/// A program gets a secret only if it asks for one of this kind, and at most once per connection. If
/// a host refuses a secret, it does not get it again. A secret that no host has accepted yet is
/// given to one host at a time, and to no further host if the first one refuses it: a mistyped
/// password is one failed login, and not one for each host. Clones share this knowledge.
///
/// ```
/// use chopsticks_driver::{Secret, SecretKind, Secrets};
///
/// let same = Secrets::new().with(SecretKind::Password, Secret::new("correct horse"));
/// let asked = Secrets::callback(|request| match request.kind {
///     SecretKind::Sudo => Some(Secret::new(format!("the one of {}", request.host))),
///     _ => None,
/// });
/// # let _ = (same, asked);
/// ```
#[derive(Clone, Default)]
pub struct Secrets {
    fixed: BTreeMap<SecretKind, Arc<Slot>>,
    asked: Option<Arc<Asked>>,
}

/// Why a program that asks for a secret does not get one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// There is no secret of this kind.
    Missing,
    /// The secret was refused before, by this host.
    Rejected(HostName),
    /// The secret is not one line.
    Unfit,
}

impl Secret {
    /// Creates a secret. The text is moved, and not copied.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the bytes `head`, the secret and a newline.
    fn line(&self, head: &str) -> Option<Zeroizing<Vec<u8>>> {
        if self.0.contains(['\n', '\r', '\0']) {
            return None;
        }
        // With its whole length from the beginning, since growing would leave copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(head.len() + self.0.len() + 1));
        line.extend_from_slice(head.as_bytes());
        line.extend_from_slice(self.0.as_bytes());
        line.push(b'\n');
        Some(line)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl SecretKind {
    /// Returns the name of the secret in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::JumpPassword => "password of the jump host",
            Self::Passphrase => "passphrase",
            Self::Password => "password",
            Self::Sudo => "password of sudo",
        }
    }
}

impl Secrets {
    /// Creates an empty source: no program gets a secret.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a source that calls `ask` when a program asks for a secret. `None` means that there is
    /// none.
    ///
    /// `ask` is called on a thread that may block, once for each host and kind, and for a passphrase
    /// or a password of a jump host once for each prompt. Its answer is kept. Time limits of the
    /// tunnel go on while it runs.
    pub fn callback(ask: impl Fn(&SecretRequest) -> Option<Secret> + Send + Sync + 'static) -> Self {
        Self { fixed: BTreeMap::new(), asked: Some(Arc::new(Asked::new(ask))) }
    }

    /// Sets the secret of a kind for all hosts.
    #[must_use]
    pub fn with(mut self, kind: SecretKind, secret: Secret) -> Self {
        self.fixed.insert(kind, Arc::new(Slot::known(secret)));
        self
    }

    /// Returns these secrets, and for the kinds that they lack those of `others`.
    pub(crate) fn or(mut self, others: &Self) -> Self {
        for (kind, slot) in &others.fixed {
            self.fixed.entry(*kind).or_insert_with(|| slot.clone());
        }
        self.asked = self.asked.or_else(|| others.asked.clone());
        self
    }

    /// Returns whether there may be a secret of one of these kinds.
    pub(crate) fn may_have(&self, kinds: &[SecretKind]) -> bool {
        self.asked.is_some() || kinds.iter().any(|kind| self.fixed.contains_key(kind))
    }

    /// Returns the secret for a program that asks, and the right to try it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect. If the callback is running, its answer is kept.
    pub(crate) async fn find(&self, request: &SecretRequest) -> Result<Try, Refusal> {
        let slot = match (self.fixed.get(&request.kind), &self.asked) {
            (Some(slot), _) => slot.clone(),
            (None, Some(asked)) => asked.slot(request),
            (None, None) => return Err(Refusal::Missing),
        };
        let secret = slot.secret(self.asked.as_ref(), request).await.ok_or(Refusal::Missing)?;
        slot.turn(secret, request).await
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("fixed", &self.fixed.keys())
            .field("callback", &self.asked.is_some())
            .finish()
    }
}

impl Refusal {
    /// Returns the message for a program that asks for a secret of this kind.
    pub(crate) fn message(&self, kind: SecretKind) -> String {
        let name = kind.name();
        match self {
            Self::Missing => format!("the {name} is asked for, and there is none"),
            Self::Rejected(host) => format!("the {name} was refused by {host}, and is not sent again"),
            Self::Unfit => format!("the {name} is not one line, and is not sent"),
        }
    }
}

/// Returns a prompt in characters that a terminal can show.
pub(crate) fn shown(prompt: &str) -> String {
    let is_shown = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    let shown = prompt.trim().chars().take(MAX_SHOWN).map(|c| if is_shown(c) { c } else { '?' });
    shown.collect()
}

const MAX_SHOWN: usize = 200;

#[cfg(test)]
mod tests;
