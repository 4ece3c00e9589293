//! One JSON object for each target.

use std::io::Write as _;

use serde_json::json;

use crate::{
    outcome::{Failure, Outcome},
    output::Text,
    walk::BUDGET,
};

mod value;

/// Composes the line of an outcome; a result that cannot be written is a failure.
pub(super) fn outcome(outcome: &Outcome) -> (Text, Option<Failure>) {
    let Outcome { host, result, took } = outcome;
    let host = json!(host.as_str());
    let ms = (took.as_secs_f64() * 10_000.0).round() / 10.0;
    let written = result.as_ref().map_err(Clone::clone).and_then(|reply| {
        let mut line = format!("{{\"host\":{host},\"ok\":true,\"value\":").into_bytes();
        value::write(&mut line, &reply.graph()?, BUDGET)?;
        Ok(line)
    });
    let (mut line, failure) = match written {
        Ok(line) => (line, None),
        Err(failure) => {
            let Failure { kind, phase, message, traceback } = &failure;
            let (kind, phase, message, traceback) =
                (json!(kind), json!(phase), json!(message), json!(traceback));
            let error = format!(
                "{{\"kind\":{kind},\"phase\":{phase},\"message\":{message},\"traceback\":{traceback}}}"
            );
            (format!("{{\"host\":{host},\"ok\":false,\"error\":{error}").into_bytes(), Some(failure))
        }
    };
    // Writing to memory does not fail.
    let _ = writeln!(line, ",\"ms\":{ms}}}");
    (Text { stdout: line, ..Text::default() }, failure)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chopsticks::HostName;
    use serde_json::Value;

    use super::*;

    #[test]
    fn failure_has_all_fields() {
        let failure = Failure {
            kind: "raised",
            phase: "call".to_owned(),
            message: "ValueError: \"no\"\n".to_owned(),
            traceback: Some("Traceback\n".to_owned()),
        };
        for traceback in [failure.traceback.clone(), None] {
            let failure = Failure { traceback: traceback.clone(), ..failure.clone() };
            let host = HostName::lossy("\"a\"");
            let (text, told) =
                outcome(&Outcome { host, result: Err(failure.clone()), took: Duration::from_micros(31_449) });
            assert_eq!(told, Some(failure));
            assert!(text.stderr.is_empty());
            assert_eq!(text.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1);
            let line: Value = serde_json::from_slice(&text.stdout).unwrap();
            let error = json!({
                "kind": "raised", "phase": "call", "message": "ValueError: \"no\"\n", "traceback": traceback,
            });
            assert_eq!(line, json!({"host": "\"a\"", "ok": false, "error": error, "ms": 31.4}));
        }
    }
}
