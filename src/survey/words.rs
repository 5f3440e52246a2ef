//! Small things said in words: JSON forms, signal names, reasons.

use serde_json::Value;

use crate::targets::LoadReport;

/// A value of ours as JSON: none of them has anything that JSON cannot say.
pub(super) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

pub(super) fn signal_name(signal: usize) -> &'static str {
    match i32::try_from(signal) {
        Ok(libc::SIGINT) => "SIGINT",
        Ok(libc::SIGTERM) => "SIGTERM",
        _ => "a signal",
    }
}

/// In words, what became of everything that was named.
pub(super) fn why_none(report: &LoadReport) -> String {
    let reasons = [
        (report.bad_lines, "on lines that cannot be read"),
        (
            report.special,
            "in special-use ranges (--allow-special probes them, --lab has its own)",
        ),
        (report.blocked, "blocked by --blocklist-file"),
        (
            report.other_family,
            "of an address family that is not probed (IPv6)",
        ),
    ];
    let told: Vec<String> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    if told.is_empty() {
        "the input names none; give addresses, prefixes or names as arguments or with --input-file"
            .to_owned()
    } else {
        told.join(", ")
    }
}
