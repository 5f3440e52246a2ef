//! A strategy that the program does not have, in this file and through the public interface: what a further one needs to be.
//!
//! It asks one target of each /28 for its first hops, and infers the same hops for the others. It writes a table of its own: how
//! many hops each target got, and how. Limits, matching and writing are the engine's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pathsurvey::engine::assembler::{Assembled, Assembler};
use pathsurvey::engine::core::Core;
use pathsurvey::engine::format::ProbeFormat;
use pathsurvey::engine::limiter::Limits;
use pathsurvey::engine::report::Tally;
use pathsurvey::engine::sink::{RecordSink, SinkError};
use pathsurvey::engine::stop::Stop;
use pathsurvey::engine::tracker::{Timeouts, Tracker};
use pathsurvey::engine::virtual_time::VirtualRun;
use pathsurvey::lab::{GeneratedOptions, LabNetwork, VirtualNetwork};
use pathsurvey::model::{
    Cell, FlowId, InferredHop, Outcome, Probe, ProbeResult, Purpose, Rate, Status, StopReason,
    StrategyEvent, TableRow, TargetId, Targets, Time, TraceEnd, TraceId, Ttl,
};
use pathsurvey::strategy::{Actions, Cursor, Order, Poll, Reach, Shard, Strategy};
use pathsurvey::targets::{TargetSpec, load};
use pathsurvey::wire::token::{RunKey, TokenMaker};

const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
/// The hops asked for.
const TTLS: [Ttl; 3] = [Ttl(1), Ttl(2), Ttl(3)];
/// The round of the probes, which is the strategy's to choose.
const ROUND: u16 = 4;

/// What was found out about the first target of a /28.
#[derive(Default)]
struct Asked {
    target: Option<TargetId>,
    hops: BTreeMap<Ttl, Option<IpAddr>>,
    /// Others of the /28 that wait for it.
    followers: Vec<TargetId>,
}

struct FirstHops {
    targets: Arc<dyn Targets>,
    order: Order,
    groups: HashMap<u32, Asked>,
    completed: u64,
}

fn group_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits() >> 4,
        IpAddr::V6(_) => panic!("IPv4 only"),
    }
}

impl FirstHops {
    fn new(targets: Arc<dyn Targets>) -> Self {
        let items = u64::from(targets.len());
        FirstHops {
            targets,
            order: Order::new(items, 3, Shard::WHOLE),
            groups: HashMap::new(),
            completed: 0,
        }
    }

    fn end(&mut self, target: TargetId, how: &str, now: Time, actions: &mut Actions) {
        let count = TTLS.len() as i64;
        actions.events.push(StrategyEvent::Row(TableRow {
            table: "first_hops",
            target,
            cells: vec![Cell::Integer(count), Cell::Text(how.to_owned())],
        }));
        actions.ended(TraceEnd {
            target,
            flow: FlowId(0),
            destination: self.targets.address(target),
            started_at: START,
            finished_at: now,
            stop_reason: StopReason::MaxTtl,
            path_length: None,
            last_ttl: TTLS.last().copied(),
            path_mtu: None,
        });
        self.order.finish(u64::from(target.0));
        self.completed += 1;
    }

    /// Infers the hops of a target from the one that was asked.
    fn infer(&mut self, target: TargetId, now: Time, actions: &mut Actions) {
        let destination = self.targets.address(target);
        let group = &self.groups[&group_of(destination)];
        let from = group.target.map(|asked| TraceId::new(asked, FlowId(0), 1));
        for (ttl, responder) in &group.hops {
            actions.events.push(StrategyEvent::Inferred(InferredHop {
                target,
                flow: FlowId(0),
                destination,
                ttl: *ttl,
                round: ROUND,
                responder: *responder,
                from,
            }));
        }
        self.end(target, "inferred", now, actions);
    }
}

impl Strategy for FirstHops {
    fn poll(&mut self, now: Time, actions: &mut Actions) -> Poll {
        let Some(item) = self.order.start() else {
            let waits = self.groups.values().any(|group| group.hops.len() < 3);
            return if waits { Poll::Wait(None) } else { Poll::Done };
        };
        let target = TargetId(item as u32);
        let destination = self.targets.address(target);
        let group = self.groups.entry(group_of(destination)).or_default();
        match group.target {
            Some(_) if group.hops.len() == TTLS.len() => self.infer(target, now, actions),
            Some(_) => group.followers.push(target),
            None => {
                group.target = Some(target);
                for ttl in TTLS {
                    let probe = Probe {
                        target,
                        destination,
                        flow: FlowId(0),
                        ttl,
                        attempt: 1,
                        purpose: Purpose::Trace,
                        size: None,
                        round: ROUND,
                    };
                    actions.probe(probe, Reach::Router);
                }
            }
        }
        Poll::Started
    }

    fn observe(&mut self, outcome: &Outcome, now: Time, actions: &mut Actions) {
        let responder = match outcome.result {
            ProbeResult::Answered { responder, .. } => Some(responder),
            _ => None,
        };
        let key = group_of(self.targets.address(outcome.target));
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.hops.insert(outcome.ttl, responder);
        if group.hops.len() == TTLS.len() {
            let followers = std::mem::take(&mut group.followers);
            self.end(outcome.target, "probed", now, actions);
            for follower in followers {
                self.infer(follower, now, actions);
            }
        }
    }

    fn interrupt(&mut self, _: Time, _: &mut Actions) {
        self.order.stop();
    }

    fn cursor(&self) -> Cursor {
        self.order.cursor()
    }

    fn completed(&self) -> u64 {
        self.completed
    }
}

#[derive(Default)]
struct Kept(Assembled);

impl RecordSink for Kept {
    fn write(&mut self, records: &mut Assembled, _: Time) -> Result<(), SinkError> {
        self.0.hops.append(&mut records.hops);
        self.0.traces.append(&mut records.traces);
        self.0.tables.append(&mut records.tables);
        Ok(())
    }

    fn tick(&mut self, _: Time, _: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

fn targets() -> Arc<dyn Targets> {
    let spec = TargetSpec {
        arguments: vec!["198.18.9.0/24".to_owned()],
        allow_special: true,
        ..TargetSpec::default()
    };
    let no_names = |_: &str| Err(std::io::Error::other("no names here"));
    let (targets, _) = load(&spec, &no_names, &mut |_| {}).expect("a prefix is a target");
    Arc::new(targets)
}

fn survey(network: LabNetwork) -> (Assembled, Tally) {
    let timeouts = Timeouts {
        timeout: Duration::from_secs(3),
        late_window: Duration::from_secs(1),
    };
    let tokens = TokenMaker::new(RunKey::new([4; 16]));
    let tracker = Tracker::new(ProbeFormat::udp(1), timeouts, tokens, 1_000);
    let limits = Limits::rate(Rate::new(5_000.0).expect("a rate"));
    let strategy = Box::new(FirstHops::new(targets()));
    let mut kept = Kept::default();
    let run = VirtualRun {
        core: Core::new(strategy, &limits, tracker, START, Duration::from_secs(1)),
        assembler: Assembler::new(true, 1),
        network: &mut VirtualNetwork::new(network),
        sink: &mut kept,
        writer_speed: None,
        start: START,
        stop: &Stop::default(),
        progress: &mut |_| {},
    };
    let end = run.run();
    assert!(end.error.is_none());
    (kept.0, end.tally)
}

#[test]
fn a_strategy_of_one_file_probes_infers_and_writes_a_table() {
    let network = LabNetwork::generated_with(3, GeneratedOptions::clean());
    let (rows, tally) = survey(network.clone());
    // One of each of the sixteen /28 is probed.
    let of = |status: Status| rows.hops.iter().filter(move |row| row.status == status);
    assert_eq!(of(Status::Replied).count(), 16 * 3);
    assert_eq!(of(Status::Inferred).count(), 240 * 3);
    assert_eq!(rows.hops.len(), 256 * 3);
    assert_eq!(tally.statistics.probes(Status::Inferred), 720);
    assert_eq!(tally.statistics.probes_sent(), 48);
    let probed: HashMap<_, _> = of(Status::Replied)
        .map(|row| ((row.trace_id, row.ttl), row.responder()))
        .collect();
    for row in &rows.hops {
        assert_eq!(row.round, u32::from(ROUND));
    }
    for row in of(Status::Inferred) {
        let inferred = row.inferred.as_ref().expect("where it comes from");
        let from = inferred.from.expect("a trace");
        assert_eq!(row.responder(), probed[&(from, row.ttl)], "{row:?}");
        assert_eq!((row.probe_id, row.sent_at, row.rtt_us), (None, None, None));
    }
    // Rows of a trace stand together, and each trace has its row and its row in the table.
    let mut order: Vec<TraceId> = rows.hops.iter().map(|row| row.trace_id).collect();
    order.dedup();
    assert_eq!(order.len(), 256);
    assert_eq!(rows.traces.len(), 256);
    let with_row: BTreeSet<TargetId> = rows.tables.iter().map(|row| row.target).collect();
    assert_eq!(with_row.len(), 256);
    let how = |text: &str| {
        let cell = Cell::Text(text.to_owned());
        rows.tables
            .iter()
            .filter(|row| row.cells[1] == cell)
            .count()
    };
    assert_eq!((how("probed"), how("inferred")), (16, 240));
    // What is inferred is no finding of the trace itself.
    for trace in &rows.traces {
        let is_probed = probed.contains_key(&(trace.trace_id, Some(Ttl(1))));
        assert_eq!(trace.probes_sent, if is_probed { 3 } else { 0 });
        assert_eq!(trace.path_hash.is_some(), is_probed);
        let path = trace.path.as_ref().map(Vec::len);
        assert_eq!(path, is_probed.then_some(TTLS.len()));
    }
}
