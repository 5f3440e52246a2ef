//! The inputs that did not become targets.

use serde_json::{Value, json};

use crate::targets::{Families, LoadReport};

use super::grouped;

/// The inputs that were left out, in words, with the number of each kind.
pub(super) fn in_words(report: &LoadReport, families: Families) -> Vec<String> {
    let other = match families {
        Families::Ipv6 => "IPv4",
        Families::Ipv4 | Families::Both => "IPv6",
    };
    let special = match uses(report) {
        uses if uses.is_empty() => "special-use".to_owned(),
        uses => format!("special-use ({uses})"),
    };
    [
        (report.blocked, "blocked", "blocked"),
        (report.other_family, other, other),
        (report.special, &*special, &*special),
        (unreadable(report), "bad line", "bad lines"),
        (report.unresolved, "unresolved name", "unresolved names"),
        (report.half_resolved, "half of a name", "halves of names"),
        (report.duplicates, "duplicate", "duplicates"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many)| format!("{} {}", grouped(count), if count == 1 { one } else { many }))
    .collect()
}

/// The uses of the special-use addresses: `2 loopback, 1 multicast`.
fn uses(report: &LoadReport) -> String {
    let uses = report.special_uses.iter();
    uses.map(|(special, count)| format!("{} {}", grouped(*count), special.name()))
        .collect::<Vec<String>>()
        .join(", ")
}

/// The same as JSON.
pub(super) fn to_json(report: &LoadReport) -> Value {
    json!({
        "blocked": report.blocked,
        "other_family": report.other_family,
        "special": report.special,
        "special_uses": report.special_uses,
        "bad_lines": unreadable(report),
        "unresolved": report.unresolved,
        "half_resolved": report.half_resolved,
        "duplicates": report.duplicates,
    })
}

/// The number of bad lines, without names that could not be resolved.
fn unreadable(report: &LoadReport) -> u64 {
    report.bad_lines.saturating_sub(report.unresolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::SpecialUse;

    #[test]
    fn only_kinds_with_left_out_inputs_are_listed() {
        let none = LoadReport {
            targets: 5,
            ..LoadReport::default()
        };
        assert!(in_words(&none, Families::Both).is_empty());
        let some = LoadReport {
            blocked: 1_016,
            other_family: 40,
            special: 4,
            bad_lines: 20,
            unresolved: 2,
            duplicates: 1,
            half_resolved: 1,
            ..none
        };
        let told = in_words(&some, Families::Ipv4).join(", ");
        let expected = "1,016 blocked, 40 IPv6, 4 special-use, 18 bad lines, 2 unresolved names, 1 half of a name, \
                        1 duplicate";
        assert_eq!(told, expected);
        assert!(in_words(&some, Families::Ipv6).contains(&"40 IPv4".to_owned()));
        let named = LoadReport {
            special: 3,
            special_uses: [(SpecialUse::Loopback, 2), (SpecialUse::Multicast, 1)].into(),
            ..LoadReport::default()
        };
        assert_eq!(
            in_words(&named, Families::Both),
            ["3 special-use (2 loopback, 1 multicast)"]
        );
    }
}
