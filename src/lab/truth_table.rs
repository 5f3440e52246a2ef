//! The true path as a table for people.

use std::fmt;
use std::net::Ipv4Addr;

use super::packet::{ICMP, UDP};
use super::truth::{Truth, TruthEnd, TruthFlow, TruthOutcome};
use crate::model::ReplyKind;

impl fmt::Display for Truth {
    /// A table: a line a TTL and candidate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TruthFlow {
            destination,
            source_port,
            destination_port,
            protocol,
        } = self.flow;
        let protocol = match protocol {
            UDP => "udp".to_owned(),
            ICMP => "icmp".to_owned(),
            other => format!("protocol {other}"),
        };
        writeln!(
            f,
            "true path from {} to {destination}, {protocol} {source_port} to {destination_port}",
            self.vantage
        )?;
        writeln!(f, "ttl  responder              rtt  answer")?;
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

fn write_outcome(
    f: &mut fmt::Formatter<'_>,
    outcome: &TruthOutcome,
    destination: Ipv4Addr,
) -> fmt::Result {
    let answer = match outcome {
        TruthOutcome::Silence { at, .. } => {
            return writeln!(f, "{:<15}  {:>8}     {at} is silent", "*", "");
        }
        TruthOutcome::Answer(answer) => answer,
    };
    let name = answer.kind().map_or("echo_reply", ReplyKind::as_str);
    let millis = answer.rtt.as_secs_f64() * 1e3;
    write!(
        f,
        "{:<15}  {millis:>8.3} ms  {name}",
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
