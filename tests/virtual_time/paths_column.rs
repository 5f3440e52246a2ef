//! The path of each trace against its rows: `path`, the columns taken from it, and the rows that stand for its TTLs.
//!
//! What they must be is worked out here from the rows alone, with nothing of the engine.

use std::collections::HashMap;

use pathsurvey::model::{HopRecord, Purpose, Status, TraceId, TraceRecord, Ttl};

use super::experiment::Observed;
use super::traces::{end_of_path, is_arrival, is_complaint, is_hop, is_too_large};

/// Checks the path of every trace of a run.
pub fn check(run: &Observed) {
    let mut rows: HashMap<TraceId, Vec<&HopRecord>> = HashMap::new();
    for row in &run.hops {
        rows.entry(row.trace_id).or_default().push(row);
    }
    for trace in &run.traces {
        let rows = rows.remove(&trace.trace_id).unwrap_or_default();
        check_trace(trace, rows);
    }
}

fn check_trace(trace: &TraceRecord, rows: Vec<&HopRecord>) {
    let in_time = |row: &&HopRecord| {
        let came = row.reply.as_ref().map(|reply| reply.received_at);
        row.reply_index == 0 || came <= Some(trace.finished_at)
    };
    let (rows, later): (Vec<_>, Vec<_>) = rows.into_iter().partition(in_time);
    for row in later {
        assert_eq!(row.on_path, Some(false), "written after its trace: {row:?}");
    }
    let mut hops = rows.clone();
    hops.retain(|row| row.purpose != Purpose::Distance && row.ttl.is_some());
    hops.sort_by_key(|row| (row.ttl, row.attempt, row.reply_index));
    let first = { hops.iter() }
        .find(|row| {
            let unprobed = matches!(row.status, Status::Skipped | Status::Inferred);
            row.reply_index == 0 && !unprobed
        })
        .and_then(|row| row.ttl);
    assert_eq!(trace.first_ttl, first);
    let wanted = first.map(|first| path(trace, &hops, first));
    check_columns(trace, wanted.as_deref());
    let standing = |row: &&&HopRecord| {
        assert!(row.on_path.is_some(), "{row:?}");
        row.on_path == Some(true)
    };
    let mut standing: Vec<_> = rows.iter().filter(standing).map(|row| named(row)).collect();
    standing.sort_unstable();
    let wanted = wanted.unwrap_or_default();
    let wanted: Vec<_> = wanted
        .iter()
        .filter_map(|place| Some(named(place.stands?)))
        .collect();
    assert_eq!(standing, wanted, "rows of the path of {trace:?}");
    check_rtt(trace, &rows);
}

/// A TTL of a path.
struct Place<'a> {
    /// The row of the answer that shows who stands there.
    answer: Option<&'a HopRecord>,
    /// The row that stands for the TTL.
    stands: Option<&'a HopRecord>,
}

/// What names a row within its trace.
fn named(row: &HopRecord) -> (Option<Ttl>, u8, u16, bool) {
    let is_inferred = row.status == Status::Inferred;
    (row.ttl, row.attempt, row.reply_index, is_inferred)
}

/// The path from `first` on. `hops` are the rows of its hops, sorted by TTL, attempt and number of the reply.
fn path<'a>(trace: &TraceRecord, hops: &[&'a HopRecord], first: Ttl) -> Vec<Place<'a>> {
    let mut answers = hops.to_vec();
    answers.retain(|row| row.reply.is_some() && !is_too_large(trace, row));
    let end = end_of_path(trace, &answers);
    let last = trace.path_length.or(end).map_or(0, |ttl| ttl.0);
    let place = |ttl| {
        let here = |row: &&HopRecord| row.ttl == Some(Ttl(ttl));
        let mut shown: Vec<&HopRecord> = answers.iter().copied().filter(here).collect();
        shown.retain(|row| is_hop(trace, &answers, row, end));
        let answer = { shown.iter() }
            .find(|row| !is_complaint(row, trace))
            .or(shown.first())
            .copied();
        let own = hops.iter().copied().filter(here);
        let own = own.filter(|row| row.reply_index == 0);
        // An inferred row stands for its TTL only if nothing was probed there.
        let last_attempt = own.max_by_key(|row| (row.status != Status::Inferred, row.attempt));
        Place {
            answer,
            stands: answer.or(last_attempt),
        }
    };
    let mut path: Vec<Place> = (first.0..=last).map(place).collect();
    while path.pop_if(|place| place.answer.is_none()).is_some() {}
    path
}

fn check_columns(trace: &TraceRecord, wanted: Option<&[Place]>) {
    let wanted: Option<Vec<_>> = wanted.map(|path| {
        let responders = path.iter().map(|place| place.answer?.responder());
        responders.collect()
    });
    assert_eq!(trace.path, wanted, "{trace:?}");
    let Some((last, before)) = trace.path.as_deref().and_then(<[_]>::split_last) else {
        assert_eq!((trace.last_responder, trace.last_ttl), (None, None));
        return;
    };
    assert!(last.is_some(), "silence at the end: {trace:?}");
    assert_eq!(trace.last_responder, *last);
    let first = trace.first_ttl.map(|ttl| usize::from(ttl.0));
    let last_ttl = trace.last_ttl.map(|ttl| usize::from(ttl.0));
    assert_eq!(last_ttl, first.map(|first| first + before.len()));
}

/// `rows` are those that came before the trace was written.
fn check_rtt(trace: &TraceRecord, rows: &[&HopRecord]) {
    let arrivals = rows.iter().filter(|row| is_arrival(row, trace));
    let settling = arrivals.clone().find(|row| {
        let at_length = trace.path_length.is_some() && row.ttl == trace.path_length;
        at_length && row.on_path == Some(true)
    });
    let least = arrivals.filter_map(|row| row.rtt_us).min();
    let wanted = settling.map_or(least, |row| row.rtt_us);
    assert_eq!(trace.target_rtt_us, wanted, "{trace:?}");
}
