//! Which live probe a quote answers, and how sure that is.
//!
//! | evidence | what came back |
//! |---|---|
//! | full | every open fact right, with the tag, or with IP ID and checksum as sent |
//! | rewritten | every open fact right, IP ID as sent, and the checksum as an address change before us leaves it; or an open fact changed, IP ID as sent, and the tag; or the facts of one side (source or destination) changed, IP ID as sent, and the checksum adjusted for it |
//! | weak | every open fact right and one of IP ID and checksum as sent |
//!
//! Anything else is discarded with its reason, also a packet whose destination and IP ID were both changed: nothing is left to look
//! it up by. A changed destination has only 32 secret bits to be found by, so it is believed
//! only where nothing speaks against it: the quoted destination is not itself being probed the same way, the tag (where quoted)
//! is not another one, and exactly one live probe fits.

use std::net::IpAddr;

use crate::model::{DiscardReason, Evidence, ProbeId, QuotedProbe};
use crate::wire::checksum::{self, Sum};

use super::format::ProbeFormat;
use super::ledger::{Entry, Ledger};
use super::nat::NatLearner;

/// What the matcher concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The probe answered.
    pub probe: ProbeId,
    /// How sure.
    pub evidence: Evidence,
}

/// A match, or why there is none; and how many live probes had a chance of a weak match by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The conclusion.
    pub result: Result<Match, DiscardReason>,
    /// Live probes that had the quote's open facts while no strong evidence decided: each had a chance of 2^-15
    /// (two secrets of 16 bits) of being taken for the answered one.
    pub weak_candidates: u32,
}

/// Finds the probe that `quoted` quotes.
pub fn find(
    ledger: &Ledger,
    format: &ProbeFormat,
    nat: &NatLearner,
    quoted: &QuotedProbe,
) -> Finding {
    let refused = |reason| Finding {
        result: Err(reason),
        weak_candidates: 0,
    };
    if !format.quotes_protocol(quoted) {
        return refused(DiscardReason::Foreign);
    }
    if quoted.udp_length.is_none() || quoted.checksum.is_none() {
        return refused(DiscardReason::Truncated);
    }
    let by_facts = by_open_facts(ledger, format, nat, quoted);
    if let Some(found) = by_facts
        .best
        .filter(|found| found.evidence > Evidence::Weak)
    {
        return Finding {
            result: Ok(found),
            weak_candidates: 0,
        };
    }
    if let Some(probe) = by_secrets(ledger, format, quoted, by_facts.candidates > 0) {
        let found = Match {
            probe,
            evidence: Evidence::Rewritten,
        };
        return Finding {
            result: Ok(found),
            weak_candidates: 0,
        };
    }
    let ours = quoted
        .src_port
        .and_then(|port| format.flow_of(port))
        .is_some();
    let result = match by_facts.best {
        Some(weak) => Ok(weak),
        None if by_facts.candidates > 0 => Err(DiscardReason::Forged),
        None if ours => Err(DiscardReason::Unknown),
        None => Err(DiscardReason::Foreign),
    };
    Finding {
        result,
        weak_candidates: by_facts.candidates,
    }
}

struct ByFacts {
    best: Option<Match>,
    candidates: u32,
}

/// The strongest match among the live probes with every open fact right.
fn by_open_facts(
    ledger: &Ledger,
    format: &ProbeFormat,
    nat: &NatLearner,
    quoted: &QuotedProbe,
) -> ByFacts {
    let mut outcome = ByFacts {
        best: None,
        candidates: 0,
    };
    let Some(facts) = format.open_facts(quoted) else {
        return outcome;
    };
    for (probe, entry) in ledger.with_facts(facts.destination, facts.flow, facts.ttl) {
        outcome.candidates += 1;
        let Some(evidence) = evidence_of(entry, nat, quoted) else {
            continue;
        };
        if outcome.best.is_none_or(|best| evidence > best.evidence) {
            outcome.best = Some(Match { probe, evidence });
        }
        if evidence == Evidence::Full {
            break;
        }
    }
    outcome
}

/// How sure it is that `quoted`, whose open facts are those of `entry`, quotes it.
fn evidence_of(entry: &Entry, nat: &NatLearner, quoted: &QuotedProbe) -> Option<Evidence> {
    if quoted.tag == Some(entry.marks.tag) {
        return Some(Evidence::Full);
    }
    let checksum = quoted.checksum?;
    let serial = quoted.ip_id == Some(entry.ip_id);
    let check = checksum::same(checksum, entry.marks.check);
    match (serial, check) {
        (true, true) => Some(Evidence::Full),
        (true, false) => {
            let source_changed = entry.source.is_some_and(|source| {
                source != quoted.source
                    && checksum::same(checksum, adjusted_for_addresses(entry, quoted))
            });
            if source_changed || nat.explains(entry.marks.check, checksum) {
                Some(Evidence::Rewritten)
            } else {
                Some(Evidence::Weak)
            }
        }
        (false, true) => Some(Evidence::Weak),
        (false, false) => None,
    }
}

/// The one live probe whose secrets came back although an open fact was changed on the way.
fn by_secrets(
    ledger: &Ledger,
    format: &ProbeFormat,
    quoted: &QuotedProbe,
    facts_are_live: bool,
) -> Option<ProbeId> {
    let (ip_id, checksum) = (quoted.ip_id?, quoted.checksum?);
    let mut fitting = ledger
        .with_ip_id(ip_id)
        .filter(|(_, entry)| match quoted.tag {
            Some(tag) if tag == entry.marks.tag => true,
            // Zeros are padding, not a tag.
            Some(tag) if tag != 0 => false,
            _ => {
                !facts_are_live
                    && format.ttl_of(quoted) == Some(entry.probe.ttl)
                    && one_side_changed(entry, format, quoted)
                    && checksum::same(checksum, adjusted_for_all(entry, format, quoted))
            }
        });
    let (found, _) = fitting.next()?;
    fitting.next().is_none().then_some(found)
}

/// Whether the facts of one side only, source or destination, differ from what was sent: what address translators do.
fn one_side_changed(entry: &Entry, format: &ProbeFormat, quoted: &QuotedProbe) -> bool {
    let probe = &entry.probe;
    let source_right =
        entry.source == Some(quoted.source) && quoted.src_port == Some(format.src_port(probe.flow));
    let destination_right = probe.destination == quoted.destination
        && quoted.dst_port == Some(format.dst_port(probe.ttl));
    source_right != destination_right
}

/// The checksum that address changes leave (RFC 1624).
fn adjusted_for_addresses(entry: &Entry, quoted: &QuotedProbe) -> u16 {
    let (old, new) = address_sums(entry, quoted);
    checksum::adjusted(entry.marks.check, old, new)
}

/// The checksum that address and port changes leave (RFC 1624).
fn adjusted_for_all(entry: &Entry, format: &ProbeFormat, quoted: &QuotedProbe) -> u16 {
    let (old, new) = address_sums(entry, quoted);
    let old = old
        .word(format.src_port(entry.probe.flow))
        .word(format.dst_port(entry.probe.ttl));
    let new = new
        .word(quoted.src_port.unwrap_or_default())
        .word(quoted.dst_port.unwrap_or_default());
    checksum::adjusted(entry.marks.check, old, new)
}

/// The sums of both addresses, as sent and as quoted.
fn address_sums(entry: &Entry, quoted: &QuotedProbe) -> (Sum, Sum) {
    let source = entry.source.unwrap_or(quoted.source);
    (
        sum_of(source, entry.probe.destination),
        sum_of(quoted.source, quoted.destination),
    )
}

fn sum_of(source: IpAddr, destination: IpAddr) -> Sum {
    [source, destination]
        .into_iter()
        .fold(Sum::default(), |sum, address| match address {
            IpAddr::V4(address) => sum.address(address),
            IpAddr::V6(address) => sum.bytes(&address.octets()),
        })
}

#[cfg(test)]
mod tests;
