//! A real run: one sender thread, one receiver thread, one collector thread, joined by channels.
//!
//! Rows and outcomes flow from the receiver; the receiver hands rows to the collector before it tells the sender of the
//! outcomes, so a trace's end, which the strategy decides in the sender, always follows its rows. Shutdown runs the same way:
//! the sender has nothing left (or is interrupted) → the receiver listens until every probe has ended and the
//! cool-down is over → the sender ends what is open → the collector writes the last rows.

mod collector;
mod deferred;
mod receiver;
mod sender;
mod shared;

use std::sync::Mutex;
use std::time::Duration;

use crate::model::{HopRecord, TraceEnd};
use crate::transport::{OwnAddresses, PacketReceiver, PacketSender};

use super::assembler::Assembler;
use super::clock::Clock;
use super::dispatch::Dispatcher;
use super::report::Tally;
use super::sink::{RecordSink, SinkError};
use super::stop::Stop;
use super::tracker::Tracker;

pub use shared::Gauges;

/// Batches of rows under way to the collector. The sender pauses at [`shared::ROWS_HELD`] rows; what is in flight then still
/// comes, in batches of many rows, so the receiver does not meet the end of the channel.
const CHANNEL: usize = 65_536;

/// All that a real run consists of.
pub struct LiveRun<S> {
    /// What to send, and how fast.
    pub dispatcher: Dispatcher,
    /// Who follows it.
    pub tracker: Tracker,
    /// Who orders the rows.
    pub assembler: Assembler,
    /// Packets out.
    pub sender: Box<dyn PacketSender>,
    /// Packets in. Open before the first probe is sent.
    pub receiver: Box<dyn PacketReceiver>,
    /// Where rows go.
    pub sink: S,
    /// The run's time scale.
    pub clock: Clock,
    /// How long to listen after the last probe.
    pub cooldown: Duration,
}

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The sending socket broke.
    #[error("cannot send any more: {0}")]
    Send(std::io::Error),
    /// The receiving socket broke.
    #[error("cannot receive any more: {0}")]
    Receive(std::io::Error),
    /// The dataset could not be written.
    #[error(transparent)]
    Sink(SinkError),
    /// A thread of ours failed: a mistake in the program.
    #[error("internal error: the {0} thread stopped unexpectedly; please report this")]
    Thread(&'static str),
}

/// What a run leaves behind, however it ended.
pub struct LiveEnd<S> {
    /// The sink, for the caller to close.
    pub sink: S,
    /// The figures.
    pub tally: Tally,
    /// The first thing that went wrong, if anything did.
    pub error: Option<LiveError>,
}

/// What goes to the collector.
enum Message {
    Rows(Vec<HopRecord>),
    Ended(TraceEnd),
}

impl<S: RecordSink> LiveRun<S> {
    /// Runs to the end, or until `stop` says so; calls `watch` about ten times a second with the gauges.
    pub fn run(self, stop: &Stop, gauges: &Gauges, mut watch: impl FnMut(&Gauges)) -> LiveEnd<S> {
        let tracker = Mutex::new(self.tracker);
        let (records_in, records_out) = crossbeam_channel::bounded(CHANNEL);
        let (outcomes_in, outcomes_out) = crossbeam_channel::unbounded();
        let sender = sender::Sender {
            dispatcher: self.dispatcher,
            transport: self.sender,
            tracker: &tracker,
            clock: self.clock,
            outcomes: outcomes_out,
            records: records_in.clone(),
            stop,
            gauges,
            deferred: deferred::Deferred::default(),
        };
        let receiver = receiver::Receiver {
            transport: self.receiver,
            own: OwnAddresses::open(),
            tracker: &tracker,
            clock: self.clock,
            cooldown: self.cooldown,
            outcomes: outcomes_in,
            records: records_in,
            stop,
            gauges,
        };
        let collector = collector::Collector {
            assembler: self.assembler,
            sink: self.sink,
            tracker: &tracker,
            clock: self.clock,
            records: records_out,
            stop,
            gauges,
        };
        std::thread::scope(|scope| {
            let collector = scope.spawn(|| collector.run());
            let receiver = scope.spawn(|| receiver.run());
            let sender = scope.spawn(|| sender.run());
            while !collector.is_finished() {
                watch(gauges);
                std::thread::park_timeout(Duration::from_millis(100));
            }
            watch(gauges);
            let sent = join(sender.join(), "sender");
            let received = join(receiver.join(), "receiver");
            let mut end = match collector.join() {
                Ok(end) => end,
                // Without the collector there is no sink to close: nothing sensible can be returned.
                Err(panic) => std::panic::resume_unwind(panic),
            };
            match received {
                Ok(report) => {
                    end.tally.kernel_drops.receive_buffer = report.dropped;
                    end.tally.discard_samples = report.discard_samples;
                }
                Err(error) => end.error = end.error.or(Some(error)),
            }
            match sent {
                Ok(report) => end.tally.rtt_error_us_p99 = report.stamp_error.quantile(0.99),
                Err(error) => end.error = end.error.or(Some(error)),
            }
            end
        })
    }
}

fn join<T>(
    joined: std::thread::Result<Result<T, LiveError>>,
    thread: &'static str,
) -> Result<T, LiveError> {
    joined.unwrap_or(Err(LiveError::Thread(thread)))
}

#[cfg(test)]
mod tests;
