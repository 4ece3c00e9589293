//! One JSON object for each target.

use std::{
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::Path,
};

use chopsticks::{Transferred, TransferredFolder};
use serde_json::json;

use crate::{
    answer::{Answer, Pong, Ran},
    outcome::{Failure, Outcome},
    output::Text,
    walk::BUDGET,
};

mod value;

/// Composes the line of an outcome; a result that cannot be written is a failure.
pub(super) fn outcome(outcome: &Outcome) -> (Text, Option<Failure>) {
    let Outcome { host, result, took, .. } = outcome;
    let (value, failure) = match result.as_ref().map_err(Clone::clone).and_then(answer) {
        Ok((value, failure)) => (Some(value), failure),
        Err(failure) => (None, Some(failure)),
    };
    let host = json!(host.as_str());
    let mut line = format!("{{\"host\":{host},\"ok\":{}", failure.is_none()).into_bytes();
    if let Some(value) = value {
        line.extend_from_slice(b",\"value\":");
        line.extend_from_slice(&value);
    }
    if let Some(failure) = &failure {
        line.extend_from_slice(b",\"error\":");
        line.extend_from_slice(self::failure(failure).as_bytes());
    }
    // Writing to memory does not fail.
    let _ = writeln!(line, ",\"ms\":{}}}", rounded(took.as_secs_f64() * 1000.0, 10.0));
    (Text { stdout: line, ..Text::default() }, failure)
}

/// Writes an answer, which can be a failure all the same.
fn answer(answer: &Answer) -> Result<(Vec<u8>, Option<Failure>), Failure> {
    match answer {
        Answer::Value(reply) | Answer::Facts(_, reply) => {
            let mut out = Vec::new();
            value::write(&mut out, &reply.graph()?, BUDGET)?;
            Ok((out, None))
        }
        Answer::File(file) => Ok((self::file(file).into_bytes(), None)),
        Answer::Folder(folder) => Ok((self::folder(folder).into_bytes(), None)),
        Answer::Pong(pong) => Ok((self::pong(pong).into_bytes(), None)),
        Answer::Ran(ran) => {
            let failure =
                (!ran.status.success()).then(|| Failure::of_call("exit-status", ran.status.to_string()));
            Ok((self::ran(ran).into_bytes(), failure))
        }
    }
}

fn failure(failure: &Failure) -> String {
    let Failure { kind, phase, message, hint, traceback } = failure;
    let (kind, phase, message, traceback) = (json!(kind), json!(phase), json!(message), json!(traceback));
    let (cause, hint) =
        (json!(hint.as_ref().map(|hint| hint.cause())), json!(hint.as_ref().map(ToString::to_string)));
    format!(
        "{{\"kind\":{kind},\"phase\":{phase},\"message\":{message},\"cause\":{cause},\"hint\":{hint},\
         \"traceback\":{traceback}}}"
    )
}

fn pong(pong: &Pong) -> String {
    let Pong { agent, connect_ms, latency_ms } = pong;
    let pong = json!({
        "python": agent.python, "executable": agent.executable, "hostname": agent.hostname,
        "platform": agent.platform, "pid": agent.pid,
        "connect_ms": rounded(*connect_ms, 10.0), "latency_ms": rounded(*latency_ms, 1000.0),
    });
    pong.to_string()
}

fn file(file: &Transferred) -> String {
    let (paths, size, sha1) = (paths(&file.remote, file.local.as_deref()), file.size, json!(file.sha1));
    format!("{{{paths},\"size\":{size},\"sha1\":{sha1}}}")
}

fn folder(folder: &TransferredFolder) -> String {
    let TransferredFolder { local, remote, files, folders, links, left_out, size, .. } = folder;
    let paths = paths(remote, local.as_deref());
    format!(
        "{{{paths},\"size\":{size},\"files\":{files},\"folders\":{folders},\"links\":{links},\"left_out\":{left_out}}}"
    )
}

fn paths(remote: &Path, local: Option<&Path>) -> String {
    let path = |path: &Path| value::output(path.as_os_str().as_bytes());
    let local = local.map_or("null".to_owned(), |local| path(local).to_string());
    format!("\"remote\":{},\"local\":{local}", path(remote))
}

fn ran(ran: &Ran) -> String {
    let Ran { status, stdout, stderr } = ran;
    let (code, signal) = (json!(status.code()), json!(status.signal()));
    let (stdout, stderr) = (value::output(stdout), value::output(stderr));
    format!("{{\"status\":{code},\"signal\":{signal},\"stdout\":{stdout},\"stderr\":{stderr}}}")
}

fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chopsticks::{Hint, HostName};
    use serde_json::Value;

    use super::*;

    #[test]
    fn failure_has_all_fields() {
        let failure = Failure {
            kind: "raised",
            phase: "call".to_owned(),
            message: "ValueError: \"no\"\n".to_owned(),
            hint: Some(Box::new(Hint::new("no", "say \"yes\""))),
            traceback: Some("Traceback\n".to_owned()),
        };
        let bare = Failure { hint: None, traceback: None, ..failure.clone() };
        for failure in [failure, bare] {
            let has_hint = failure.hint.is_some();
            let (cause, hint) = (has_hint.then_some("no"), has_hint.then_some("say \"yes\""));
            let traceback = failure.traceback.clone();
            let host = HostName::lossy("\"a\"");
            let (text, told) = outcome(&Outcome {
                host,
                index: 0,
                result: Err(failure.clone()),
                took: Duration::from_micros(31_449),
            });
            assert_eq!(told, Some(failure));
            assert!(text.stderr.is_empty());
            assert_eq!(text.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1);
            let line: Value = serde_json::from_slice(&text.stdout).unwrap();
            let error = json!({
                "kind": "raised", "phase": "call", "message": "ValueError: \"no\"\n",
                "cause": cause, "hint": hint, "traceback": traceback,
            });
            assert_eq!(line, json!({"host": "\"a\"", "ok": false, "error": error, "ms": 31.4}));
        }
    }

    #[test]
    fn program_that_failed_has_value_and_error() {
        for (status, code, signal) in [(3 << 8, json!(3), Value::Null), (9, Value::Null, json!(9))] {
            let status = std::process::ExitStatus::from_raw(status);
            let ran = Ran { status, stdout: b"out \"\xc3\xa9\"\n".to_vec(), stderr: b"\xff".to_vec() };
            let result = Ok(Answer::Ran(ran));
            let (text, told) =
                outcome(&Outcome { host: HostName::lossy("a"), index: 0, result, took: Duration::ZERO });
            let line: Value = serde_json::from_slice(&text.stdout).unwrap();
            let value = json!({
                "status": code, "signal": signal, "stdout": "out \"é\"\n", "stderr": {"$bytes": "/w=="},
            });
            assert_eq!((&line["ok"], &line["value"]), (&json!(false), &value));
            assert_eq!(line["error"]["kind"], "exit-status");
            assert_eq!(line["error"]["message"], told.unwrap().message);
        }
    }
}
