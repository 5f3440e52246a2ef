//! Small things said in words: JSON forms, signal names.

use serde_json::Value;

/// A value of ours as JSON: none of them has anything that JSON cannot say.
pub(super) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

pub(super) fn signal_name(signal: usize) -> &'static str {
    match i32::try_from(signal) {
        Ok(libc::SIGHUP) => "SIGHUP",
        Ok(libc::SIGINT) => "SIGINT",
        Ok(libc::SIGTERM) => "SIGTERM",
        _ => "a signal",
    }
}
