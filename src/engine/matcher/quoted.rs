//! Finds the probe that an ICMP error quotes.
//!
//! If an open fact was changed on the way and the tag is not quoted whole, only 32 secret bits identify the probe. Such a match
//! needs all of these:
//!
//! - No live probe has the quoted open facts.
//! - The part of the tag that is quoted is the same.
//! - Exactly one live probe fits.

use crate::model::{DiscardReason, Evidence, ProbeId, QuotedProbe, Reply};

use super::{Finding, Match, copies};
use crate::engine::format::ProbeFormat;
use crate::engine::ledger::{Entry, Ledger, State};
use crate::engine::nat::NatLearner;
use crate::wire::payload;
use crate::wire::protocol::Quote;
use crate::wire::token::TokenMaker;

/// The live probes of a run, and what decides whether a quote is one of them.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub ledger: &'a Ledger,
    pub format: &'a ProbeFormat,
    pub tokens: &'a TokenMaker,
    pub nat: &'a NatLearner,
}

/// Finds the probe that `reply` quotes. `quoted` is its quoted packet.
pub(super) fn find(run: &Run, reply: &Reply, quoted: &QuotedProbe) -> Finding {
    match run.format.read(quoted) {
        Ok(quote) => find_quote(run, reply, &quote),
        Err(reason) => Finding::refused(reason),
    }
}

fn find_quote(run: &Run, reply: &Reply, quote: &Quote) -> Finding {
    let by_facts = by_open_facts(run, quote);
    if let Some(found) = by_facts
        .best
        .filter(|found| found.evidence > Evidence::Weak)
    {
        return Finding::found(found.probe, found.evidence);
    }
    if let Some(probe) = by_secrets(run, quote, by_facts.candidates > 0) {
        return Finding::found(probe, Evidence::Rewritten);
    }
    let ours = run.format.quoted_flow(quote, run.tokens).is_some();
    let result = match by_facts.best {
        Some(weak) => Ok(weak),
        None if by_facts.candidates > 0 && has_no_secret(run.format, quote) => {
            alone(run, reply, quote).ok_or(match quote.shown.tag {
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

struct Candidates {
    best: Option<Match>,
    candidates: u32,
}

/// Returns the strongest match among the live probes with the quoted open facts, and the number of these probes. The search
/// stops at the first full match.
fn by_open_facts(run: &Run, quote: &Quote) -> Candidates {
    let mut outcome = Candidates {
        best: None,
        candidates: 0,
    };
    let Some(facts) = run.format.open_facts(quote, run.tokens) else {
        return outcome;
    };
    let live = run.ledger;
    for (probe, entry) in live.with_facts(facts.destination, facts.flow, facts.ttl) {
        outcome.candidates += 1;
        let Some(evidence) = evidence_of(entry, run, quote) else {
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

/// Returns the evidence that `quote` quotes `entry`. The open facts of both are the same. Returns `None` if no secret is as
/// sent, or if another field speaks against it.
fn evidence_of(entry: &Entry, run: &Run, quote: &Quote) -> Option<Evidence> {
    let (format, sent) = (run.format, entry.marked()?);
    let protocol = format.protocol;
    if !protocol.agrees(format, quote, &sent) {
        return None;
    }
    if quote.shown.tag == Some(sent.marks.tag) {
        return Some(Evidence::Full);
    }
    let serial = format.serial_is_as_sent(&sent, quote.packet);
    let check = protocol.check_is_as_sent(&sent, quote);
    match (serial, check) {
        (true, true) => Some(Evidence::Full),
        (false, true) if protocol.check_holds_serial() => Some(Evidence::Full),
        (true, false) => {
            let source = quote.packet.source;
            let source_changed = source.is_some_and(|source| source != sent.source)
                && protocol.check_is_adjusted(format, &sent, quote);
            let checksum = quote.shown.checksum;
            let learned = format.check_covers_addresses(sent.destination)
                && checksum.is_some_and(|checksum| run.nat.explains(sent.marks.check, checksum));
            if source_changed || learned {
                Some(Evidence::Rewritten)
            } else {
                Some(Evidence::Weak)
            }
        }
        (false, true) if format.check_is_flow() => None,
        (false, true) => Some(Evidence::Weak),
        (false, false) => None,
    }
}

/// Returns the live probe whose secrets came back although an open fact was changed on the way. Returns `None` if several fit.
fn by_secrets(run: &Run, quote: &Quote, facts_are_live: bool) -> Option<ProbeId> {
    let format = run.format;
    let (protocol, shown) = (format.protocol, &quote.shown);
    let mut found = None;
    for serial in quote.serials() {
        for (probe, entry) in run.ledger.with_serial(serial) {
            let fits = entry.marked().is_some_and(|sent| match shown.tag {
                Some(tag) if tag == sent.marks.tag => true,
                // Another tag. Zeros at its end may be padding.
                Some(tag) if !payload::may_be_cut(tag, shown.serial, sent.marks.tag) => false,
                _ => {
                    !facts_are_live
                        && shown.ttl.is_none_or(|ttl| ttl == sent.ttl)
                        && protocol.agrees(format, quote, &sent)
                        && (format.serial_is_as_sent(&sent, quote.packet)
                            || protocol.check_holds_serial())
                        && format.one_side_changed(&sent, quote)
                        && protocol.check_is_adjusted(format, &sent, quote)
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

/// Whether a quote holds no whole secret. An ordinary UDP socket returns such a quote if the quoted packet was short.
fn has_no_secret(format: &ProbeFormat, quote: &Quote) -> bool {
    format.is_one_by_one() && quote.shown.serial.unwrap_or(0) == 0
}

/// Finds the probe for a short quote among those with the same destination and flow, and the same TTL if it is quoted.
///
/// | case | match |
/// |---|---|
/// | several probes are pending | `None` |
/// | a copy of an earlier answer | the probe that had the answer |
/// | one probe is pending | that probe |
/// | no probe is pending, one timed out | that probe |
/// | no probe is pending, several timed out | `None` |
///
/// The evidence is weak: a late reply to one probe is matched to another probe that is pending.
fn alone(run: &Run, reply: &Reply, quote: &Quote) -> Option<Match> {
    let format = run.format;
    let facts = format.open_facts(quote, run.tokens)?;
    let fitting = || {
        run.ledger
            .with_facts(facts.destination, facts.flow, facts.ttl)
            .filter(|(_, entry)| {
                let sent = entry.marked();
                sent.is_some_and(|sent| format.protocol.agrees(format, quote, &sent))
            })
            .filter(|(_, entry)| {
                let (shown, sent) = (&quote.shown, entry.marks.tag);
                let cut = |tag| payload::may_be_cut(tag, shown.serial, sent);
                shown.tag.is_none_or(cut)
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
