//! Ledger and matcher together: probes, replies and time go in; finished rows and outcomes come out.
//!
//! Every probe leaves here as exactly one row with `reply_index` 0, and every reply as a row or as a counted
//! discard. A probe's own row leaves before those of its further replies. What a row says is settled here. Only one thing is left
//! to the assembler, which knows which traces are still open: whether a late reply takes the place of its `timeout` row.
//!
//! | file | what it does |
//! |---|---|
//! | `sending` | probes that are about to be sent, sent, refused or skipped |
//! | `settling` | a reply or a timeout, and how the probe ends with it |
//! | `further` | replies beyond a probe's first |
//! | `local` | our own kernel's errors |
//! | `row` | what a row says of its probe |

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

/// Follows every probe from sending to its end.
#[derive(Debug)]
pub struct Tracker {
    tokens: TokenMaker,
    ledger: Ledger,
    nat: NatLearner,
    /// How many serials were drawn.
    drawn: u64,
    /// The oldest probe whose timeout has not been looked at.
    unsettled: u64,
    settler: Settler,
}

impl Tracker {
    /// Prepares to follow about `expected` live probes.
    pub fn new(
        format: ProbeFormat,
        timeouts: Timeouts,
        tokens: TokenMaker,
        expected: usize,
    ) -> Self {
        Tracker {
            tokens,
            ledger: Ledger::new(expected, format.shows_ttl()),
            nat: NatLearner::default(),
            drawn: 0,
            unsettled: 0,
            settler: Settler::new(format, timeouts),
        }
    }

    /// How probes look on the wire.
    pub fn format(&self) -> &ProbeFormat {
        &self.settler.format
    }

    /// Takes a packet that could not be read as a reply.
    pub fn discard(&mut self, reason: DiscardReason) {
        self.settler.counts.packets_received += 1;
        self.settler.counts.discard(reason);
    }

    /// Takes a reply. `is_ours`: the responder is an address of this host. Returns why the reply was discarded, if it was.
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

    /// Gives a reply to the probe that it answers. The probe is looked up once.
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
            ..
        } = self;
        let finding = matcher::find(ledger, &settler.format, nat, &reply);
        settler.counts.weak_candidates += u64::from(finding.weak_candidates);
        let found = finding.result?;
        let id = found.probe;
        let entry = ledger.get_mut(id).ok_or(DiscardReason::Unknown)?;
        if found.evidence != Evidence::Rewritten {
            learn_translation(entry, &reply, &settler.format, nat);
        }
        settler.reply(Live { id, entry }, found, reply, is_ours, out)
    }

    /// Lets time pass: unanswered probes time out, old ones are forgotten. Every packet received before `now` must have been
    /// given to [`reply`](Tracker::reply).
    ///
    /// Stops after `limit` rows, so that others get a turn. Returns whether all that was due is done.
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

    /// When [`advance`](Tracker::advance) next has something to do; `None` while every probe has ended.
    pub fn next_timeout(&self) -> Option<Time> {
        let entry = self.ledger.get(ProbeId(self.unsettled))?;
        Some(entry.sent_at + self.settler.timeouts.timeout + Duration::from_nanos(1))
    }

    /// Whether every probe has ended.
    pub fn is_settled(&self) -> bool {
        self.ledger.get(ProbeId(self.unsettled)).is_none()
    }

    /// Packets received and discarded so far. Rows are counted where they are written.
    pub fn counts(&self) -> &Statistics {
        &self.settler.counts
    }

    /// What a 1:1 NAT before us adds to quoted checksums, if that was learned.
    pub fn nat_checksum_delta(&self) -> Option<u16> {
        self.nat.delta()
    }
}

/// Shows the learner a reply whose open facts are right. A quote with the tag teaches as well as one that is too short to
/// hold it.
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
