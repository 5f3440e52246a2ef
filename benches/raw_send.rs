//! How fast probes leave, beside the fastest that this machine can: a bare sendmmsg loop over packets of the same sizes to the
//! same destinations in the same order.
//!
//! Both send into a fresh network namespace that takes every packet and drops it; nothing leaves the machine. They take turns
//! within one run, so that a noisy machine disturbs both alike: what counts is the ratio. Then the pacer's accuracy: the rate
//! achieved and the largest number of probes in any millisecond, for several rates.
//!
//! Run as root, or as an ordinary user where user namespaces are allowed: `cargo bench --bench raw_send`.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pathsurvey::engine::assembler::{Assembled, Assembler};
use pathsurvey::engine::clock::Clock;
use pathsurvey::engine::core::Core;
use pathsurvey::engine::format::{Marked, ProbeFormat};
use pathsurvey::engine::limiter::Limits;
use pathsurvey::engine::live::LiveRun;
use pathsurvey::engine::report::Tally;
use pathsurvey::engine::sink::{RecordSink, SinkError};
use pathsurvey::engine::stop::Stop;
use pathsurvey::engine::tracker::{Timeouts, Tracker};
use pathsurvey::lab::driver::enter_drop_namespace;
use pathsurvey::model::{ProbeId, Rate, Targets, Time, Ttl, UnsentReason};
use pathsurvey::strategy::{Actions, Poll, Request, Strategy, Sweep};
use pathsurvey::targets::{TargetSpec, load};
use pathsurvey::transport::raw::{RawReceiver, RawSender};
use pathsurvey::transport::{PacketBatch, PacketSender, SendProgress};
use pathsurvey::wire::token::{Marks, RunKey, TokenMaker};

const FORMAT: ProbeFormat = ProbeFormat::udp(1);
const TTLS: u8 = 16;
const ROUNDS: usize = 5;
/// Packets a call of the bare loop: enough that the call itself costs next to nothing.
const BARE_BATCH: usize = 64;

/// Keeps nothing: what a disk costs is another bench's matter.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&mut self, records: &mut Assembled, _: Time) -> Result<(), SinkError> {
        records.take_all();
        Ok(())
    }

    fn tick(&mut self, _: Time, _: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Notes when each packet left, for the pacer's figures.
struct Timed {
    inner: RawSender,
    clock: Clock,
    left: Arc<std::sync::Mutex<Vec<Time>>>,
}

impl PacketSender for Timed {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> std::io::Result<SendProgress> {
        let progress = self.inner.send(batch, first)?;
        let now = self.clock.now();
        if let Ok(mut left) = self.left.lock() {
            left.extend(std::iter::repeat_n(now, progress.taken));
        }
        Ok(progress)
    }

    fn source_for(
        &mut self,
        destination: std::net::IpAddr,
    ) -> Result<std::net::IpAddr, UnsentReason> {
        self.inner.source_for(destination)
    }
}

fn targets(probes: u64) -> Arc<dyn Targets> {
    let hosts = probes.div_ceil(u64::from(TTLS)).clamp(1, 131_072);
    let spec = TargetSpec {
        arguments: vec![format!(
            "198.18.0.0/{}",
            32 - hosts.next_power_of_two().trailing_zeros()
        )],
        per_prefix: 254,
        allow_special: true,
        ..TargetSpec::default()
    };
    let refuse = |_: &str| Err(std::io::Error::other("no names here"));
    let (targets, _) = load(&spec, &refuse, &mut |_| {}).expect("a prefix is a target");
    Arc::new(targets)
}

/// Sends a sweep through the whole engine; returns the rate from the first probe to the last, and, if asked, when each left.
fn survey(rate: f64, probes: u64, timed: bool) -> (f64, Vec<Time>) {
    let clock = Clock::start();
    let rate = Rate::new(rate).expect("a rate");
    let timeouts = Timeouts {
        timeout: Duration::from_millis(100),
        late_window: Duration::ZERO,
    };
    let tokens = TokenMaker::new(RunKey::new([3; 16]));
    let left = Arc::new(std::sync::Mutex::new(Vec::with_capacity(probes as usize)));
    let inner = RawSender::open().expect("a raw socket");
    let sender: Box<dyn PacketSender> = match timed {
        true => Box::new(Timed {
            inner,
            clock,
            left: Arc::clone(&left),
        }),
        false => Box::new(inner),
    };
    let targets = targets(probes);
    let items = u64::from(targets.len()) * u64::from(TTLS);
    let sweep = Sweep::new(targets, 1, Ttl(1), Ttl(TTLS), 1);
    let run = LiveRun {
        core: Core::new(
            Box::new(sweep),
            &Limits::rate(rate),
            Tracker::new(
                FORMAT,
                timeouts,
                tokens,
                (rate.per_second() / 10.0).min(4e6) as usize,
                ProbeId(0),
            ),
            clock.started_at(),
            Duration::ZERO,
        ),
        assembler: Assembler::new(false, 1),
        sender,
        receiver: Box::new(RawReceiver::open(8 << 20).expect("a raw socket")),
        sink: Nowhere,
        clock,
    };
    let end = run.run(&Stop::default(), |_| None);
    assert!(
        end.error.is_none(),
        "{:?}",
        end.error.map(|error| error.to_string())
    );
    assert_eq!(end.progress.sent, items);
    let left = std::mem::take(&mut *left.lock().expect("the sender is gone"));
    (end.tally.achieved_rate().unwrap_or(0.0), left)
}

/// Sends packets to the same destinations in the same order with nothing but the socket; they are made beforehand.
fn bare(probes: u64) -> f64 {
    let mut sender = RawSender::open().expect("a raw socket");
    let mut sweep = Sweep::new(targets(probes), 1, Ttl(1), Ttl(TTLS), 1);
    let mut batches = vec![PacketBatch::default()];
    let mut made = 0u32;
    let mut actions = Actions::default();
    while sweep.poll(Time::default(), &mut actions) == Poll::Started {}
    for Request { probe, .. } in actions.requests.drain(..) {
        let source = sender.source_for(probe.destination).expect("a route");
        let marked = Marked {
            source,
            destination: probe.destination,
            flow: probe.flow,
            ttl: probe.ttl,
            size: None,
            serial: 1,
            flow_label: 0,
            marks: Marks { check: 1, tag: 2 },
        };
        if batches.last().is_none_or(|batch| batch.len() == BARE_BATCH) {
            batches.push(PacketBatch::default());
        }
        if let Some(batch) = batches.last_mut() {
            FORMAT.encode(&marked, batch);
        }
        made += 1;
    }
    let start = Instant::now();
    for batch in &batches {
        let mut first = 0;
        while first < batch.len() {
            first += sender.send(batch, first).expect("a working socket").taken;
        }
    }
    f64::from(made) / start.elapsed().as_secs_f64()
}

fn busiest_millisecond(left: &[Time]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (at, time) in left.iter().enumerate() {
        while time.since(left[first]) >= Duration::from_millis(1) {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}

fn main() {
    // cargo passes --bench; `cargo test --benches` does not, and has nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let _namespace = enter_drop_namespace().expect("a namespace that drops everything");
    let probes = 1 << 20;
    println!("full speed into a namespace that drops everything, {probes} probes a round:");
    println!(
        "{:>6} {:>14} {:>14} {:>7}",
        "round", "bare/s", "pathsurvey/s", "ratio"
    );
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let bare = bare(probes);
        let (ours, _) = survey(100e6, probes, false);
        ratios.push(ours / bare);
        println!("{round:>6} {bare:>14.0} {ours:>14.0} {:>7.3}", ours / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3}\n", ratios[ROUNDS / 2]);
    println!(
        "{:>10} {:>12} {:>9} {:>22}",
        "rate", "achieved", "error", "most in a millisecond"
    );
    for rate in [100.0, 1_000.0, 10_000.0, 50_000.0, 100_000.0] {
        let probes = ((rate * 4.0) as u64).next_power_of_two();
        let (achieved, left) = survey(rate, probes, true);
        let error = 100.0 * (achieved - rate) / rate;
        println!(
            "{rate:>10} {achieved:>12.1} {error:>8.3}% {:>22}",
            busiest_millisecond(&left)
        );
    }
}
