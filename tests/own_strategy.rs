//! A strategy that the program does not have, in this file and through the public interface: what a further one needs to be.
//!
//! It asks one target of each /28 for its first hops, and infers the same hops for the others. It writes a table of its own: how
//! many hops each target got, and how. Limits, matching and writing are the engine's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pathsurvey::dataset::read::{Dataset, Rows};
use pathsurvey::dataset::table::{AnyTable, Columns, Table};
use pathsurvey::dataset::{
    DatasetWriter, Ending, Hops, NewRun, Output, PartLimits, RunFigures, RunMeta, Traces, Vantage,
    all_tables,
};
use pathsurvey::engine::assembler::{Assembled, Assembler, TargetRows};
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
    FlowId, InferredHop, Outcome, Probe, ProbeId, ProbeResult, Protocol, Purpose, Rate, Status,
    StopReason, StrategyEvent, TableRow, TargetId, Targets, Time, TraceEnd, TraceId, Ttl, Vary,
};
use pathsurvey::strategy::{Actions, Cursor, Order, Poll, Reach, Shard, Strategy};
use pathsurvey::targets::{TargetSpec, load};
use pathsurvey::wire::token::{RunKey, TokenMaker};

const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
/// The hops asked for.
const TTLS: [Ttl; 3] = [Ttl(1), Ttl(2), Ttl(3)];
/// The round of the probes, which is the strategy's to choose.
const ROUND: u16 = 4;

/// How a target got its hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Probed,
    Inferred,
}

/// A row of the strategy's own table.
struct FirstHopsRow {
    trace_id: TraceId,
    hops: u8,
    how: How,
}

/// The strategy's own table.
struct FirstHopsTable;

impl Table for FirstHopsTable {
    type Row = FirstHopsRow;
    type SortKey = u64;

    const NAME: &'static str = "first_hops";
    const VERSION: u32 = 1;
    const DESCRIPTION: &'static str = "How each target got its first hops.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id"];
    const SORT_ORDER: &'static [&'static str] = &["trace_id"];

    fn columns(columns: &mut Columns<FirstHopsRow>) {
        columns.constant("run_id", "The run.", |run| &run.meta.run_id);
        columns.int64("trace_id", "The trace.", |row, _| row.trace_id);
        columns
            .int16("hops", "The number of hops.", |row, _| row.hops)
            .unit("hops");
        columns.address(
            "probed",
            "The address probed; null if none was.",
            |row, run| {
                let own = row.how == How::Probed;
                own.then(|| run.targets.address(TargetId(row.trace_id.0 as u32)))
            },
        );
        columns.static_text("how", "How it got them.", |row, _| match row.how {
            How::Probed => "probed",
            How::Inferred => "inferred",
        });
    }

    fn sort_key(row: &FirstHopsRow) -> u64 {
        row.trace_id.0
    }
}

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

    fn end(&mut self, target: TargetId, how: How, now: Time, actions: &mut Actions) {
        let row = FirstHopsRow {
            trace_id: TraceId::new(target, FlowId(0), 1),
            hops: TTLS.len() as u8,
            how,
        };
        let row = TableRow::new(target, row);
        actions.events.push(StrategyEvent::Row(row));
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
            graph: None,
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
        self.end(target, How::Inferred, now, actions);
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
            self.end(outcome.target, How::Probed, now, actions);
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
struct Kept(TargetRows);

impl RecordSink for Kept {
    fn write(&mut self, records: &mut Assembled, _: Time) -> Result<(), SinkError> {
        self.0.append(&mut records.take_all());
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

fn survey(network: LabNetwork) -> (TargetRows, Tally) {
    let timeouts = Timeouts {
        timeout: Duration::from_secs(3),
        late_window: Duration::from_secs(1),
    };
    let tokens = TokenMaker::new(RunKey::new([4; 16]));
    let tracker = Tracker::new(ProbeFormat::udp(1), timeouts, tokens, 1_000, ProbeId(0));
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
        progress: &mut |_| None,
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
    let how = |how: How| {
        let rows = rows.tables.iter().filter_map(TableRow::get::<FirstHopsRow>);
        rows.filter(|row| row.how == how).count()
    };
    assert_eq!((how(How::Probed), how(How::Inferred)), (16, 240));
    // What is inferred is no finding of the trace itself.
    for trace in &rows.traces {
        let is_probed = probed.contains_key(&(trace.trace_id, Some(Ttl(1))));
        assert_eq!(trace.probes_sent, if is_probed { 3 } else { 0 });
        assert_eq!(trace.path_hash.is_some(), is_probed);
        let path = trace.path.as_ref().map(Vec::len);
        assert_eq!(path, is_probed.then_some(TTLS.len()));
    }
}

fn meta() -> RunMeta {
    RunMeta {
        run_id: "run-1".to_owned(),
        survey_id: "night-1".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage::default(),
        seed: 3,
        started_at: START,
        date: None,
        method: "first-hops".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: None,
        vary: Vary::SourcePort,
        dst_port: None,
        attempts: 1,
        gap_limit: None,
        probe_sizes: [None; 2],
        config: serde_json::Value::Null,
    }
}

/// Writes all rows, in several parts per table.
fn write(rows: TargetRows, root: &std::path::Path) {
    let mut tables = all_tables().to_vec();
    tables.push(AnyTable::of::<FirstHopsTable>());
    let run = NewRun {
        tables,
        limits: PartLimits {
            rows: 100,
            ..PartLimits::default()
        },
        ..NewRun::new(meta(), targets())
    };
    let output = Output::Directory(root.to_owned());
    let figures = RunFigures::default();
    let mut writer = DatasetWriter::create(&output, run, START, &figures).expect("a directory");
    for row in rows.hops {
        writer.push::<Hops>(row, START).expect("a table of hops");
    }
    for row in rows.traces {
        writer
            .push::<Traces>(row, START)
            .expect("a table of traces");
    }
    for row in rows.tables {
        writer.row(row, START).expect("a table of first hops");
        writer.seal_if_due(START).expect("room");
    }
    let end = writer.finish(&Ending::Complete, START, &figures);
    assert_eq!(end.expect("room").hops, 768);
}

#[test]
fn the_strategy_s_own_table_goes_into_parquet_and_comes_back() {
    let (rows, _) = survey(LabNetwork::generated_with(3, GeneratedOptions::clean()));
    let of = |row: &TableRow| -> Option<(i64, bool)> {
        let row = row.get::<FirstHopsRow>()?;
        Some((row.trace_id.0 as i64, row.how == How::Probed))
    };
    let mut expected: Vec<(i64, bool)> = rows.tables.iter().filter_map(of).collect();
    expected.sort_unstable();
    assert_eq!(expected.len(), 256);
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(rows, dir.path());

    let dataset = Dataset::open(dir.path()).expect("a dataset");
    let [run] = dataset.runs() else {
        panic!("one run: {:?}", dataset.runs());
    };
    assert!(run.parts("first_hops").len() > 1, "several parts");
    let mut found = Vec::new();
    let batches = dataset.scan("first_hops").batches().expect("the table");
    for batch in batches {
        for row in Rows::new(batch.expect("a whole part")).iter() {
            let trace = row.int("trace_id").unwrap().expect("a trace");
            let address = row.address("probed").unwrap();
            let how = row.text("how").unwrap().expect("a name");
            let target = targets().address(TargetId(trace as u32));
            assert_eq!(address, (how == "probed").then_some(target));
            assert_eq!(row.int("hops").unwrap(), Some(3));
            assert_eq!(row.text("run_id").unwrap(), Some("run-1"));
            found.push((trace, how == "probed"));
        }
    }
    found.sort_unstable();
    assert_eq!(found, expected);

    // The key of an inferred row has no probe in it.
    let mut inferred = BTreeSet::new();
    for trace in dataset.traces().iter().expect("both tables") {
        let trace = trace.expect("whole parts");
        for row in trace.hops().iter() {
            if row.text("status").unwrap() == Some("inferred") {
                assert!(row.is_null("probe_id").unwrap());
                let key = ["trace_id", "round", "ttl"].map(|name| row.int(name).unwrap());
                assert!(inferred.insert(key), "{key:?} twice");
            }
        }
    }
    assert_eq!(inferred.len(), 720);
}
