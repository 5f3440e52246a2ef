//! The row and the path of a (target, flow) of a sweep.
//!
//! A sweep probes every TTL once and ends no path. So the end of the path is found from the rows, when all of them are there. The first
//! line of this table that fits says why the trace ends:
//!
//! | rows | `stop_reason` | the path ends |
//! |---|---|---|
//! | a probe was skipped because a blocklist excludes the target | `excluded` | as below |
//! | the target answered a probe whose TTL is known | `completed` | at the lowest such TTL |
//! | a TTL of the sweep has no row, or an interrupt kept its probe from being sent | `interrupted` | as below |
//! | a complaint, no other answer at a higher TTL, and no answer of the target | `unreachable` | at the complaint |
//! | an address answers again two or more TTLs later, no new address after that, and no answer of the target | `loop` | where it came back |
//! | the kernel took no probe | `error` | nowhere |
//! | any other | `max_ttl` | at the last TTL whose hop answered |
//!
//! - These are the rules of `trace`, without its gap limit: a sweep probes all TTLs.
//! - `path_length` is the lowest TTL that the target answered, if a probe with the TTL before it was sent. One lost answer of the target is
//!   enough to make it too large: a sweep does not ask again.
//! - A late reply counts like one in time. A stronger reply counts before a weak one to the same probe.
//! - Rows of a second pass are no part of the path.

use std::net::IpAddr;

use super::path_rows::PathRows;
use super::trace_record;
use crate::model::{
    Evidence, FlowId, HopRecord, Purpose, Said, Status, StopReason, TargetId, Time, TraceEnd,
    TraceId, TraceRecord, Ttl, UnsentReason,
};

/// The facts of a (target, flow) that are not in its rows.
#[derive(Clone, Copy, Debug)]
pub struct Swept {
    /// Joins hops and traces.
    pub trace_id: TraceId,
    /// The target.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The address probed.
    pub destination: IpAddr,
    /// The lowest TTL of the sweep.
    pub first_ttl: Ttl,
    /// The highest TTL of the sweep.
    pub max_ttl: Ttl,
    /// The time of a trace without a probe that was sent: the start of the run.
    pub run_started_at: Time,
}

/// The row of a trace, and the rows that stand for the TTLs of its path.
#[derive(Clone, Debug)]
pub struct SweptTrace {
    /// The row of the trace.
    pub record: TraceRecord,
    /// `on_path` of each row, in the order in which the rows were given.
    pub on_path: Vec<bool>,
}

/// Computes the row of a trace from `rows`: all rows of the trace in the order of the table `hops`.
pub fn swept_trace(facts: &Swept, rows: Vec<HopRecord>) -> SweptTrace {
    let mut on_path = vec![false; rows.len()];
    let (places, rows): (Vec<usize>, Vec<HopRecord>) = settled(rows).into_iter().unzip();
    let end = end_of(facts, &rows);
    let path = PathRows::of(&rows, &end);
    for at in path.rows() {
        on_path[places[at]] = true;
    }
    SweptTrace {
        record: trace_record(facts.trace_id, &end, &rows, &path),
        on_path,
    }
}

/// The rows of the first pass with their places, as the rows of `trace` are when a trace ends: a late reply stands in the place of its
/// timeout, and a stronger reply in the place of a weak one.
fn settled(rows: Vec<HopRecord>) -> Vec<(usize, HopRecord)> {
    let first_pass = rows.into_iter().enumerate();
    let first_pass = first_pass.filter(|(_, row)| row.purpose != Purpose::SecondPass);
    let mut settled: Vec<(usize, HopRecord)> = Vec::new();
    for (place, mut row) in first_pass {
        let last_first = settled.iter_mut().rev();
        let own = last_first
            .take_while(|(_, other)| other.ttl == row.ttl)
            .find(|(_, own)| own.reply_index == 0 && own.probe_id == row.probe_id);
        match own {
            Some((own_place, own)) if own.status == Status::Timeout && row.reply.is_some() => {
                row.reply_index = 0;
                (*own_place, *own) = (place, row);
            }
            Some((own_place, own))
                if own.evidence == Some(Evidence::Weak) && row.evidence > own.evidence =>
            {
                std::mem::swap(&mut own.reply_index, &mut row.reply_index);
                if row.status == Status::Duplicate {
                    std::mem::swap(&mut own.status, &mut row.status);
                }
                let weak = (
                    std::mem::replace(own_place, place),
                    std::mem::replace(own, row),
                );
                settled.push(weak);
            }
            _ => settled.push((place, row)),
        }
    }
    settled.sort_by_key(|(_, row)| {
        let probe = (row.probe_id.is_none(), row.probe_id);
        (
            row.ttl.is_none(),
            row.ttl,
            row.attempt,
            row.reply_index,
            probe,
        )
    });
    settled
}

fn end_of(facts: &Swept, rows: &[HopRecord]) -> TraceEnd {
    let answers = Answers::of(rows);
    let stop = answers.stop();
    let skipped = |reason| rows.iter().any(|row| row.reason == Some(reason));
    let sent = |ttl: Ttl| {
        let mut of_ttl = rows.iter().filter(|row| row.ttl == Some(ttl));
        of_ttl.any(|row| row.reply_index == 0 && row.status.was_sent())
    };
    let has_row = |ttl: u8| rows.iter().any(|row| row.ttl == Some(Ttl(ttl)));
    let is_whole = || (facts.first_ttl.0..=facts.max_ttl.0).all(has_row);
    let stop_reason = match stop {
        _ if skipped(UnsentReason::Blocklisted) => StopReason::Excluded,
        Some((_, StopReason::Completed)) => StopReason::Completed,
        _ if skipped(UnsentReason::Interrupted) || !is_whole() => StopReason::Interrupted,
        Some((_, reason)) => reason,
        None if !rows.iter().any(|row| row.status.was_sent()) => StopReason::Error,
        None => StopReason::MaxTtl,
    };
    let length = stop.filter(|(ttl, reason)| {
        let before = ttl.0.checked_sub(1).map(Ttl);
        *reason == StopReason::Completed && (ttl.0 == 1 || before.is_some_and(sent))
    });
    let sent_at = || rows.iter().filter_map(|row| row.sent_at);
    let received_at = { rows.iter() }.filter_map(|row| Some(row.reply.as_ref()?.received_at));
    TraceEnd {
        target: facts.target,
        flow: facts.flow,
        destination: facts.destination,
        started_at: sent_at().min().unwrap_or(facts.run_started_at),
        finished_at: sent_at()
            .chain(received_at)
            .max()
            .unwrap_or(facts.run_started_at),
        stop_reason,
        path_length: length.map(|(ttl, _)| ttl),
        last_ttl: stop.map(|(ttl, _)| ttl).or_else(|| answers.last_hop()),
        path_mtu: None,
        graph: None,
    }
}

/// An answer at a TTL.
#[derive(Clone, Copy)]
struct Answer {
    ttl: Ttl,
    by: IpAddr,
    said: Said,
}

/// The answers of a trace, by TTL.
struct Answers {
    /// The answer of each TTL that says the most, or the first of those that say the same.
    best: Vec<Answer>,
    /// The first complaint of each TTL.
    complaints: Vec<Answer>,
    /// Whether the target answered, also if the TTL of the probe is not known.
    target_answered: bool,
}

impl Answers {
    fn of(rows: &[HopRecord]) -> Self {
        let mut answers = Answers {
            best: Vec::new(),
            complaints: Vec::new(),
            target_answered: rows.iter().any(HopRecord::is_arrival),
        };
        for rows in rows.chunk_by(|a, b| a.ttl == b.ttl) {
            let all = || rows.iter().filter_map(answer);
            let best = all().reduce(|best, next| match next.said > best.said {
                true => next,
                false => best,
            });
            answers.best.extend(best);
            answers
                .complaints
                .extend(all().find(|answer| answer.said.is_complaint()));
        }
        answers
    }

    /// Where the path ends, and why. `None` if no answer ends it.
    fn stop(&self) -> Option<(Ttl, StopReason)> {
        let mut arrived = self.best.iter();
        if let Some(answer) = arrived.find(|answer| answer.said == Said::Arrived) {
            return Some((answer.ttl, StopReason::Completed));
        }
        if self.target_answered {
            return None;
        }
        match self.complaint_at_the_end() {
            Some(ttl) => Some((ttl, StopReason::Unreachable)),
            None => Some((self.came_back()?, StopReason::Loop)),
        }
    }

    /// The last TTL at which a router complains for the first time, if no other answer has a higher TTL.
    fn complaint_at_the_end(&self) -> Option<Ttl> {
        let mut places = self.complaints.iter().enumerate();
        let (_, last) = places.rfind(|(at, answer)| {
            let mut before = self.complaints[..*at].iter();
            before.all(|other| other.by != answer.by)
        })?;
        let mut behind = self.best.iter().filter(|answer| answer.ttl > last.ttl);
        behind
            .all(|answer| answer.said.is_complaint())
            .then_some(last.ttl)
    }

    /// The lowest TTL with an address that answered two or more TTLs before, if no new address answers at a higher TTL.
    fn came_back(&self) -> Option<Ttl> {
        let hops = self.best.iter();
        let hops: Vec<&Answer> = hops
            .filter(|answer| answer.said != Said::TooLarge)
            .collect();
        let mut back = None;
        for (at, answer) in hops.iter().enumerate() {
            let earlier = hops[..at].iter().find(|earlier| earlier.by == answer.by);
            match earlier {
                None => back = None,
                Some(first)
                    if first.ttl.0.saturating_add(2) <= answer.ttl.0
                        && !answer.said.is_complaint() =>
                {
                    back = back.or(Some(answer.ttl));
                }
                Some(_) => {}
            }
        }
        back
    }

    /// The last TTL with an answer of the hop itself. A report that a probe is too large is not, and neither is the complaint of a router
    /// that also answered at a lower TTL.
    fn last_hop(&self) -> Option<Ttl> {
        let is_hop = |answer: &&Answer| match answer.said {
            Said::TooLarge => false,
            Said::Complaint => {
                let mut before = self.best.iter().filter(|other| other.ttl < answer.ttl);
                before.all(|other| other.by != answer.by)
            }
            Said::Expired | Said::Arrived => true,
        };
        self.best.iter().rfind(is_hop).map(|answer| answer.ttl)
    }
}

fn answer(row: &HopRecord) -> Option<Answer> {
    let by = row.reply.as_ref()?.responder;
    Some(Answer {
        ttl: row.ttl?,
        by,
        said: Said::of(row.reply_kind()?, by == row.destination),
    })
}

#[cfg(test)]
mod tests;
