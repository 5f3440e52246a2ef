//! The sender thread: strategy and pacer at its head, the socket at its end.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver as ChannelReceiver, RecvTimeoutError, Sender as ChannelSender};

use crate::engine::clock::Clock;
use crate::engine::dispatch::{Dispatcher, Next};
use crate::engine::format::{Marked, ProbeFormat};
use crate::engine::report::MicrosHistogram;
use crate::engine::stop::Stop;
use crate::engine::tracker::{Findings, Tracker};
use crate::model::{Outcome, Probe, ProbeId, Time, UnsentReason};
use crate::transport::{PacketBatch, PacketSender, Stopped};

use super::deferred::{Deferred, Waiting};
use super::shared::{PanicGuard, lock, pass_rows};
use super::{Gauges, LiveError, Message};

/// The span of a batch that its interpolated stamps may be wrong by.
const BATCH_SPAN: Duration = Duration::from_micros(50);
const LARGEST_BATCH: usize = 64;
/// How long a full queue is waited for at a time, and how often before its packet is given up.
const FULL_PAUSE: Duration = Duration::from_micros(200);
const FULL_PAUSES: u32 = 10_000;
/// Stop flags are looked at at least this often.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

pub(super) struct Sender<'a> {
    pub dispatcher: Dispatcher,
    pub transport: Box<dyn PacketSender>,
    pub tracker: &'a Mutex<Tracker>,
    pub clock: Clock,
    pub outcomes: ChannelReceiver<Vec<Outcome>>,
    pub records: ChannelSender<Message>,
    pub stop: &'a Stop,
    pub gauges: &'a Gauges,
    /// Probes that the kernel had no room for.
    pub deferred: Deferred,
}

/// What the sender knows at its end.
pub(super) struct SenderReport {
    pub stamp_error: MicrosHistogram,
}

/// Buffers that are used for every batch.
#[derive(Default)]
struct Scratch {
    probes: Vec<Probe>,
    /// Since when each of `probes` waits that is offered again; empty if they are new.
    waited: Vec<Time>,
    sources: Vec<Result<std::net::IpAddr, UnsentReason>>,
    marked: Vec<(ProbeId, Marked)>,
    /// The times in `waited` of those that are `marked`.
    marked_waited: Vec<Time>,
    batch: PacketBatch,
    findings: Findings,
}

impl Sender<'_> {
    pub fn run(mut self) -> Result<SenderReport, LiveError> {
        let _guard = PanicGuard {
            stop: self.stop,
            gauges: self.gauges,
        };
        let mut report = SenderReport {
            stamp_error: MicrosHistogram::default(),
        };
        let mut scratch = Scratch::default();
        let result = self.send_all(&mut scratch, &mut report);
        self.give_up_deferred(&mut scratch);
        // Also after an error of ours: only sending is over, and what was sent is accounted for.
        self.gauges.sending_done.store(true, Ordering::Release);
        // What was sent is still being answered: the receiver hangs up when it has heard everything.
        while let Ok(outcomes) = self.outcomes.recv() {
            self.observe(&outcomes);
        }
        self.dispatcher.interrupt(self.clock.now());
        self.pass_ended();
        result.map(|()| report)
    }

    fn send_all(
        &mut self,
        scratch: &mut Scratch,
        report: &mut SenderReport,
    ) -> Result<(), LiveError> {
        let format = *lock(self.tracker).format();
        let mut limit = 16;
        // What it took to open everything is not owed.
        self.dispatcher.hold(self.clock.now());
        while !self.stop.is_asked() && !self.stop.has_failed() {
            while let Ok(outcomes) = self.outcomes.try_recv() {
                self.observe(&outcomes);
            }
            if self.gauges.is_held_up() {
                self.wait_for_writer();
                continue;
            }
            let now = self.clock.now();
            if !self.deferred.is_empty() {
                self.retry_deferred(&format, now, scratch, report)?;
            }
            self.dispatcher.held(self.deferred.targets());
            match self.dispatcher.collect(now, limit, &mut scratch.probes) {
                Next::Send => {
                    scratch.waited.clear();
                    let span = self.transmit(&format, scratch, report)?;
                    limit = next_limit(limit, scratch.batch.len(), span);
                }
                Next::Wait(until) => self.wait(until.since(now)),
                Next::AwaitOutcome => self.wait(LONGEST_WAIT),
                Next::Done if !self.deferred.is_empty() => self.wait(LONGEST_WAIT),
                Next::Done => break,
            }
        }
        Ok(())
    }

    /// Offers those probes again that wait for room and are due.
    fn retry_deferred(
        &mut self,
        format: &ProbeFormat,
        now: Time,
        scratch: &mut Scratch,
        report: &mut SenderReport,
    ) -> Result<(), LiveError> {
        let due = self.deferred.take(now);
        self.refuse_deferred(due.expired, scratch);
        if due.retried.is_empty() {
            return Ok(());
        }
        scratch.probes.clear();
        scratch.waited.clear();
        for waiting in due.retried {
            scratch.probes.push(waiting.probe);
            scratch.waited.push(waiting.since);
        }
        self.transmit(format, scratch, report).map(drop)
    }

    /// Ends the probes that still wait for room when sending ends.
    fn give_up_deferred(&mut self, scratch: &mut Scratch) {
        let all: Vec<Waiting> = self.deferred.take_all().collect();
        self.refuse_deferred(all, scratch);
    }

    fn refuse_deferred(&mut self, expired: Vec<Waiting>, scratch: &mut Scratch) {
        if expired.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut tracker = lock(self.tracker);
        for Waiting { probe, reason, .. } in expired {
            tracker.enter_refused(probe, reason, now, &mut scratch.findings);
        }
        drop(tracker);
        self.pass_findings(&mut scratch.findings);
    }

    /// Sends the collected probes; returns how long the kernel took.
    fn transmit(
        &mut self,
        format: &ProbeFormat,
        scratch: &mut Scratch,
        report: &mut SenderReport,
    ) -> Result<Duration, LiveError> {
        scratch.sources.clear();
        for probe in &scratch.probes {
            scratch
                .sources
                .push(self.transport.source_for(probe.destination));
        }
        scratch.marked.clear();
        scratch.marked_waited.clear();
        {
            let now = self.clock.now();
            let mut tracker = lock(self.tracker);
            tracker.expect(&scratch.probes);
            for (at, (probe, source)) in scratch.probes.iter().zip(&scratch.sources).enumerate() {
                match source {
                    Ok(source) => {
                        scratch.marked.push(tracker.enter(*probe, *source, now));
                        let since = scratch.waited.get(at).copied();
                        scratch.marked_waited.push(since.unwrap_or(now));
                    }
                    Err(reason) => {
                        tracker.enter_refused(*probe, *reason, now, &mut scratch.findings);
                    }
                }
            }
        }
        scratch.batch.clear();
        for (_, marked) in &scratch.marked {
            format.encode(marked, &mut scratch.batch);
        }
        let span = self.offer(scratch, report);
        self.pass_findings(&mut scratch.findings);
        span
    }

    /// Offers a batch to the kernel until every packet is taken or refused.
    fn offer(
        &mut self,
        scratch: &mut Scratch,
        report: &mut SenderReport,
    ) -> Result<Duration, LiveError> {
        let mut first = 0;
        let mut pauses = 0;
        let mut longest = Duration::ZERO;
        while first < scratch.batch.len() {
            let before = self.clock.now();
            let progress = match self.transport.send(&scratch.batch, first) {
                Ok(progress) => progress,
                Err(error) => {
                    let reason = UnsentReason::Errno(error.raw_os_error().unwrap_or(libc::EIO));
                    let mut tracker = lock(self.tracker);
                    for (id, _) in &scratch.marked[first..] {
                        tracker.refuse(*id, reason, &mut scratch.findings);
                    }
                    return Err(LiveError::Send(error));
                }
            };
            let after = self.clock.now();
            let taken = &scratch.marked[first..first + progress.taken];
            if !taken.is_empty() {
                pauses = 0;
                let span = after.since(before);
                longest = longest.max(span);
                report
                    .stamp_error
                    .add(span.as_micros() as u64, taken.len() as u64);
                let mut tracker = lock(self.tracker);
                for (at, (id, _)) in taken.iter().enumerate() {
                    tracker.stamp(*id, interpolated(before, span, at, taken.len()));
                }
                drop(tracker);
                self.gauges.note_sent(taken.len() as u64, before, after);
            }
            first += progress.taken;
            match progress.stopped {
                None => {}
                Some(Stopped::Full) if pauses < FULL_PAUSES && !self.stop.has_failed() => {
                    pauses += 1;
                    std::thread::sleep(FULL_PAUSE);
                    self.dispatcher.hold(self.clock.now());
                }
                Some(Stopped::Crowded(reason)) => {
                    let (id, _) = scratch.marked[first];
                    let since = scratch.marked_waited[first];
                    let is_new = scratch.waited.is_empty();
                    self.gauges
                        .crowded
                        .fetch_add(is_new.into(), Ordering::Relaxed);
                    let withdrawn = lock(self.tracker).withdraw(id);
                    if let Some(probe) = withdrawn {
                        let waiting = Waiting {
                            probe,
                            since,
                            reason,
                        };
                        self.deferred.add(waiting, self.clock.now());
                    }
                    first += 1;
                }
                Some(stopped) => {
                    let reason = match stopped {
                        Stopped::Refused(reason) | Stopped::Crowded(reason) => reason,
                        Stopped::Full => UnsentReason::QueueFull,
                    };
                    let (id, _) = scratch.marked[first];
                    lock(self.tracker).refuse(id, reason, &mut scratch.findings);
                    first += 1;
                }
            }
        }
        Ok(longest)
    }

    fn wait(&mut self, span: Duration) {
        match self.outcomes.recv_timeout(span.min(LONGEST_WAIT)) {
            Ok(outcomes) => self.observe(&outcomes),
            Err(RecvTimeoutError::Timeout) => {}
            // The receiver has failed; the stop flag says so.
            Err(RecvTimeoutError::Disconnected) => self.stop.fail(),
        }
    }

    fn wait_for_writer(&mut self) {
        let before = self.clock.now();
        self.wait(Duration::from_millis(1));
        let now = self.clock.now();
        let waited = now.since(before).as_micros() as u64;
        self.gauges.held_up_us.fetch_add(waited, Ordering::Relaxed);
        self.dispatcher.hold(now);
    }

    fn pass_findings(&mut self, findings: &mut Findings) {
        if findings.rows.is_empty() && findings.outcomes.is_empty() {
            return;
        }
        let rows = std::mem::take(&mut findings.rows);
        pass_rows(rows, &self.records, self.gauges);
        let outcomes = std::mem::take(&mut findings.outcomes);
        self.observe(&outcomes);
    }

    fn observe(&mut self, outcomes: &[Outcome]) {
        self.dispatcher.observe(outcomes, self.clock.now());
        self.pass_ended();
    }

    fn pass_ended(&mut self) {
        while let Some(end) = self.dispatcher.take_ended() {
            // A collector that is gone has failed, and says why itself.
            let _ = self.records.send(Message::Ended(end));
        }
        self.gauges
            .completed
            .store(self.dispatcher.completed(), Ordering::Relaxed);
    }
}

/// When the packet at place `at` of `count` was taken, if the kernel took them evenly over `span`.
fn interpolated(before: Time, span: Duration, at: usize, count: usize) -> Time {
    let nanos = span.as_nanos() as u64;
    before + Duration::from_nanos(nanos * (2 * at as u64 + 1) / (2 * count as u64))
}

/// Batches are as large as fits into the span that stamps may be wrong by; one disturbed call moves them half-way.
fn next_limit(limit: usize, sent: usize, span: Duration) -> usize {
    let fits = BATCH_SPAN.as_nanos() * sent as u128 / span.as_nanos().max(1);
    let fits = usize::try_from(fits).unwrap_or(LARGEST_BATCH);
    // Rounded up, or a limit of 1 could never grow again.
    (limit + fits.clamp(1, LARGEST_BATCH)).div_ceil(2)
}
