//! Puts the rows of a trace together.
//!
//! A trace's rows wait here until its strategy ends it; then they leave sorted by TTL, with the trace's own row computed from
//! them, so that the two cannot disagree. While a trace is open a late reply takes the place of its probe's `timeout`
//! row; afterwards it becomes an extra row and the `timeout` row stays. A probe's own row must come before its extra ones: whether a
//! trace is open shows in its waiting rows alone. A sweep has no traces: its rows pass through.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::anomalies;
use super::hop_rows::HopRows;
use crate::model::{
    HopRecord, ProbeId, Purpose, ReplyKind, Statistics, Status, StopReason, TraceEnd, TraceId,
    TraceRecord, Ttl, path_hash,
};

/// Probes remembered at a time whose late reply took the place of their own row. Beyond it the oldest are forgotten, which leaves a
/// gap in the numbers of their further replies.
const PROMOTED_PROBES: usize = 1 << 17;

/// What leaves the assembler.
#[derive(Debug, Default)]
pub struct Assembled {
    /// Rows of `hops`; those of a trace together.
    pub hops: Vec<HopRecord>,
    /// Rows of `traces`.
    pub traces: Vec<TraceRecord>,
}

/// Collects rows until they can be written.
#[derive(Debug)]
pub struct Assembler {
    groups: bool,
    flows: u16,
    open: HashMap<TraceId, Vec<HopRecord>>,
    /// Probes whose late reply took the place of their own row: those that follow move up by one.
    promoted: BTreeSet<ProbeId>,
    statistics: Statistics,
    reached: u64,
    ended: u64,
}

impl Assembler {
    /// `groups`: the strategy ends traces, and rows wait for that. `flows` as in the run.
    pub fn new(groups: bool, flows: u16) -> Self {
        Assembler {
            groups,
            flows,
            open: HashMap::new(),
            promoted: BTreeSet::new(),
            statistics: Statistics::default(),
            reached: 0,
            ended: 0,
        }
    }

    /// Takes a row.
    pub fn row(&mut self, mut row: HopRecord, out: &mut Assembled) {
        if row.reply_index == 0 {
            if self.groups {
                self.open.entry(row.trace_id).or_default().push(row);
            } else {
                self.write(row, out);
            }
            return;
        }
        row.reply_index -= u16::from(self.promoted.contains(&row.probe_id));
        let Some(rows) = self.open.get_mut(&row.trace_id) else {
            return self.write(row, out);
        };
        let unanswered = match row.status {
            Status::Late => rows
                .iter_mut()
                .find(|own| own.probe_id == row.probe_id && own.status == Status::Timeout),
            _ => None,
        };
        match unanswered {
            Some(own) => {
                row.reply_index = 0;
                self.promoted.insert(row.probe_id);
                *own = row;
            }
            None => rows.push(row),
        }
        if self.promoted.len() > PROMOTED_PROBES {
            self.promoted.pop_first();
        }
    }

    /// Takes the end of a trace: all its probes have ended.
    pub fn end(&mut self, end: &TraceEnd, out: &mut Assembled) {
        let trace_id = TraceId::new(end.target, end.flow, self.flows);
        let mut rows = self.open.remove(&trace_id).unwrap_or_default();
        rows.sort_by_key(|row| {
            let place = (row.attempt, row.reply_index, row.probe_id);
            (row.ttl.is_none(), row.ttl, place)
        });
        let record = trace_record(trace_id, end, &rows);
        self.ended += 1;
        self.reached += u64::from(record.reached);
        self.statistics.count_trace(&record);
        out.traces.push(record);
        for row in rows {
            self.write(row, out);
        }
    }

    /// What has been written so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Traces that ended, and how many of them reached their target.
    pub fn traces(&self) -> (u64, u64) {
        (self.ended, self.reached)
    }

    fn write(&mut self, row: HopRecord, out: &mut Assembled) {
        self.statistics.count(&row);
        out.hops.push(row);
    }
}

/// The trace's row, computed from its hops' rows (sorted by TTL and attempt, those without a TTL last).
fn trace_record(trace_id: TraceId, end: &TraceEnd, rows: &[HopRecord]) -> TraceRecord {
    let own = || rows.iter().filter(|row| row.reply_index == 0);
    let hops = || own().filter(|row| row.purpose != Purpose::Distance);
    let answered = |row: &&HopRecord| matches!(row.status, Status::Replied | Status::Late);
    let first_ttl = hops().filter_map(|row| row.ttl).min();
    let max_ttl = hops().filter_map(|row| row.ttl).max();
    let hop_rows = HopRows::of(rows, end);
    let mut path: BTreeMap<Ttl, Option<IpAddr>> = BTreeMap::new();
    for row in hops() {
        if let Some(ttl) = row.ttl.filter(|ttl| Some(*ttl) <= end.last_ttl) {
            let responder = path.entry(ttl).or_default();
            *responder = responder.or(row.responder().filter(|_| hop_rows.is_hop(row)));
        }
    }
    let by_target = |row: &HopRecord| {
        row.responder() == Some(row.destination)
            && row.reply_kind() != Some(ReplyKind::TimeExceeded)
    };
    // An answer that may be to any of several probes has no TTL, and yet the target gave it.
    let reached = own().filter(answered).any(by_target)
        || rows.iter().any(|row| row.ttl.is_none() && by_target(row));
    debug_assert!(end.stop_reason != StopReason::Completed || reached);
    TraceRecord {
        trace_id,
        target: end.target,
        destination: end.destination,
        flow: end.flow,
        started_at: end.started_at,
        finished_at: end.finished_at,
        first_ttl,
        max_ttl,
        stop_reason: end.stop_reason,
        reached,
        path_length: end.path_length,
        path_mtu: end.path_mtu,
        hops_responding: path.values().flatten().count() as u16,
        probes_sent: own().filter(|row| row.status != Status::SendError).count() as u32,
        replies: own().filter(|row| row.status == Status::Replied).count() as u32,
        path_hash: (!path.is_empty()).then(|| path_hash(path)),
        anomalies: anomalies::find(rows, end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use crate::model::{Evidence, FlowId, Protocol, Reply, TargetId, Time};

    const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

    fn reply(responder: Ipv4Addr, kind: ReplyKind) -> Box<Reply> {
        Box::new(Reply {
            icmp_type: Some(11),
            icmp_code: Some(0),
            ..Reply::bare(responder.into(), Time::default(), kind)
        })
    }

    fn row(probe: u64, ttl: u8, reply_index: u16, status: Status) -> HopRecord {
        let answered = matches!(status, Status::Replied | Status::Late | Status::Duplicate);
        HopRecord {
            trace_id: TraceId(0),
            probe_id: ProbeId(probe),
            reply_index,
            destination: TARGET.into(),
            source: None,
            protocol: Protocol::Udp,
            src_port: None,
            dst_port: None,
            icmp_id: None,
            flow_label: None,
            flow: FlowId(0),
            round: 0,
            ttl: Some(Ttl(ttl)),
            attempt: 1,
            purpose: Purpose::Trace,
            probe_size: 50,
            probe_tos: 0,
            probe_ip_id: None,
            probe_checksum: None,
            sent_at: None,
            status,
            reason: None,
            reply: answered.then(|| reply(Ipv4Addr::new(10, 0, 0, ttl), ReplyKind::TimeExceeded)),
            evidence: answered.then_some(Evidence::Full),
            rtt_us: None,
            inferred_from: None,
        }
    }

    fn arrival(probe: u64, ttl: u8) -> HopRecord {
        let mut row = row(probe, ttl, 0, Status::Replied);
        row.reply = Some(reply(TARGET, ReplyKind::PortUnreachable));
        row
    }

    fn end(stop_reason: StopReason, path_length: Option<u8>) -> TraceEnd {
        TraceEnd {
            target: TargetId(0),
            flow: FlowId(0),
            destination: TARGET.into(),
            started_at: Time::default(),
            finished_at: Time::default(),
            stop_reason,
            path_length: path_length.map(Ttl),
            last_ttl: Some(Ttl(path_length.unwrap_or(9))),
            path_mtu: None,
        }
    }

    fn shown(out: &Assembled) -> Vec<(u8, u16, Status)> {
        out.hops
            .iter()
            .map(|row| (row.ttl.map_or(0, |ttl| ttl.0), row.reply_index, row.status))
            .collect()
    }

    #[test]
    fn a_target_that_answered_nobody_knows_which_probe_was_reached() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
        let mut of_no_hop = arrival(0, 1);
        (of_no_hop.status, of_no_hop.reply_index, of_no_hop.ttl) = (Status::Duplicate, 1, None);
        assembler.row(of_no_hop, &mut out);
        assembler.end(&end(StopReason::GapLimit, None), &mut out);
        assert!(out.traces[0].reached);
    }

    #[test]
    fn a_trace_leaves_together_and_in_order() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        assembler.row(arrival(2, 3), &mut out);
        assembler.row(row(1, 2, 0, Status::Timeout), &mut out);
        assembler.row(row(0, 1, 0, Status::Replied), &mut out);
        assembler.row(row(0, 1, 1, Status::Duplicate), &mut out);
        assert!(out.hops.is_empty());
        assembler.end(&end(StopReason::Completed, Some(3)), &mut out);
        let expected = [
            (1, 0, Status::Replied),
            (1, 1, Status::Duplicate),
            (2, 0, Status::Timeout),
            (3, 0, Status::Replied),
        ];
        assert_eq!(shown(&out), expected);
        let trace = &out.traces[0];
        assert!(trace.reached);
        assert_eq!(
            (trace.hops_responding, trace.probes_sent, trace.replies),
            (2, 3, 2)
        );
        let path = [
            (Ttl(1), Some(Ipv4Addr::new(10, 0, 0, 1).into())),
            (Ttl(2), None),
            (Ttl(3), Some(TARGET.into())),
        ];
        assert_eq!(trace.path_hash, Some(path_hash(path)));
        assert_eq!(assembler.statistics().probes(Status::Replied), 2);
        assert_eq!(assembler.statistics().extra_replies(Status::Duplicate), 1);
    }

    #[test]
    fn who_calls_a_probe_too_large_is_no_hop_of_the_path() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        let narrow = Ipv4Addr::new(10, 0, 0, 1);
        let mut too_large = row(1, 2, 0, Status::Replied);
        too_large.reply = Some(reply(narrow, ReplyKind::FragmentationNeeded));
        let second = |probe, ttl| HopRecord {
            attempt: 2,
            ..row(probe, ttl, 0, Status::Replied)
        };
        assembler.row(row(0, 1, 0, Status::Replied), &mut out);
        assembler.row(too_large.clone(), &mut out);
        assembler.row(second(2, 2), &mut out);
        // Of the third hop nothing else is known: it was probed, and is nobody's.
        too_large.ttl = Some(Ttl(3));
        assembler.row(too_large, &mut out);
        assembler.row(arrival(3, 4), &mut out);
        assembler.end(&end(StopReason::Completed, Some(4)), &mut out);
        let path = [
            (Ttl(1), Some(narrow.into())),
            (Ttl(2), Some(Ipv4Addr::new(10, 0, 0, 2).into())),
            (Ttl(3), None),
            (Ttl(4), Some(TARGET.into())),
        ];
        let trace = &out.traces[0];
        assert_eq!(trace.path_hash, Some(path_hash(path)));
        assert_eq!((trace.hops_responding, trace.replies), (3, 5));
        assert!(trace.anomalies.is_empty());
    }

    #[test]
    fn who_calls_a_probe_too_large_where_the_path_ends_is_its_last_hop() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        let narrow = Ipv4Addr::new(10, 0, 0, 1);
        let mut too_large = row(1, 2, 0, Status::Replied);
        too_large.reply = Some(reply(narrow, ReplyKind::PacketTooBig));
        assembler.row(row(0, 1, 0, Status::Replied), &mut out);
        assembler.row(too_large, &mut out);
        let end = TraceEnd {
            last_ttl: Some(Ttl(2)),
            ..end(StopReason::Unreachable, None)
        };
        assembler.end(&end, &mut out);
        let path = [1, 2].map(|ttl| (Ttl(ttl), Some(narrow.into())));
        assert_eq!(out.traces[0].path_hash, Some(path_hash(path)));
        assert_eq!(out.traces[0].hops_responding, 2);
    }

    #[test]
    fn a_late_reply_takes_the_timeout_s_place_while_the_trace_is_open() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
        assembler.row(row(0, 1, 1, Status::Late), &mut out);
        assembler.row(row(0, 1, 2, Status::Duplicate), &mut out);
        assembler.end(&end(StopReason::GapLimit, None), &mut out);
        assembler.row(row(0, 1, 3, Status::Duplicate), &mut out);
        let expected = [
            (1, 0, Status::Late),
            (1, 1, Status::Duplicate),
            (1, 2, Status::Duplicate),
        ];
        assert_eq!(shown(&out), expected);
        assert_eq!(out.traces[0].hops_responding, 1);
        assert_eq!(out.traces[0].replies, 0, "late is not in time");
    }

    #[test]
    fn a_late_reply_to_a_sealed_trace_is_an_extra_row() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        assembler.row(row(0, 1, 0, Status::Timeout), &mut out);
        assembler.end(&end(StopReason::GapLimit, None), &mut out);
        assembler.row(row(0, 1, 1, Status::Late), &mut out);
        assembler.row(row(0, 1, 2, Status::Duplicate), &mut out);
        let expected = [
            (1, 0, Status::Timeout),
            (1, 1, Status::Late),
            (1, 2, Status::Duplicate),
        ];
        assert_eq!(shown(&out), expected);
        assert_eq!(assembler.statistics().probes(Status::Timeout), 1);
    }

    #[test]
    fn however_many_probes_have_extra_rows_no_number_comes_twice() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        let many = 2 * PROMOTED_PROBES as u64;
        for probe in 0..many {
            assembler.row(row(probe, 1, 0, Status::Timeout), &mut out);
            assembler.row(row(probe, 1, 1, Status::Late), &mut out);
            assembler.row(row(probe, 1, 2, Status::Duplicate), &mut out);
            assembler.end(&end(StopReason::GapLimit, None), &mut out);
        }
        for probe in 0..many {
            assembler.row(row(probe, 1, 3, Status::Duplicate), &mut out);
        }
        let numbers = out.hops.iter().map(|row| (row.probe_id, row.reply_index));
        let distinct: std::collections::HashSet<_> = numbers.collect();
        assert_eq!(
            (out.hops.len(), distinct.len() as u64),
            (3 * many as usize, 3 * many)
        );
    }

    #[test]
    fn a_sweep_s_rows_pass_at_once() {
        let (mut assembler, mut out) = (Assembler::new(false, 1), Assembled::default());
        assembler.row(row(0, 5, 0, Status::Timeout), &mut out);
        assembler.row(row(0, 5, 1, Status::Late), &mut out);
        assert_eq!(shown(&out), [(5, 0, Status::Timeout), (5, 1, Status::Late)]);
    }

    #[test]
    fn a_trace_without_a_probe_still_has_its_row() {
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        assembler.end(&end(StopReason::Interrupted, None), &mut out);
        let trace = &out.traces[0];
        assert_eq!(
            (trace.first_ttl, trace.path_hash, trace.probes_sent),
            (None, None, 0)
        );
        assert_eq!(trace.stop_reason.as_str(), "interrupted");
    }
}
