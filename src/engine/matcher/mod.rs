//! Which live probe a reply answers, and how sure that is.
//!
//! Of a quoted probe (`quoted`):
//!
//! | evidence | what came back |
//! |---|---|
//! | full | every open fact right, with the tag, or with both secrets as sent |
//! | rewritten | every open fact right, the serial as sent, and the check as an address change before us leaves it; or an open fact changed, and the serial with the tag; or the facts of one side (source or destination) changed, the serial as sent, and the check adjusted for it |
//! | weak | every open fact right and one secret as sent; or, of an error that came through an ordinary socket and holds no secret, the one probe of the flow that it can be about |
//!
//! Of what a target repeats without quoting (`echoed`): the tag, or a whole keyed sequence number, is full; a UDP datagram
//! that repeats nothing is weak. Anything else is discarded with its reason.
//!
//! What names no probe may also be a copy of an answer that has been (`copies`).

mod copies;
mod echoed;
mod quoted;

use crate::model::{DiscardReason, Evidence, ProbeId, Reply};

use super::format::ProbeFormat;
use super::ledger::Ledger;
use super::nat::NatLearner;

/// What the matcher concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The probe answered; one of those that may be, where the hop is not known.
    pub probe: ProbeId,
    /// How sure.
    pub evidence: Evidence,
    /// Whether it is known which of the flow's probes is answered; else the reply is credited to the trace.
    pub hop_known: bool,
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
pub fn find(ledger: &Ledger, format: &ProbeFormat, nat: &NatLearner, reply: &Reply) -> Finding {
    match (&reply.quoted, &reply.echoed) {
        (Some(quoted), _) => quoted::find(ledger, format, nat, reply, quoted),
        (None, Some(echoed)) => echoed::find(ledger, format, reply, echoed),
        (None, None) => Finding::refused(DiscardReason::OtherType),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod without_headers_tests;
