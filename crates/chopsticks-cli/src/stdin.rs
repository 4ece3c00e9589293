//! The stdin of `chopsticks`, for the programs that it runs.

use std::{
    io::{self, IsTerminal as _, Read as _},
    thread,
};

use bytes::Bytes;
use futures::stream;
use tokio::{io::AsyncRead, sync::mpsc};
use tokio_util::io::StreamReader;

/// Whether programs get this stdin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// If there is one target, and stdin is not a terminal.
    #[default]
    ByTargets,
    /// All programs.
    ByAll,
    No,
}

/// The input of programs.
#[derive(Clone, Debug)]
pub(crate) enum Stdin {
    Nothing,
    /// stdin, as it arrives.
    Live,
    /// All of stdin, for each target.
    Whole(Bytes),
}

impl Stdin {
    /// Chooses the input for the given number of targets. Input for all of them is first read to
    /// its end.
    pub(crate) fn choose(wanted: Wanted, targets: usize) -> Result<Self, String> {
        match wanted {
            Wanted::ByAll if targets == 1 => Ok(Self::Live),
            Wanted::ByAll => {
                let mut content = Vec::new();
                let read = io::stdin().lock().read_to_end(&mut content);
                read.map_err(|error| format!("cannot read stdin: {error}"))?;
                Ok(Self::Whole(content.into()))
            }
            // What somebody types is not meant for a program without a terminal.
            Wanted::ByTargets if targets == 1 && !io::stdin().is_terminal() => Ok(Self::Live),
            Wanted::ByTargets | Wanted::No => Ok(Self::Nothing),
        }
    }

    /// Returns the input of one target, if any.
    pub(crate) fn reader(&self) -> Option<Box<dyn AsyncRead + Send + Unpin>> {
        match self {
            Self::Nothing => None,
            Self::Live => Some(live()),
            Self::Whole(content) => Some(Box::new(io::Cursor::new(content.clone()))),
        }
    }
}

/// Reads stdin on a separate thread, which does not keep the program from ending.
fn live() -> Box<dyn AsyncRead + Send + Unpin> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let read = move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut piece = vec![0; PIECE_LEN];
            let piece = match stdin.read(&mut piece) {
                Ok(0) => return,
                Ok(len) => {
                    piece.truncate(len);
                    Ok(Bytes::from(piece))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            if sender.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("stdin".to_owned()).spawn(read) {
        let failed = stream::iter([Err::<Bytes, _>(error)]);
        return Box::new(StreamReader::new(failed));
    }
    let pieces = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<io::Result<Bytes>>| {
        Some((receiver.recv().await?, receiver))
    });
    Box::new(StreamReader::new(Box::pin(pieces)))
}

const PIECE_LEN: usize = 128 << 10;
/// The number of pieces that are read ahead.
const PIECES: usize = 4;
