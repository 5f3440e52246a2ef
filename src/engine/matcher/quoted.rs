//! Finds the probe that an ICMP error quotes.
//!
//! A changed destination has only 32 secret bits to be found by, so it is believed
//! only where nothing speaks against it: the quoted destination is not itself being probed the same way, the tag (where quoted)
//! is not another one, and exactly one live probe fits.

use crate::model::{DiscardReason, Evidence, ProbeId, QuotedProbe, Reply};

use super::{Finding, Match, copies};
use crate::engine::format::ProbeFormat;
use crate::engine::ledger::{Entry, Ledger, State};
use crate::engine::nat::NatLearner;
use crate::wire::payload;

/// Finds the probe that `quoted`, in `reply`, quotes.
pub(super) fn find(
    ledger: &Ledger,
    format: &ProbeFormat,
    nat: &NatLearner,
    reply: &Reply,
    quoted: &QuotedProbe,
) -> Finding {
    if !format.quotes_protocol(quoted) {
        return Finding::refused(DiscardReason::Foreign);
    }
    if !format.is_whole(quoted) {
        return Finding::refused(DiscardReason::Truncated);
    }
    let by_facts = by_open_facts(ledger, format, nat, quoted);
    if let Some(found) = by_facts
        .best
        .filter(|found| found.evidence > Evidence::Weak)
    {
        return Finding::found(found.probe, found.evidence);
    }
    if let Some(probe) = by_secrets(ledger, format, quoted, by_facts.candidates > 0) {
        return Finding::found(probe, Evidence::Rewritten);
    }
    let ours = format
        .flow_number(quoted)
        .and_then(|number| format.flow_of(number))
        .is_some();
    let result = match by_facts.best {
        Some(weak) => Ok(weak),
        None if by_facts.candidates > 0 && has_no_secret(format, quoted) => {
            alone(ledger, format, reply, quoted).ok_or(match quoted.tag {
                None => DiscardReason::Ambiguous,
                Some(_) => DiscardReason::Forged,
            })
        }
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
        let Some(evidence) = evidence_of(entry, format, nat, quoted) else {
            continue;
        };
        if outcome.best.is_none_or(|best| evidence > best.evidence) {
            outcome.best = Some(Match {
                probe,
                evidence,
                hop_known: true,
            });
        }
        if evidence == Evidence::Full {
            break;
        }
    }
    outcome
}

/// How sure it is that `quoted`, whose open facts are those of `entry`, quotes it.
fn evidence_of(
    entry: &Entry,
    format: &ProbeFormat,
    nat: &NatLearner,
    quoted: &QuotedProbe,
) -> Option<Evidence> {
    let sent = entry.marked()?;
    if !format.agrees(quoted, sent.ttl, &sent.marks) {
        return None;
    }
    if quoted.tag == Some(sent.marks.tag) {
        return Some(Evidence::Full);
    }
    let serial = format.serial_is_as_sent(&sent, quoted);
    let check = format.check_is_as_sent(&sent, quoted);
    match (serial, check) {
        (true, true) => Some(Evidence::Full),
        (false, true) if format.check_holds_serial() => Some(Evidence::Full),
        (true, false) => {
            let source_changed = quoted.source.is_some_and(|source| source != sent.source)
                && format.check_is_adjusted(&sent, quoted);
            let learned = format.check_covers_addresses(sent.destination)
                && quoted
                    .checksum
                    .is_some_and(|checksum| nat.explains(sent.marks.check, checksum));
            if source_changed || learned {
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
    let mut found = None;
    for serial in format.serials_of(quoted) {
        for (probe, entry) in ledger.with_serial(serial) {
            let fits = entry.marked().is_some_and(|sent| match quoted.tag {
                Some(tag) if tag == sent.marks.tag => true,
                // Zeros are padding, not a tag.
                Some(tag) if !payload::may_be_cut(tag, quoted.serial, sent.marks.tag) => false,
                _ => {
                    !facts_are_live
                        && format.ttl_of(quoted).is_none_or(|ttl| ttl == sent.ttl)
                        && format.agrees(quoted, sent.ttl, &sent.marks)
                        && (format.serial_is_as_sent(&sent, quoted) || format.check_holds_serial())
                        && format.one_side_changed(&sent, quoted)
                        && format.check_is_adjusted(&sent, quoted)
                }
            });
            if fits {
                if found.is_some_and(|found| found != probe) {
                    return None;
                }
                found = Some(probe);
            }
        }
    }
    found
}

/// Whether a quote holds none of the secrets whole, as an ordinary UDP socket gives a short one.
fn has_no_secret(format: &ProbeFormat, quoted: &QuotedProbe) -> bool {
    format.is_one_by_one() && quoted.serial.unwrap_or(0) == 0
}

/// The one probe with a quote's open facts that waits for its answer, or where none waits any more, the one whose time is up; but
/// the one that had this answer before, if the quote may be a copy's. One that is late while another waits is taken for that
/// one: hence weak.
fn alone(
    ledger: &Ledger,
    format: &ProbeFormat,
    reply: &Reply,
    quoted: &QuotedProbe,
) -> Option<Match> {
    let facts = format.open_facts(quoted)?;
    let fitting = || {
        ledger
            .with_facts(facts.destination, facts.flow, facts.ttl)
            .filter(|(_, entry)| format.agrees(quoted, entry.probe.ttl, &entry.marks))
            .filter(|(_, entry)| {
                let sent = entry.marks.tag;
                quoted
                    .tag
                    .is_none_or(|tag| payload::may_be_cut(tag, quoted.serial, sent))
            })
    };
    let only = |among: fn(State) -> bool| {
        let mut live = fitting().filter(|(_, entry)| among(entry.state));
        match (live.next(), live.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => Ok(Some(one)),
            (Some(_), Some(_)) => Err(()),
        }
    };
    let waiting = only(|state| matches!(state, State::Unstamped | State::Waiting)).ok()?;
    let entry = waiting.map(|(_, entry)| entry);
    let probe = match copies::answered_before(format, reply, entry, fitting()) {
        Some(copied) => copied,
        None => match waiting {
            Some((probe, _)) => probe,
            None => only(|state| state == State::TimedOut).ok()??.0,
        },
    };
    Some(Match {
        probe,
        evidence: Evidence::Weak,
        hop_known: true,
    })
}
