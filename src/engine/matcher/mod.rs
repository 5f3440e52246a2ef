//! Finds the live probe that a reply answers, and grades the evidence.
//!
//! Evidence from a quoted packet (`quoted`):
//!
//! | evidence | open facts | serial | check | tag |
//! |---|---|---|---|---|
//! | full | as sent | any | any | as sent |
//! | full | as sent | as sent | as sent | not quoted, or another |
//! | full | as sent | any | as sent, and proves the serial | not quoted, or another |
//! | rewritten | as sent | as sent | as a translated source address leaves it | not quoted, or another |
//! | rewritten | some changed | as sent | any | as sent |
//! | rewritten | one side (source or destination) changed | as sent, or proved by the check | adjusted for the change | not quoted, or cut short |
//! | weak | as sent | as sent | not as sent | not quoted, or another |
//! | weak | as sent | not as sent | as sent, and no open fact | not quoted, or another |
//! | weak | as sent | not quoted | not quoted | not quoted, or cut short |
//!
//! The last row is an error from an ordinary UDP socket. It is matched only if one probe of the flow fits.
//!
//! Evidence from an answer that quotes nothing (`echoed`):
//!
//! | evidence | what the answer repeats | open facts |
//! |---|---|---|
//! | full | the tag, or a whole keyed sequence number | as sent |
//! | rewritten | the tag, or a whole keyed sequence number | the address, or (echo replies) another fact, differs |
//! | weak | nothing (UDP datagrams) | as sent |
//!
//! Any other reply is discarded with its reason.
//!
//! A reply without a secret may also be a copy of an earlier answer (`copies`).

mod copies;
mod echoed;
mod quoted;

use crate::model::{DiscardReason, Evidence, ProbeId, Reply};

use super::format::ProbeFormat;
use super::ledger::Ledger;
use super::nat::NatLearner;
use crate::wire::token::TokenMaker;

/// What the matcher concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The answered probe. If `hop_known` is false, one of the probes that the reply may answer.
    pub probe: ProbeId,
    /// How strong the evidence is.
    pub evidence: Evidence,
    /// Whether the answered probe of the flow is known. If not, the reply is credited to the trace.
    pub hop_known: bool,
}

/// The result of the matcher, with the number of probes that could have been a weak match by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The match, or the reason for the discard.
    pub result: Result<Match, DiscardReason>,
    /// Live probes with the quoted open facts. The number is 0 if strong evidence decided.
    /// Each had a chance of 2^-15 (two secrets of 16 bits) of a weak match by accident.
    pub weak_candidates: u32,
}

impl Finding {
    fn found(probe: ProbeId, evidence: Evidence) -> Self {
        Finding {
            result: Ok(Match {
                probe,
                evidence,
                hop_known: true,
            }),
            weak_candidates: 0,
        }
    }

    fn refused(reason: DiscardReason) -> Self {
        Finding {
            result: Err(reason),
            weak_candidates: 0,
        }
    }
}

/// Finds the probe that `reply` answers.
pub fn find(
    ledger: &Ledger,
    format: &ProbeFormat,
    tokens: &TokenMaker,
    nat: &NatLearner,
    reply: &Reply,
) -> Finding {
    match (&reply.quoted, &reply.echoed) {
        (Some(quoted), _) => {
            let run = quoted::Run {
                ledger,
                format,
                tokens,
                nat,
            };
            quoted::find(&run, reply, quoted)
        }
        (None, Some(echoed)) => echoed::find(ledger, format, reply, echoed),
        (None, None) => Finding::refused(DiscardReason::OtherType),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod without_headers_tests;
