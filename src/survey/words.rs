//! Texts that several parts of a survey use: JSON forms, signal names, warnings.

use serde_json::Value;

use crate::engine::stop::EndedEarly;
use crate::model::Protocol;

/// `value` as JSON. The values of this program can always be represented.
pub(super) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The cause of an early end, as the manifest's `exit_reason`.
pub(super) fn cause_name(cause: EndedEarly) -> &'static str {
    match cause {
        EndedEarly::Signal(signal) => signal_name(signal),
        EndedEarly::MaxDuration => "max_duration",
    }
}

fn signal_name(signal: usize) -> &'static str {
    match i32::try_from(signal) {
        Ok(libc::SIGHUP) => "SIGHUP",
        Ok(libc::SIGINT) => "SIGINT",
        Ok(libc::SIGTERM) => "SIGTERM",
        _ => "a signal",
    }
}

/// The warning that ports from `base` on are used, because those from `asked` on are taken.
pub(super) fn ports_taken(protocol: Protocol, asked: u16, base: u16, flows: u16) -> String {
    let number = match protocol.has_ports() {
        true => "source port",
        false => "identifier",
    };
    let last = u32::from(base) + u32::from(flows) - 1;
    let instead = match flows {
        1 => base.to_string(),
        _ => format!("{base} to {last}"),
    };
    format!("{number} {asked} is taken: using {instead} instead")
}

/// The warning that `probes` had to wait for next hops that do not answer.
pub(super) fn crowded(probes: u64) -> String {
    format!(
        "{probes} probes had to wait, because many hosts on the link do not answer and the kernel's neighbour table (or the send \
         buffer) has limited room: leave those hosts out with --blocklist-file, lower --rate, or raise \
         net.ipv4.neigh.default.gc_thresh3 (IPv6: net.ipv6.neigh.default.gc_thresh3)"
    )
}

/// The warning that `probes` were pending when the run ended.
pub(super) fn pending(probes: u64) -> String {
    format!(
        "the run ended while {probes} probes were pending: they were sent, nobody knows whether they were answered, and they have no row"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_names_one_port_or_a_range() {
        assert_eq!(
            ports_taken(Protocol::Udp, 24_000, 24_001, 1),
            "source port 24000 is taken: using 24001 instead"
        );
        assert_eq!(
            ports_taken(Protocol::Icmp, 24_000, 24_008, 8),
            "identifier 24000 is taken: using 24008 to 24015 instead"
        );
    }
}
