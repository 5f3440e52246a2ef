//! Follows every probe from sending to its result, with the ledger and the matcher.
//!
//! Input: probes, replies and time. Output: finished rows and outcomes. It guarantees:
//!
//! - Every probe produces exactly one row with `reply_index` 0. A withdrawn probe produces it when it is entered again.
//! - Every reply produces a row or a counted discard.
//! - A probe's own row comes before the rows of its further replies.
//!
//! The assembler alone knows which traces are still open. It therefore decides whether a late or stronger reply, or a late
//! send error, takes the place of the probe's own row. Everything else in a row is decided here.
//!
//! | file | contents |
//! |---|---|
//! | `sending` | probes that are about to be sent, sent, refused, skipped or inferred |
//! | `settling` | how a reply or a timeout ends a probe |
//! | `further` | replies beyond a probe's first |
//! | `local` | errors from this host's kernel |
//! | `row` | the columns that describe the probe |
//! | `settled` | the timeouts, and the output of the tracker |

mod further;
mod local;
mod row;
mod sending;
mod settled;
mod settling;

use std::time::Duration;

use crate::model::{DiscardReason, Evidence, ProbeId, Reply, Statistics, Time};
use crate::wire::checksum;
use crate::wire::token::TokenMaker;

use super::format::ProbeFormat;
use super::ledger::{Entry, Ledger, State};
use super::matcher;
use super::nat::NatLearner;
pub use settled::{Settled, Timeouts};
use settling::{Live, Settler};

/// Follows every probe from sending to its result.
#[derive(Debug)]
pub struct Tracker {
    tokens: TokenMaker,
    ledger: Ledger,
    nat: NatLearner,
    /// Number of serials drawn.
    drawn: u64,
    /// Number of the oldest probe that may still be pending.
    unsettled: u64,
    settler: Settler,
}

impl Tracker {
    /// Creates a tracker with room for about `expected` live probes. The first probe gets the number `first`. A resumed run goes on
    /// above the numbers that earlier sessions may have used.
    pub fn new(
        format: ProbeFormat,
        timeouts: Timeouts,
        tokens: TokenMaker,
        expected: usize,
        first: ProbeId,
    ) -> Self {
        Tracker {
            tokens,
            ledger: Ledger::new(expected, format.shows_ttl(), first),
            nat: NatLearner::default(),
            drawn: 0,
            unsettled: first.0,
            settler: Settler::new(format, timeouts),
        }
    }

    /// The format of the probe packets.
    pub fn format(&self) -> &ProbeFormat {
        &self.settler.format
    }

    /// Counts a packet that could not be read as a reply.
    pub fn discard(&mut self, reason: DiscardReason) {
        self.settler.counts.packets_received += 1;
        self.settler.counts.discard(reason);
    }

    /// Takes a reply. `is_ours` says that the responder is an address of this host. Returns the reason if the reply was
    /// discarded.
    pub fn reply(
        &mut self,
        reply: Box<Reply>,
        is_ours: bool,
        out: &mut Settled,
    ) -> Option<DiscardReason> {
        self.settler.counts.packets_received += 1;
        let discarded = self.attribute(reply, is_ours, out).err();
        if let Some(reason) = discarded {
            self.settler.counts.discard(reason);
        }
        discarded
    }

    /// Finds the probe that a reply answers, and settles the probe with the reply.
    fn attribute(
        &mut self,
        reply: Box<Reply>,
        is_ours: bool,
        out: &mut Settled,
    ) -> Result<(), DiscardReason> {
        let Tracker {
            ledger,
            nat,
            settler,
            tokens,
            ..
        } = self;
        let finding = matcher::find(ledger, &settler.format, tokens, nat, &reply);
        settler.counts.weak_candidates += u64::from(finding.weak_candidates);
        let found = finding.result?;
        let id = found.probe;
        let entry = ledger.get_mut(id).ok_or(DiscardReason::Unknown)?;
        if found.evidence != Evidence::Rewritten {
            learn_translation(entry, &reply, &settler.format, nat);
        }
        settler.reply(Live { id, entry }, found, reply, is_ours, out)
    }

    /// Advances the time to `now`: unanswered probes time out, and old probes are removed from the ledger. Every packet that
    /// was received before `now` must have been given to [`reply`](Tracker::reply) before.
    ///
    /// Stops after `limit` rows, so that the caller can do other work. Returns `false` if work that is due remains.
    pub fn advance(&mut self, now: Time, limit: usize, out: &mut Settled) -> bool {
        let most_rows = out.events.len().saturating_add(limit);
        let timeout = self.settler.timeouts.timeout;
        loop {
            let id = ProbeId(self.unsettled);
            let Some(entry) = self.ledger.get_mut(id) else {
                break;
            };
            if out.events.len() >= most_rows {
                return false;
            }
            match entry.state {
                State::Unstamped => break,
                State::Waiting if entry.sent_at + timeout >= now => break,
                State::Waiting => self.settler.silent(Live { id, entry }, out),
                State::Answered | State::TimedOut | State::Refused => {}
            }
            self.unsettled += 1;
        }
        let lifetime = self.settler.timeouts.lifetime();
        while let Some((id, entry)) = self.ledger.front() {
            if id.0 >= self.unsettled || entry.sent_at + lifetime >= now {
                break;
            }
            self.ledger.retire();
        }
        true
    }

    /// Returns when [`advance`](Tracker::advance) should run next. Returns `None` if it has passed every probe.
    pub fn next_timeout(&self) -> Option<Time> {
        let entry = self.ledger.get(ProbeId(self.unsettled))?;
        match entry.state {
            State::Unstamped => None,
            State::Waiting => {
                Some(entry.sent_at + self.settler.timeouts.timeout + Duration::from_nanos(1))
            }
            // It has ended. Those behind it may be due.
            State::Answered | State::TimedOut | State::Refused => Some(entry.sent_at),
        }
    }

    /// Ends the tracking of all pending probes. A probe with a held weak reply is answered by it. The others get no row: nobody
    /// knows whether a reply would have come. Returns their number.
    pub fn abandon(&mut self, out: &mut Settled) -> u64 {
        let mut abandoned = 0;
        loop {
            let id = ProbeId(self.unsettled);
            let Some(entry) = self.ledger.get_mut(id) else {
                return abandoned;
            };
            self.unsettled += 1;
            match entry.state {
                State::Waiting if entry.held.is_some() => {
                    self.settler.silent(Live { id, entry }, out);
                }
                State::Unstamped | State::Waiting => {
                    abandoned += 1;
                    entry.state = State::Refused;
                    self.settler.forget_all(&mut Live { id, entry });
                }
                State::Answered | State::TimedOut | State::Refused => {}
            }
        }
    }

    /// Whether every probe has ended and [`advance`](Tracker::advance) has passed it.
    pub fn is_settled(&self) -> bool {
        self.ledger.get(ProbeId(self.unsettled)).is_none()
    }

    /// Packets received and discarded so far. Rows are counted where they are written.
    pub fn counts(&self) -> &Statistics {
        &self.settler.counts
    }

    /// The difference that a 1:1 NAT in front of this host adds to quoted checksums, if it was learned.
    pub fn nat_checksum_delta(&self) -> Option<u16> {
        self.nat.delta()
    }
}

/// Gives the NAT learner a reply whose serial is as sent but whose checksum is not. The open facts must be as sent. The quote may
/// be too short for the tag.
fn learn_translation(entry: &Entry, reply: &Reply, format: &ProbeFormat, nat: &mut NatLearner) {
    if let Some(quoted) = &reply.quoted
        && let Some(sent) = entry.marked()
        && format.check_covers_addresses(sent.destination)
        && format.serial_is_as_sent(&sent, quoted)
        && let Some(quoted_checksum) = quoted.checksum()
        && !checksum::same(sent.marks.check, quoted_checksum)
    {
        nat.observe(sent.marks.check, quoted_checksum, reply.responder);
    }
}

#[cfg(test)]
mod tests;
