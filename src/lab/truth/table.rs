//! The true path as a table for people.

use std::fmt;
use std::net::IpAddr;

use super::{Truth, TruthAnswer, TruthEnd, TruthFlow, TruthKind, TruthOutcome};
use crate::lab::packet::{ICMP, ICMPV6, TCP, UDP};
use crate::model::ReplyKind;

impl fmt::Display for Truth {
    /// A table with one line per TTL and candidate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destination = self.flow.destination;
        writeln!(
            f,
            "true path from {} to {destination}, {}",
            self.vantage,
            FlowText(self.flow)
        )?;
        let width = address_width(destination);
        writeln!(f, "ttl  {:<width$}        rtt  answer", "responder")?;
        for hop in &self.hops {
            for (index, outcome) in hop.outcomes.iter().enumerate() {
                match index {
                    0 => write!(f, "{:>3}  ", hop.ttl.0)?,
                    _ => write!(f, " or  ")?,
                }
                write_outcome(f, outcome, destination)?;
            }
        }
        match self.end {
            TruthEnd::Reached(ttl) => writeln!(f, "the target answers at distance {}", ttl.0),
            TruthEnd::SilentTarget(ttl) => {
                writeln!(f, "the target is at distance {} and silent", ttl.0)
            }
            TruthEnd::Unreachable(ttl) => writeln!(f, "unreachable from TTL {} on", ttl.0),
            TruthEnd::Nowhere => writeln!(f, "never arrives"),
        }
    }
}

/// The name of each field of a flow.
struct FlowText(TruthFlow);

impl fmt::Display for FlowText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TruthFlow {
            source_port,
            destination_port,
            protocol,
            flow_label,
            ..
        } = self.0;
        match protocol {
            UDP => write!(f, "udp {source_port} to {destination_port}")?,
            TCP => write!(f, "tcp {source_port} to {destination_port}")?,
            ICMP | ICMPV6 => write!(
                f,
                "icmp echo, identifier {source_port}, checksum {destination_port:#06x}"
            )?,
            other => write!(f, "protocol {other}, {source_port} to {destination_port}")?,
        }
        match flow_label {
            Some(label) => write!(f, ", flow label {label:#x}"),
            None => Ok(()),
        }
    }
}

/// The width of an address: enough for any of IPv4 and most of IPv6.
fn address_width(like: IpAddr) -> usize {
    match like {
        IpAddr::V4(_) => 15,
        IpAddr::V6(_) => 25,
    }
}

/// The kind of a reply, by its name in `reply_kind` if it has one.
fn name_of(answer: &TruthAnswer) -> String {
    let name = match answer.answer {
        TruthKind::EchoReply => "echo_reply",
        TruthKind::SynAck => "syn_ack",
        TruthKind::Rst => "rst",
        TruthKind::Udp => "udp",
        TruthKind::Icmp { icmp_type, code } => {
            let known = match answer.responder {
                IpAddr::V4(_) => answer.kind().map(ReplyKind::as_str),
                IpAddr::V6(_) => icmpv6_name(icmp_type, code),
            };
            match known {
                Some(name) => name,
                None => return format!("icmp {icmp_type}/{code}"),
            }
        }
    };
    name.to_owned()
}

/// The names in RFC 4443 of messages that the lab's routers and hosts send.
fn icmpv6_name(icmp_type: u8, code: u8) -> Option<&'static str> {
    Some(match (icmp_type, code) {
        (1, 0) => "no_route",
        (1, 1) => "administratively_prohibited",
        (1, 3) => "address_unreachable",
        (1, 4) => "port_unreachable",
        (1, 6) => "reject_route",
        (2, 0) => "packet_too_big",
        (3, 0) => "time_exceeded",
        (4, 1) => "unrecognised_next_header",
        _ => return None,
    })
}

fn write_outcome(
    f: &mut fmt::Formatter<'_>,
    outcome: &TruthOutcome,
    destination: IpAddr,
) -> fmt::Result {
    let width = address_width(destination);
    let answer = match outcome {
        TruthOutcome::Silence { at, .. } => {
            return writeln!(f, "{:<width$}  {:>8}     {at} is silent", "*", "");
        }
        TruthOutcome::Answer(answer) => answer,
    };
    let name = name_of(answer);
    let millis = answer.rtt.as_secs_f64() * 1e3;
    write!(
        f,
        "{:<width$}  {millis:>8.3} ms  {name}",
        answer.responder.to_string()
    )?;
    if let Some(ttl) = answer
        .quoted_ttl
        .filter(|ttl| *ttl != 1 && !answer.is_target)
    {
        write!(f, ", quoted TTL {ttl}")?;
    }
    if let Some(quoted) = answer.quoted_destination.filter(|d| *d != destination) {
        write!(f, ", quoted destination {quoted}")?;
    }
    for (depth, label) in answer.mpls.iter().enumerate() {
        write!(
            f,
            "{} {}",
            if depth == 0 { ", MPLS" } else { " /" },
            label.label
        )?;
    }
    writeln!(f)
}
