//! Targets that this machine has no source address for.

use std::net::IpAddr;

use crate::model::{TargetId, Targets, UnsentReason};
use crate::targets::TargetSet;
use crate::transport::PacketSender;

/// How many targets of a family are checked, evenly distributed over all. A machine has few routes, so a sample suffices.
const SAMPLE: u32 = 256;

/// The warnings, at most one per family.
pub(in crate::survey) fn warnings(
    targets: &TargetSet,
    sender: &mut dyn PacketSender,
) -> Vec<String> {
    let ipv4 = targets.ipv4_len();
    let ipv6 = targets.len() - ipv4;
    [(0, ipv4, false), (ipv4, ipv6, true)]
        .into_iter()
        .filter_map(|(first, count, is_ipv6)| {
            let mut lacks = |at: u32| {
                let destination: IpAddr = targets.address(TargetId(first + at));
                sender.source_for(destination) == Err(UnsentReason::NoSourceAddress)
            };
            let asked = count.min(SAMPLE);
            // Includes the last target.
            let place = |nth: u32| match asked {
                1 => 0,
                _ => (u64::from(nth) * u64::from(count - 1) / u64::from(asked - 1)) as u32,
            };
            let lacking = (0..asked).filter(|nth| lacks(place(*nth))).count() as u32;
            let both = ipv4 > 0 && ipv6 > 0;
            (lacking > 0).then(|| words(count, lacking == asked, is_ipv6, both))
        })
        .collect()
}

/// The warning. `all`: no checked target can be probed. `both`: there are targets of the other family as well.
fn words(count: u32, all: bool, is_ipv6: bool, both: bool) -> String {
    let family = if is_ipv6 { "IPv6" } else { "IPv4" };
    let targets = match (all, count) {
        (true, 1) => format!("the only {family} target"),
        (true, _) => format!("all {count} {family} targets"),
        (false, _) => format!("some of the {count} {family} targets"),
    };
    let (lack, remedy, leave_out) = match is_ipv6 {
        true => (
            "no IPv6 address to probe from: link-local ones lead nowhere",
            "give it a global IPv6 address",
            ", or leave them out with -4",
        ),
        false => (
            "no IPv4 address to probe from",
            "give it one",
            ", or leave them out with -6",
        ),
    };
    let leave_out = if both { leave_out } else { "" };
    format!(
        "{targets} will not be probed (send_error, no_source_address), because this machine has {lack}; {remedy}{leave_out}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_has_count_reason_and_remedy() {
        assert_eq!(
            words(1_024, true, true, true),
            "all 1024 IPv6 targets will not be probed (send_error, no_source_address), because this machine has no IPv6 address \
             to probe from: link-local ones lead nowhere; give it a global IPv6 address, or leave them out with -4"
        );
        let alone = words(1, true, true, false);
        assert!(
            alone.starts_with("the only IPv6 target ") && !alone.contains("-4"),
            "{alone}"
        );
        let some = words(9, false, false, true);
        assert!(
            some.starts_with("some of the 9 IPv4 targets ") && some.contains("-6"),
            "{some}"
        );
    }
}
