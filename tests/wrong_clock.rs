//! Surveys whose wall clock is stepped by an hour under way.
//!
//! No namespace has a wall clock of its own (time namespaces have only CLOCK_MONOTONIC and CLOCK_BOOTTIME). So the clock is given to the
//! engine, and a network in this process stamps replies with it, as a kernel does.

#![expect(
    clippy::disallowed_methods,
    reason = "a transport reads clocks, and the wall clock of these tests advances with the machine's"
)]

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pathsurvey::config::SurveyConfig;
use pathsurvey::engine::assembler::{Assembled, TargetRows};
use pathsurvey::engine::clock::{Clock, WallClock};
use pathsurvey::engine::live::LiveRun;
use pathsurvey::engine::report::Tally;
use pathsurvey::engine::sink::{RecordSink, SinkError};
use pathsurvey::engine::stop::Stop;
use pathsurvey::lab::{LabNetwork, VirtualNetwork};
use pathsurvey::model::{HopRecord, ProbeId, Rate, Status, Time, UnsentReason};
use pathsurvey::survey::{Identity, parts};
use pathsurvey::targets::TargetSpec;
use pathsurvey::transport::{
    Arrival, InProcessNetwork, PacketBatch, PacketReceiver, PacketSender, Received, SendProgress,
};

const HOUR: i64 = 3_600_000_000_000;

/// 2026-03-01T00:00:00Z.
const START: u64 = 1_772_323_200_000_000_000;

/// A wall clock that steps at given times.
#[derive(Debug)]
struct Stepping {
    started: Instant,
    /// When it steps, after its start, and by how many nanoseconds.
    steps: Vec<(Duration, i64)>,
}

impl Stepping {
    /// Its time without the steps.
    fn steady(&self) -> Time {
        Time::from_nanos(START) + self.started.elapsed()
    }

    /// What it shows at a time of [`steady`](Stepping::steady).
    fn shows(&self, steady: Time) -> u64 {
        let since = steady.since(Time::from_nanos(START));
        let past = self.steps.iter().filter(|(at, _)| *at <= since);
        let stepped: i64 = past.map(|(_, by)| by).sum();
        steady.as_nanos().saturating_add_signed(stepped)
    }
}

impl WallClock for Stepping {
    fn nanos(&self) -> u64 {
        self.shows(self.steady())
    }
}

/// A network in this process. Both halves of the transport share it.
struct Link {
    network: Mutex<VirtualNetwork<LabNetwork>>,
    /// Wakes the receiver.
    sent: Condvar,
    wall: &'static Stepping,
}

impl Link {
    fn network(&self) -> MutexGuard<'_, VirtualNetwork<LabNetwork>> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Sender(Arc<Link>);

impl PacketSender for Sender {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress> {
        let mut network = self.0.network();
        for (_, packet) in batch.iter_from(first) {
            network.send(packet, self.0.wall.steady());
        }
        self.0.sent.notify_one();
        Ok(SendProgress {
            taken: batch.len() - first,
            stopped: None,
        })
    }

    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        InProcessNetwork::source_for(&*self.0.network(), destination)
    }
}

struct Receiver(Arc<Link>);

impl PacketReceiver for Receiver {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let deadline = Instant::now() + timeout;
        let mut received = Received::default();
        let mut network = self.0.network();
        let wall = self.0.wall;
        loop {
            while let Some((at, packet)) = network.receive(wall.steady()) {
                // As the kernel: the wall clock when the packet arrived.
                visit(Arrival::Packet(&packet), Some(wall.shows(at)));
                received.count += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if received.count > 0 || left.is_zero() {
                return Ok(received);
            }
            let next = network.next_arrival().map(|at| at.since(wall.steady()));
            let wait = next.map_or(left, |next| next.min(left));
            let woken = self.0.sent.wait_timeout(network, wait);
            network = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}

/// Keeps the rows.
#[derive(Default)]
struct Rows(TargetRows);

impl RecordSink for Rows {
    fn write(&mut self, records: &mut Assembled, _: Time) -> Result<(), SinkError> {
        self.0.append(&mut records.take_all());
        Ok(())
    }

    fn tick(&mut self, _: Time, _: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

const TIMEOUT: Duration = Duration::from_secs(2);

/// Surveys 64 targets of an example network. The wall clock steps as `steps` say.
fn survey(network: &str, steps: Vec<(Duration, i64)>) -> (TargetRows, Tally, Duration) {
    let config = SurveyConfig {
        targets: TargetSpec {
            arguments: vec!["198.18.0.0/26".to_owned()],
            allow_special: true,
            ..TargetSpec::default()
        },
        rate: Rate::new(1_000.0).unwrap(),
        timeout: TIMEOUT,
        cooldown: Duration::from_millis(100),
        late_window: Duration::from_millis(100),
        seed: 17,
        ..SurveyConfig::default()
    };
    let config = config.validate().unwrap();
    let no_names = |_: &str| -> io::Result<Vec<IpAddr>> { panic!("there are no names") };
    let loaded = pathsurvey::targets::load(&config.targets, &no_names, &mut |bad| panic!("{bad}"));
    let targets = Arc::new(loaded.unwrap().0);
    let path = format!("{}/labs/{network}.toml", env!("CARGO_MANIFEST_DIR"));
    let network = LabNetwork::from_file(path.as_ref()).unwrap();
    let wall: &'static Stepping = Box::leak(Box::new(Stepping {
        started: Instant::now(),
        steps,
    }));
    let link = Arc::new(Link {
        network: Mutex::new(VirtualNetwork::new(network)),
        sent: Condvar::new(),
        wall,
    });
    let clock = Clock::over(wall);
    let start = clock.started_at();
    let format = parts::format(&config, config.source_port);
    let key = Identity::of_seed(start, config.seed, 0).key;
    let run = LiveRun {
        core: parts::core(
            &config,
            parts::strategy_for(&config, targets, true, None),
            parts::tracker(&config, format, key, ProbeId(0)),
            start,
        ),
        assembler: parts::assembler(&config),
        sender: Box::new(Sender(link.clone())),
        receiver: Box::new(Receiver(link)),
        sink: Rows::default(),
        clock,
    };
    let began = Instant::now();
    let end = run.run(&Stop::default(), |_| None);
    assert!(end.error.is_none(), "{:?}", end.error);
    (end.sink.0, end.tally, began.elapsed())
}

/// The rows of probes by trace and TTL.
fn by_probe(rows: &TargetRows) -> BTreeMap<(u64, u8), &HopRecord> {
    let probes = rows.hops.iter().filter(|row| row.reply_index == 0);
    probes
        .map(|row| ((row.trace_id.0, row.ttl.expect("a TTL").0), row))
        .collect()
}

/// Compares a survey with one whose clock is steady.
fn check(steps: &[(Duration, i64)]) {
    let (steady, _, usual) = survey("clean", Vec::new());
    let (stepped, tally, took) = survey("clean", steps.to_vec());
    let counts = &tally.statistics;
    assert_eq!(counts.probes(Status::Replied), counts.probes_sent());
    assert!(took < usual + Duration::from_secs(20), "{took:?}");
    let (steady, stepped) = (by_probe(&steady), by_probe(&stepped));
    assert!(steady.keys().eq(stepped.keys()), "other probes");
    assert!(stepped.len() > 200);
    for (probe, row) in stepped {
        let rtt = |row: &HopRecord| row.rtt_us.expect("a reply");
        let (rtt, usual) = (rtt(row), rtt(steady[&probe]));
        // A machine under load may delay a thread, and so a probe.
        assert!(
            rtt > 0 && rtt + 100_000 > usual,
            "{probe:?}: {rtt} µs, {usual} µs"
        );
        assert!(rtt < usual + 1_000_000, "{probe:?}: {rtt} µs, {usual} µs");
    }
}

/// Steps from `first` on, every `pause`, whose sum is 0.
fn steps(first: Duration, pause: Duration, by: &[i64]) -> Vec<(Duration, i64)> {
    let times = (0..400).map(|number| first + pause * number);
    times.zip(by.iter().copied().cycle()).collect()
}

#[test]
fn a_clock_that_steps_before_the_first_reply_shifts_no_round_trip() {
    for by in [HOUR, -HOUR] {
        check(&[(Duration::from_millis(1), by)]);
    }
}

#[test]
fn a_clock_that_steps_while_probes_are_pending_shifts_no_round_trip() {
    for by in [HOUR, -HOUR] {
        check(&[(Duration::from_millis(60), by)]);
    }
}

#[test]
fn a_clock_that_steps_again_and_again_shifts_no_round_trip() {
    let every = Duration::from_millis(7);
    check(&steps(every, every, &[HOUR, -HOUR, -HOUR, HOUR]));
}

#[test]
fn probes_without_a_reply_time_out_in_time_while_the_clock_steps() {
    let every = Duration::from_millis(50);
    let steps = steps(every, every, &[HOUR, -HOUR, -HOUR, HOUR]);
    let (rows, tally, took) = survey("loss", steps);
    assert!(tally.statistics.probes(Status::Timeout) > 0);
    assert_eq!(rows.traces.len(), 64);
    assert!(took < Duration::from_secs(120), "{took:?}");
    let late = rows.hops.iter().filter_map(|row| row.rtt_us).max();
    assert!(late.is_some_and(|rtt| i128::from(rtt) < 2 * TIMEOUT.as_micros().cast_signed()));
}
