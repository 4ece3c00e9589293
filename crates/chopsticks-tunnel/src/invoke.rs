//! Calls of functions in Rust.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use chopsticks_function::{Encoded, Invocation};
use chopsticks_protocol::{CallFailure, operation};
use chopsticks_transport::{AnswerKind, Format, Operation};

use crate::{
    auto::Task,
    call::Reply,
    connection::Connection,
    error::{Error, ErrorKind, Phase},
    tunnel::{Tunnel, kind, refused},
};

impl Tunnel {
    /// Calls a function of this program on the host and returns its result.
    ///
    /// The tunnel needs an [`Agent::Native`](crate::Agent::Native), or
    /// [`Agent::Auto`](crate::Agent::Auto): a copy of this program, which is sent to the host with
    /// the first call. The program has to begin with `chopsticks_function::init`.
    ///
    /// Calls share one connection and may overlap, each on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Raised`] if the function returned an error or panicked;
    /// [`Error::returned`] is the error as a value. [`ErrorKind::NoFunction`] if the program on the
    /// host does not have the function. [`ErrorKind::WrongAgent`] if the tunnel has an agent in
    /// Python. The other kinds are as documented. After any of them the tunnel can be used again,
    /// and connects again if necessary.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call, and so does its deadline. Code in Rust cannot be
    /// interrupted, so the function has to call `is_cancelled`. The future of an `async` function
    /// is dropped. If the function has not ended after
    /// [`TunnelConfig::cancel_grace`](crate::TunnelConfig::cancel_grace), it is abandoned, and no
    /// other call is affected. It ends with the connection at the latest.
    pub async fn invoke<T>(&self, invocation: Invocation<T>) -> Result<T, Error> {
        let entry = self.begin_entry("invoke", invocation.name());
        let result = self.invoked(&invocation).await;
        let result = result.map_err(|error| error.of_function(invocation.name()));
        if let Some(entry) = entry {
            entry.end(&result, |(_, len)| Some(*len));
        }
        result.map(|(value, _)| value)
    }

    /// Calls a function like [`invoke`](Self::invoke), and returns its result, still encoded.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Self::invoke), but the result is decoded only by the methods of [`Reply`].
    ///
    /// # Cancel safety
    ///
    /// As [`invoke`](Self::invoke).
    pub async fn invoke_encoded<T>(&self, invocation: Invocation<T>) -> Result<Reply, Error> {
        let entry = self.begin_entry("invoke", invocation.name());
        let result = self.answered(&invocation).await;
        let result = result.map_err(|error| error.of_function(invocation.name()));
        if let Some(entry) = entry {
            entry.end(&result, |(_, value)| Some(value.len() as u64));
        }
        let (format, value) = result?;
        Ok(Reply::new(self.host().clone(), invocation.name().into(), format, value))
    }

    /// Returns the result of a function, and its length as it was sent.
    async fn invoked<T>(&self, invocation: &Invocation<T>) -> Result<(T, u64), Error> {
        let (format, value) = self.answered(invocation).await?;
        let result = match format {
            Format::Bytes => invocation.read(Encoded::Bytes(&value)),
            // Whatever the format says, this only reads `marshal`.
            _ => invocation.read(Encoded::Value(&value)),
        };
        let result = result.map_err(|error| self.error(Phase::Call, ErrorKind::Result(Arc::new(error))))?;
        Ok((result, value.len() as u64))
    }

    /// Adds the names of functions to the traceback of a panic.
    async fn with_names(&self, failure: CallFailure) -> CallFailure {
        #[cfg(feature = "symbols")]
        // Another program has other addresses.
        if failure.kind == "panicked" && !self.programs().are_many() {
            let addresses = failure.traceback.clone();
            let names = tokio::task::spawn_blocking(move || crate::symbols::resolve(&addresses));
            if let Ok(Some(traceback)) = names.await {
                return CallFailure { traceback, ..failure };
            }
        }
        failure
    }

    async fn answered<T>(&self, invocation: &Invocation<T>) -> Result<(Format, Bytes), Error> {
        let failed = |kind| self.error(Phase::Call, kind);
        let message = invocation.message().map_err(|error| failed(ErrorKind::Argument(Arc::new(error))))?;
        let payload = message.encode().map_err(|error| failed(ErrorKind::Argument(Arc::new(error))))?;
        let connection = self.connection_for(Task::Rust).await?;
        // A runtime without timers would panic below.
        connection.check_runtime()?;
        let answer = pin!(self.answer_of_run(&connection, payload));
        match invocation.deadline().or(self.call_timeout()) {
            None => answer.await,
            Some(after) => {
                tokio::time::timeout(after, answer).await.unwrap_or_else(|_| Err(connection.late(after)))
            }
        }
    }

    /// Returns the error for the answer to a request that has failed.
    pub(crate) async fn failure_of_run(&self, reply: &chopsticks_transport::Answer) -> Error {
        if reply.format == Format::None {
            // From the agent's transport, which gives its reason in a byte: `docs/wire.md`, section 4.
            return self.error(Phase::Call, refused(&reply.payload));
        }
        let kind = match CallFailure::decode(&reply.payload) {
            Ok(failure) => kind(self.with_names(failure).await),
            Err(error) => ErrorKind::Result(Arc::new(error)),
        };
        self.error(Phase::Call, kind)
    }

    /// Returns the result of a function, encoded.
    async fn answer_of_run(
        &self,
        connection: &Connection,
        payload: Vec<Bytes>,
    ) -> Result<(Format, Bytes), Error> {
        loop {
            let session = connection.session().await?;
            let run = Operation::application(operation::RUN);
            match session.handle.request(run, Format::Bytes, payload.clone()).await {
                Ok(reply) if reply.kind == AnswerKind::Reply => return Ok((reply.format, reply.payload)),
                Ok(reply) => return Err(self.failure_of_run(&reply).await),
                Err(error) => match connection.refusal(Phase::Call, &error) {
                    Some(refusal) => return Err(refusal),
                    None => connection.after(&session).await?,
                },
            }
        }
    }
}
