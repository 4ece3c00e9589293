//! One JSON object for each target.

use std::{
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
};

use chopsticks::{Transferred, TransferredFolder};

use crate::{
    answer::Shown,
    answer::{Answer, Pong, Ran},
    outcome::{Failure, Outcome},
    output::Text,
    pieces::Pieces,
};

mod text;
mod value;

pub(crate) use self::value::write;

/// Composes the line of an outcome.
pub(super) fn outcome(outcome: Outcome) -> (Text, Option<Failure>) {
    let Outcome { host, result, took, .. } = outcome;
    let (value, failure) = match result.map(answer) {
        Ok((value, failure)) => (Some(value), failure),
        Err(failure) => (None, Some(failure)),
    };
    let host = text::json(host.as_str());
    let mut line = format!("{{\"host\":{host},\"ok\":{}", failure.is_none()).into_bytes();
    let mut behind = Vec::new();
    let result = value.unwrap_or_default();
    if result.len() > 0 {
        line.extend_from_slice(b",\"value\":");
    }
    if let Some(failure) = &failure {
        behind.extend_from_slice(b",\"error\":");
        behind.extend_from_slice(self::failure(failure).as_bytes());
    }
    // Writing to memory does not fail.
    let _ = writeln!(behind, ",\"ms\":{}}}", rounded(took.as_secs_f64() * 1000.0, 10.0));
    (Text { stdout: line, result, behind, ..Text::default() }, failure)
}

/// Appends the line of an item of a pool.
pub(crate) fn item(
    out: &mut Vec<u8>,
    index: u64,
    host: Option<Option<&str>>,
    attempts: u32,
    result: Result<&Pieces, &Failure>,
) {
    let mut line = format!("{{\"index\":{index},");
    if let Some(host) = host {
        line.push_str(&format!("\"host\":{},", text::json(&host)));
    }
    if attempts != 1 {
        line.push_str(&format!("\"attempts\":{attempts},"));
    }
    out.extend_from_slice(line.as_bytes());
    match result {
        Ok(value) => {
            out.extend_from_slice(b"\"ok\":true,\"value\":");
            // Writing to memory does not fail.
            let _ = value.write_to(out);
        }
        Err(failure) => {
            out.extend_from_slice(b"\"ok\":false,\"error\":");
            out.extend_from_slice(self::failure(failure).as_bytes());
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Writes an answer, which can itself report a failure.
fn answer(answer: Answer<Shown>) -> (Pieces, Option<Failure>) {
    match answer {
        Answer::Value(Shown::Json(value) | Shown::Line(value) | Shown::Block(value))
        | Answer::Facts(_, Shown::Json(value) | Shown::Line(value) | Shown::Block(value)) => (value, None),
        Answer::File(file, _) | Answer::Shown(file) => (self::file(&file).as_str().into(), None),
        Answer::Folder(folder, _) => (self::folder(&folder).as_str().into(), None),
        Answer::Pong(pong) => (self::pong(&pong).as_str().into(), None),
        Answer::Ran(ran) => {
            let failure =
                (!ran.status.success()).then(|| Failure::of_call("exit-status", ran.status.to_string()));
            (self::ran(&ran).as_str().into(), failure)
        }
    }
}

fn failure(failure: &Failure) -> String {
    let Failure { kind, phase, message, hint, traceback, .. } = failure;
    let (kind, phase, message) = (text::json(kind), text::json(phase), text::json(message));
    let traceback = text::json(traceback);
    let cause = text::json(&hint.as_ref().map(|hint| hint.cause()));
    let hint = text::json(&hint.as_ref().map(ToString::to_string));
    format!(
        "{{\"kind\":{kind},\"phase\":{phase},\"message\":{message},\"cause\":{cause},\"hint\":{hint},\
         \"traceback\":{traceback}}}"
    )
}

fn pong(pong: &Pong) -> String {
    let Pong { agent, connect_ms, latency_ms } = pong;
    let pong = serde_json::json!({
        "python": agent.python, "executable": agent.executable, "hostname": agent.hostname,
        "platform": agent.platform, "pid": agent.pid,
        "connect_ms": rounded(*connect_ms, 10.0), "latency_ms": rounded(*latency_ms, 1000.0),
    });
    text::json(&pong)
}

fn file(file: &Transferred) -> String {
    let (paths, size, sha1) = (paths(&file.remote, file.local.as_deref()), file.size, text::json(&file.sha1));
    format!(
        "{{{paths},\"size\":{size},\"sha1\":{sha1},\"in_place\":{},\"changed\":{},\"sent\":{}{}}}",
        file.in_place,
        file.changed,
        file.sent,
        diff(file.diff.as_deref())
    )
}

fn folder(folder: &TransferredFolder) -> String {
    let TransferredFolder {
        local,
        remote,
        files,
        folders,
        links,
        left_out,
        size,
        changed,
        unchanged,
        sent,
        ..
    } = folder;
    let list = |paths: &[PathBuf]| {
        let paths = paths.iter().map(|path| value::output(path.as_os_str().as_bytes()).to_string());
        paths.collect::<Vec<_>>().join(",")
    };
    let (changes, deleted) = (list(&folder.changes), list(&folder.deleted));
    let obstacles = folder.obstacles.iter().map(|obstacle| {
        let path = value::output(obstacle.path.as_os_str().as_bytes());
        format!("{{\"path\":{path},\"kind\":\"{}\"}}", obstacle.kind)
    });
    let obstacles = obstacles.collect::<Vec<_>>().join(",");
    let diff = diff(folder.diff.as_deref());
    let paths = paths(remote, local.as_deref());
    format!(
        "{{{paths},\"size\":{size},\"files\":{files},\"folders\":{folders},\"links\":{links},\
         \"left_out\":{left_out},\"changed\":{changed},\"unchanged\":{unchanged},\"changes\":[{changes}],\
         \"deleted\":[{deleted}],\"obstacles\":[{obstacles}],\"sent\":{sent}{diff}}}"
    )
}

/// A diff is there only if it was asked for.
fn diff(diff: Option<&str>) -> String {
    diff.map(|diff| format!(",\"diff\":{}", text::json(diff))).unwrap_or_default()
}

fn paths(remote: &Path, local: Option<&Path>) -> String {
    let path = |path: &Path| value::output(path.as_os_str().as_bytes());
    let local = local.map_or("null".to_owned(), |local| path(local).to_string());
    format!("\"remote\":{},\"local\":{local}", path(remote))
}

fn ran(ran: &Ran) -> String {
    let Ran { status, stdout, stderr } = ran;
    let (code, signal) = (text::json(&status.code()), text::json(&status.signal()));
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
    use serde_json::{Value, json};

    use super::*;

    fn written(text: &Text) -> Vec<u8> {
        let mut out = Vec::new();
        text.write_to(&mut out).unwrap();
        out
    }

    #[test]
    fn failure_has_all_fields() {
        let failure = Failure {
            kind: "raised",
            phase: "call".to_owned(),
            message: "ValueError: \"no\"\n".to_owned(),
            hint: Some(Box::new(Hint::new("no", "say \"yes\""))),
            traceback: Some("Traceback\n".to_owned()),
            may_pass: false,
        };
        let bare = Failure { hint: None, traceback: None, ..failure.clone() };
        for failure in [failure, bare] {
            let has_hint = failure.hint.is_some();
            let (cause, hint) = (has_hint.then_some("no"), has_hint.then_some("say \"yes\""));
            let traceback = failure.traceback.clone();
            let host = HostName::lossy("\"a\"");
            let (text, told) = outcome(Outcome {
                host,
                index: 0,
                result: Err(failure.clone()),
                took: Duration::from_micros(31_449),
            });
            assert_eq!(told, Some(failure));
            assert!(text.stderr.is_empty());
            let line = written(&text);
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            let line: Value = serde_json::from_slice(&line).unwrap();
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
                outcome(Outcome { host: HostName::lossy("a"), index: 0, result, took: Duration::ZERO });
            let line: Value = serde_json::from_slice(&written(&text)).unwrap();
            let value = json!({
                "status": code, "signal": signal, "stdout": "out \"é\"\n", "stderr": {"$bytes": "/w=="},
            });
            assert_eq!((&line["ok"], &line["value"]), (&json!(false), &value));
            assert_eq!(line["error"]["kind"], "exit-status");
            assert_eq!(line["error"]["message"], told.unwrap().message);
        }
    }
}
