//! What can go wrong around the engine: full queues, refusals, hosts without room, a slow writer, an interrupt, limits.
//!
//! The live driver sends, receives and writes through the same code. What only it has (threads, clocks, sockets) is tested in
//! `live`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pathsurvey::config::{StrategyChoice, SurveyConfig};
use pathsurvey::engine::limiter::{Cap, NearCap};
use pathsurvey::engine::stop::{Asked, Stop};
use pathsurvey::lab::{GeneratedOptions, LabNetwork};
use pathsurvey::model::{HopRecord, Protocol, Status, StopReason, Time, Ttl, UnsentReason};
use pathsurvey::survey::VIRTUAL_START;
use pathsurvey::transport::{InProcessNetwork, PacketBatch, SendProgress, Stopped};

use super::experiment::{Drive, Driven, InProcess, chain, config, load, rate};

/// What the vantage point's kernel says to a packet: `None` when it takes the packet. Arguments: destination, how many packets were
/// offered before, time.
type Kernel<'a> = &'a mut dyn FnMut(IpAddr, u64, Time) -> Option<Stopped>;

/// A network behind a kernel with a will of its own.
struct Behind<'a> {
    network: InProcess,
    kernel: Kernel<'a>,
    offered: u64,
    /// How many packets the kernel took.
    taken: u64,
}

impl<'a> Behind<'a> {
    fn new(network: LabNetwork, kernel: Kernel<'a>) -> Self {
        Behind {
            network: InProcess::new(network),
            kernel,
            offered: 0,
            taken: 0,
        }
    }
}

impl InProcessNetwork for Behind<'_> {
    fn source_for(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        self.network.source_for(destination)
    }

    fn send(&mut self, packet: &[u8], now: Time) {
        self.network.send(packet, now);
    }

    fn offer(&mut self, batch: &PacketBatch, first: usize, now: Time) -> SendProgress {
        let mut taken = 0;
        for (destination, packet) in batch.iter_from(first) {
            let said = (self.kernel)(destination, self.offered, now);
            self.offered += 1;
            if let Some(stopped) = said {
                let stopped = Some(stopped);
                return SendProgress { taken, stopped };
            }
            self.network.send(packet, now);
            taken += 1;
            self.taken += 1;
        }
        let stopped = None;
        SendProgress { taken, stopped }
    }

    fn next_arrival(&self) -> Option<Time> {
        self.network.next_arrival()
    }

    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)> {
        self.network.receive(now)
    }
}

fn clean() -> LabNetwork {
    LabNetwork::generated_with(3, GeneratedOptions::clean())
}

/// Runs `drive` over `network` behind `kernel`. Also gives how many packets the kernel took.
fn run(drive: Drive<'_>, network: LabNetwork, kernel: Kernel<'_>) -> (Driven, u64) {
    let targets = load(drive.config);
    let mut behind = Behind::new(network, kernel);
    let driven = drive.over(&mut behind, targets);
    check_account(&driven.rows.hops);
    (driven, behind.taken)
}

fn takes_all(_: IpAddr, _: u64, _: Time) -> Option<Stopped> {
    None
}

/// Every probe has exactly one row of its own.
fn check_account(rows: &[HopRecord]) {
    let mut seen = BTreeSet::new();
    for row in rows.iter().filter(|row| row.reply_index == 0) {
        assert!(seen.insert(row.probe_id), "twice: {row:?}");
    }
}

fn count(rows: &[HopRecord], status: Status) -> u64 {
    let own = rows.iter().filter(|row| row.reply_index == 0);
    own.filter(|row| row.status == status).count() as u64
}

/// What a row says of the network, without times and numbers: destination, flow, TTL, attempt, responder.
type Shown = (IpAddr, u16, Option<Ttl>, u8, Option<IpAddr>);

fn findings(driven: &Driven) -> BTreeSet<Shown> {
    let rows = driven.rows.hops.iter();
    rows.map(|row| {
        let (destination, flow) = (row.destination, row.flow.0);
        (destination, flow, row.ttl, row.attempt, row.responder())
    })
    .collect()
}

fn trace(targets: &[&str]) -> SurveyConfig {
    config(targets, 7).validate().expect("sound")
}

#[test]
fn a_queue_that_is_full_now_and_then_delays_probes_and_loses_none() {
    let config = trace(&["198.18.9.0/26"]);
    let (calm, _) = run(Drive::new(&config), clean(), &mut takes_all);
    // Full for half of each 20 ms, and in the middle of every batch.
    let mut pauses = 0;
    let (full, taken) = run(Drive::new(&config), clean(), &mut |_, offered, now| {
        let phase = now.since(VIRTUAL_START).as_micros() / 10_000;
        let is_full = phase % 2 == 1 || offered % 5 == 4;
        pauses += u64::from(is_full);
        is_full.then_some(Stopped::Full)
    });
    assert!(pauses > 100, "{pauses} pauses");
    assert_eq!(findings(&full), findings(&calm));
    assert_eq!(count(&full.rows.hops, Status::SendError), 0);
    assert_eq!(full.tally.statistics.probes_sent(), taken);
}

#[test]
fn a_queue_that_stays_full_is_given_up_after_two_seconds() {
    let config = trace(&["198.18.9.0/30"]);
    let (driven, taken) = run(Drive::new(&config), clean(), &mut |_, _, _| {
        Some(Stopped::Full)
    });
    assert_eq!(taken, 0);
    let rows = &driven.rows.hops;
    assert_eq!(count(rows, Status::SendError), rows.len() as u64);
    assert!(
        rows.iter()
            .all(|row| row.reason == Some(UnsentReason::QueueFull))
    );
    let ends = driven.rows.traces.iter();
    assert!({ ends }.all(|trace| trace.stop_reason == StopReason::Error));
    let took = driven.ended_at.since(VIRTUAL_START);
    assert!(took >= Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_queue_that_is_full_for_longer_than_the_timeout_ends_all_the_same() {
    let mut survey = config(&["198.18.9.0/26"], 7);
    survey.rate = rate(50_000.0);
    survey.timeout = Duration::from_secs(1);
    let survey = survey.validate().expect("sound");
    let (driven, taken) = run(Drive::new(&survey), clean(), &mut |_, offered, _| {
        (offered >= 20).then_some(Stopped::Full)
    });
    assert_eq!(taken, 20);
    let rows = &driven.rows.hops;
    assert_eq!(rows.len() as u64 - count(rows, Status::SendError), 20);
    assert_eq!(driven.rows.traces.len(), 64);
}

#[test]
fn an_interrupt_accounts_for_probes_that_wait_for_room() {
    let config = trace(&["198.18.9.0/26"]);
    for after in [70, 75, 90, 300] {
        let asked = Arc::new(Asked::default());
        let mut drive = Drive::new(&config);
        drive.stop = Stop::new(asked.clone());
        let reason = UnsentReason::NeighbourTableFull;
        let (driven, taken) = run(drive, clean(), &mut |_, offered, _| {
            if offered + 1 == after {
                asked.stop(2);
            }
            Some(Stopped::Crowded(reason))
        });
        assert_eq!(taken, 0);
        let rows = &driven.rows.hops;
        assert_eq!(rows.len(), 64, "after {after}");
        let is_skipped = |row: &HopRecord| {
            (row.status, row.reason) == (Status::Skipped, Some(UnsentReason::Interrupted))
        };
        assert!(rows.iter().all(is_skipped));
    }
}

#[test]
fn a_refused_probe_is_a_send_error_and_the_others_of_its_batch_are_sent() {
    let mut survey = config(&["198.18.9.0/27"], 7);
    survey.strategy = StrategyChoice::Sweep;
    survey.protocol = Protocol::Icmp;
    let survey = survey.validate().expect("sound");
    let refuses = |offered: u64| offered % 7 == 3;
    let (driven, taken) = run(Drive::new(&survey), clean(), &mut |_, offered, _| {
        refuses(offered).then_some(Stopped::Refused(UnsentReason::Firewall))
    });
    let rows = &driven.rows.hops;
    let refused = (0..32 * 32).filter(|n| refuses(*n)).count() as u64;
    assert_eq!(count(rows, Status::SendError), refused);
    assert_eq!(rows.len() as u64 - refused, taken);
    let unsent = rows.iter().filter(|row| row.status == Status::SendError);
    let as_told = |row: &HopRecord| {
        (row.reason, row.sent_at, row.responder()) == (Some(UnsentReason::Firewall), None, None)
    };
    assert!({ unsent }.all(as_told));
}

#[test]
fn targets_that_the_kernel_has_no_room_for_wait_while_others_are_probed() {
    let config = trace(&["198.18.9.0/26", "198.18.10.0/26"]);
    let crowded =
        |destination: IpAddr| matches!(destination, IpAddr::V4(v4) if v4.octets()[2] == 10);
    let reason = UnsentReason::NeighbourTableFull;
    // There is room after six seconds.
    let (late, _) = run(Drive::new(&config), clean(), &mut |destination, _, now| {
        let is_full = now.since(VIRTUAL_START) < Duration::from_secs(6);
        (is_full && crowded(destination)).then_some(Stopped::Crowded(reason))
    });
    let (calm, _) = run(Drive::new(&config), clean(), &mut takes_all);
    assert_eq!(findings(&late), findings(&calm));
    assert_eq!(late.tally.crowded, 64);
    let first = |wanted: bool| {
        let rows = late.rows.hops.iter();
        { rows }
            .filter(|row| crowded(row.destination) == wanted)
            .filter_map(|row| row.sent_at)
            .min()
            .expect("a probe")
            .since(VIRTUAL_START)
    };
    assert!(first(true) >= Duration::from_secs(6));
    assert!(first(false) < Duration::from_millis(10));
    // There never is.
    let (never, _) = run(Drive::new(&config), clean(), &mut |destination, _, _| {
        crowded(destination).then_some(Stopped::Crowded(reason))
    });
    let unsent = never.rows.hops.iter();
    let unsent = unsent.filter(|row| row.status == Status::SendError);
    let unsent: Vec<_> = unsent.map(|row| (row.destination, row.reason)).collect();
    assert_eq!(unsent.len(), 64);
    assert!(
        unsent
            .iter()
            .all(|(to, why)| crowded(*to) && *why == Some(reason))
    );
}

#[test]
fn a_slow_writer_slows_the_survey_and_loses_nothing() {
    // 262,144 rows, of which the writer takes 20,000 a second: 13 s in all.
    let mut survey = config(&["198.18.0.0/19"], 7);
    survey.targets.per_prefix = 254;
    survey.strategy = StrategyChoice::Sweep;
    survey.protocol = Protocol::Icmp;
    survey.rate = rate(200_000.0);
    let survey = survey.validate().expect("sound");
    let mut drive = Drive::new(&survey);
    drive.writer_speed = Some(rate(20_000.0));
    let (slow, taken) = run(drive, clean(), &mut takes_all);
    assert_eq!(count(&slow.rows.hops, Status::SendError), 0);
    let own = slow.rows.hops.iter().filter(|row| row.reply_index == 0);
    assert_eq!(own.count() as u64, taken);
    assert_eq!(slow.rows.hops.len() as u64, 32 * survey_targets(&survey));
    // 200,000 rows may wait. Of the rest each waited for its 50 µs.
    let least = Duration::from_micros(50 * (slow.rows.hops.len() as u64 - 210_000));
    let took = slow.ended_at.since(VIRTUAL_START);
    assert!(took > least, "{took:?}, at least {least:?}");
    assert!(slow.tally.held_up_ms > 500, "{} ms", slow.tally.held_up_ms);
}

fn survey_targets(survey: &SurveyConfig) -> u64 {
    u64::from(pathsurvey::model::Targets::len(&*load(survey)))
}

#[test]
fn an_interrupt_accounts_for_every_probe_and_ends_every_trace() {
    let config = trace(&["198.18.9.0/24"]);
    for after in [1, 100, 1_000] {
        let asked = Arc::new(Asked::default());
        let mut drive = Drive::new(&config);
        drive.stop = Stop::new(asked.clone());
        let (driven, taken) = run(drive, clean(), &mut |_, offered, _| {
            if offered + 1 == after {
                asked.stop(2);
            }
            None
        });
        // The batch of the last probe is still sent, and nothing after it.
        assert!((after..after + 64).contains(&taken), "{taken}");
        let rows = &driven.rows.hops;
        let own = rows.iter().filter(|row| row.reply_index == 0);
        assert_eq!(own.count() as u64, taken);
        assert_eq!(count(rows, Status::Timeout), 0, "answers are waited for");
        let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
        for trace in &driven.rows.traces {
            *ends.entry(trace.stop_reason.as_str()).or_default() += 1;
        }
        assert!(ends["interrupted"] > 0, "{ends:?}");
        let known: BTreeSet<_> = driven.rows.traces.iter().map(|t| t.trace_id).collect();
        assert!(rows.iter().all(|row| known.contains(&row.trace_id)));
    }
}

#[test]
fn an_end_at_once_waits_for_nothing_and_counts_what_is_pending() {
    let config = trace(&["198.18.9.0/24"]);
    let asked = Arc::new(Asked::default());
    let mut drive = Drive::new(&config);
    drive.stop = Stop::new(asked.clone());
    let (driven, taken) = run(drive, clean(), &mut |_, offered, _| {
        if offered + 1 == 500 {
            asked.stop(2);
            asked.stop_at_once();
        }
        None
    });
    let rows = &driven.rows.hops;
    let own = rows.iter().filter(|row| row.reply_index == 0).count() as u64;
    assert!(driven.tally.pending > 0);
    assert_eq!(own + driven.tally.pending, taken);
    assert_eq!(count(rows, Status::Timeout), 0);
}

fn cap(per_second: f64, burst: u32, seconds: u64) -> Cap {
    Cap {
        rate: rate(per_second),
        burst,
        longest_wait: Duration::from_secs(seconds),
    }
}

#[test]
fn a_cap_that_lets_probes_wait_changes_no_path() {
    let config = trace(&["198.18.9.0/25", "198.18.10.0/25"]);
    let (free, _) = run(Drive::new(&config), clean(), &mut takes_all);
    let mut drive = Drive::new(&config);
    drive.limits.prefix = Some(cap(400.0, 10, 3_600));
    drive.limits.near = Some(NearCap {
        cap: cap(100.0, 10, 3_600),
        max_ttl: Ttl(3),
    });
    let (capped, _) = run(drive, clean(), &mut takes_all);
    assert_eq!(findings(&capped), findings(&free));
    assert_eq!(count(&capped.rows.hops, Status::Skipped), 0);
    // No second saw more than the caps allow.
    for ttl in 1..=3 {
        let at_ttl = |row: &&HopRecord| row.ttl == Some(Ttl(ttl));
        let mut sent: Vec<Time> = { capped.rows.hops.iter() }
            .filter(at_ttl)
            .filter_map(|row| row.sent_at)
            .collect();
        sent.sort_unstable();
        assert_eq!(sent.len(), 256);
        for pair in sent.windows(111) {
            assert!(pair[110].since(pair[0]) >= Duration::from_millis(999));
        }
    }
}

#[test]
fn probes_beyond_a_cap_are_skipped_with_its_reason_and_end_no_trace() {
    let config = trace(&["198.18.9.0/24"]);
    let mut drive = Drive::new(&config);
    drive.limits.near = Some(NearCap {
        cap: cap(20.0, 5, 1),
        max_ttl: Ttl(2),
    });
    let (driven, taken) = run(drive, clean(), &mut takes_all);
    let rows = &driven.rows.hops;
    let skipped: Vec<_> = { rows.iter() }
        .filter(|row| row.status == Status::Skipped)
        .collect();
    assert!(skipped.len() > 300, "{} skipped", skipped.len());
    for row in &skipped {
        assert_eq!(row.reason, Some(UnsentReason::NearHopLimit));
        assert!(row.ttl <= Some(Ttl(2)));
        let never = (row.sent_at, row.source, row.responder(), row.rtt_us);
        assert_eq!(never, (None, None, None, None));
    }
    assert_eq!(rows.len() as u64 - skipped.len() as u64, taken);
    assert_eq!(
        driven.tally.statistics.probes(Status::Skipped),
        skipped.len() as u64
    );
    // The distance was learned behind the cap, so every target is reached.
    assert_eq!(driven.rows.traces.len(), 256);
    for trace in &driven.rows.traces {
        assert_eq!(trace.stop_reason, StopReason::Completed);
        assert!(trace.path_length.is_some());
        let own = rows.iter().filter(|row| row.trace_id == trace.trace_id);
        let sent = own.filter(|row| row.status.was_sent() && row.reply_index == 0);
        assert_eq!(trace.probes_sent as usize, sent.count());
    }
}

#[test]
fn a_prefix_of_which_everything_is_skipped_ends_without_a_path() {
    let config = trace(&["198.18.9.0/26", "198.18.10.0/26"]);
    let mut drive = Drive::new(&config);
    // One probe in a thousand seconds.
    drive.limits.prefix = Some(cap(0.001, 1, 1));
    let (driven, taken) = run(drive, clean(), &mut takes_all);
    assert_eq!(taken, 2);
    let reasons: BTreeSet<_> = driven
        .rows
        .hops
        .iter()
        .filter_map(|row| row.reason)
        .collect();
    assert_eq!(reasons, BTreeSet::from([UnsentReason::PrefixLimit]));
    for trace in &driven.rows.traces {
        let (reason, length) = (trace.stop_reason, trace.path_length);
        assert_eq!((reason, length), (StopReason::MaxTtl, None));
    }
}

#[test]
fn a_udp_sweep_asks_no_target_more_often_than_it_answers() {
    // The targets answer six times, and then once a second.
    let mut survey = config(&["198.18.0.0/28"], 7);
    survey.strategy = StrategyChoice::Sweep;
    survey.rate = rate(2_000.0);
    let survey = survey.validate().expect("sound");
    let target = r#"
        [[target]]
        prefix = "198.18.0.0/24"
        at = "three"
    "#;
    let network = chain(1, "{ delay_ms = 3 }", target);
    let (driven, _) = run(Drive::new(&survey), network, &mut takes_all);
    let rows = &driven.rows.hops;
    assert_eq!(rows.len(), 16 * 32);
    assert_eq!(count(rows, Status::Timeout), 0, "no answer was withheld");
}
