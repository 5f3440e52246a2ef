//! Finds the path that the rows of a trace show: the responder of each TTL, and the row that stands for the TTL.
//!
//! The path begins at the first TTL that was probed hop by hop. It ends at its length. If the length is not known, it ends at the
//! last TTL up to [`TraceEnd::last_ttl`] that has a responder. Each TTL in between has an entry:
//!
//! | rows of the TTL | entry | row that stands for it |
//! |---|---|---|
//! | an answer that shows the hop ([`HopRows`]) and is no complaint | its responder | that row, the first if there are several |
//! | of the answers that show the hop, only complaints | its responder | that row, the first if there are several |
//! | probes, but no answer that shows the hop | `None` | the own row of the last attempt, even if an answer from elsewhere is in it |
//! | an inferred row only | `None` | that row |
//! | no row | `None` | nothing |
//!
//! "First" and "last" are in the order of attempts, then of reply numbers. A skipped probe and one that the kernel refused count
//! as attempts. A distance probe never stands for its TTL.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::hop_rows::HopRows;
use crate::model::{HopRecord, Purpose, Status, TraceEnd, Ttl};

/// The path of a trace.
#[derive(Clone, Debug)]
pub struct PathRows {
    first_ttl: Option<Ttl>,
    /// The last TTL of the path, and its responder.
    last: Option<(Ttl, IpAddr)>,
    /// The TTLs with rows up to the end of the path. These can be outside of the path: skipped or inferred TTLs before its first.
    hops: BTreeMap<Ttl, Hop>,
}

/// The rows of one TTL, by their place among the rows of the trace.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    /// The own row of the last attempt.
    attempt: Option<usize>,
    inferred: Option<usize>,
    /// The answer that shows the hop, and its responder.
    answer: Option<(usize, IpAddr)>,
}

impl Hop {
    fn responder(&self) -> Option<IpAddr> {
        self.answer.map(|(_, responder)| responder)
    }

    fn row(&self) -> Option<usize> {
        let answer = self.answer.map(|(place, _)| place);
        answer.or(self.attempt).or(self.inferred)
    }
}

impl PathRows {
    /// Finds the path in `rows`, all rows of a trace that ended with `end`. They are ordered by TTL, attempt and reply number.
    pub fn of(rows: &[HopRecord], end: &TraceEnd) -> Self {
        let mut hops = attempts(rows, end);
        add_answers(rows, end, &mut hops);
        let within_length = |ttl: &Ttl| end.path_length.is_none_or(|length| *ttl <= length);
        let mut within = hops.iter().rev().filter(|(ttl, _)| within_length(ttl));
        let first_ttl = first_ttl(rows);
        let last = within.find_map(|(ttl, hop)| Some((*ttl, hop.responder()?)));
        PathRows {
            first_ttl,
            // An answer before the first TTL is that of a skipped TTL. It is not part of the path.
            last: last.filter(|(ttl, _)| first_ttl.is_some_and(|first| first <= *ttl)),
            hops,
        }
    }

    /// The first TTL that was probed hop by hop.
    pub fn first_ttl(&self) -> Option<Ttl> {
        self.first_ttl
    }

    /// The last TTL of the path with its responder.
    pub fn last(&self) -> Option<(Ttl, IpAddr)> {
        self.last
    }

    /// The responders from the first TTL on. `None` if no TTL was probed hop by hop.
    pub fn responders(&self) -> Option<Vec<Option<IpAddr>>> {
        let first = self.first_ttl?;
        let ttls = match self.last {
            Some((last, _)) => first.0..=last.0,
            None => return Some(Vec::new()),
        };
        let responder = |ttl| self.hops.get(&Ttl(ttl))?.responder();
        Some(ttls.map(responder).collect())
    }

    /// The rows that stand for the TTLs of the path, by TTL. They are given by their places among the rows of the trace.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        let is_on_path = |ttl: Ttl| {
            let last = self.last.map(|(ttl, _)| ttl);
            self.first_ttl.is_some_and(|first| first <= ttl) && Some(ttl) <= last
        };
        let on_path = self.hops.iter().filter(move |(ttl, _)| is_on_path(**ttl));
        on_path.filter_map(|(_, hop)| hop.row())
    }

    /// The row that shows the responder at this TTL, by its place among the rows of the trace.
    pub fn answer_at(&self, ttl: Ttl) -> Option<usize> {
        let (place, _) = self.hops.get(&ttl)?.answer?;
        Some(place)
    }

    /// The TTLs up to the end of the path that were probed or skipped, with their responders.
    pub fn probed(&self) -> impl Iterator<Item = (Ttl, Option<IpAddr>)> {
        let probed = self.hops.iter().filter(|(_, hop)| hop.attempt.is_some());
        probed.map(|(ttl, hop)| (*ttl, hop.responder()))
    }
}

/// The first TTL that was probed hop by hop. A skipped TTL was not probed.
fn first_ttl(rows: &[HopRecord]) -> Option<Ttl> {
    let probed = rows.iter().filter(|row| is_attempt(row));
    let probed = probed.filter(|row| row.status != Status::Skipped);
    probed.filter_map(|row| row.ttl).min()
}

/// Whether this is the own row of a probe that is no distance probe. An inferred hop is copied from another trace, so it is no
/// attempt.
pub(super) fn is_attempt(row: &HopRecord) -> bool {
    row.reply_index == 0 && row.purpose != Purpose::Distance && row.status != Status::Inferred
}

/// The TTLs up to the end of the path with their attempts and inferred rows.
fn attempts(rows: &[HopRecord], end: &TraceEnd) -> BTreeMap<Ttl, Hop> {
    let mut hops: BTreeMap<Ttl, Hop> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        let Some(ttl) = row.ttl.filter(|ttl| Some(*ttl) <= end.last_ttl) else {
            continue;
        };
        if is_attempt(row) {
            hops.entry(ttl).or_default().attempt = Some(place);
        } else if row.status == Status::Inferred {
            hops.entry(ttl).or_default().inferred = Some(place);
        }
    }
    hops
}

/// Adds the answers that show the hops. A router's complaint is the answer of the hop only if the hop gave no other answer.
fn add_answers(rows: &[HopRecord], end: &TraceEnd, hops: &mut BTreeMap<Ttl, Hop>) {
    let hop_rows = HopRows::of(rows, end);
    for complaints in [false, true] {
        for (place, row) in rows.iter().enumerate() {
            let Some(responder) = row.reply.as_ref().map(|reply| reply.responder) else {
                continue;
            };
            let hop = row.ttl.and_then(|ttl| hops.get_mut(&ttl));
            let hop = hop.filter(|hop| hop.answer.is_none() && hop.attempt.is_some());
            if let Some(hop) = hop
                && row.is_complaint() == complaints
                && hop_rows.is_hop(row)
            {
                hop.answer = Some((place, responder));
            }
        }
    }
}
