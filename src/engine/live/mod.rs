//! The driver for a real network: one sender thread, one receiver thread, one collector thread.
//!
//! Sender and receiver share the core under one lock. Encoding, decoding and every system call happen outside it. The core's events
//! go to the collector in the order in which the core put them out. Shutdown runs the same way: the sender has nothing left, or is
//! interrupted → the receiver listens until every probe has ended and the cool-down is over → what is open ends → the collector
//! writes the last rows.

mod collector;
mod receiver;
mod sender;
mod shared;
mod stamps;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle, Thread};
use std::time::Duration;

use crate::model::Blocked;
use crate::transport::{OwnAddresses, PacketReceiver, PacketSender};

use super::assembler::Assembler;
use super::clock::Clock;
use super::collector::Collector;
use super::core::Core;
use super::report::{Progress, Tally};
use super::sink::{RecordSink, SinkError};
use super::stop::Stop;

use self::receiver::Receiver;
use self::sender::Sender;
use self::shared::{Closing, Shared};

/// How often the watcher is called.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// All that a real run consists of.
pub struct LiveRun<S> {
    /// The engine.
    pub core: Core,
    /// Puts rows together.
    pub assembler: Assembler,
    /// Packets out.
    pub sender: Box<dyn PacketSender>,
    /// Packets in. Open before the first probe is sent.
    pub receiver: Box<dyn PacketReceiver>,
    /// Where rows go.
    pub sink: S,
    /// The run's time scale.
    pub clock: Clock,
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
    /// A thread could not be started. Nothing was sent.
    #[error("cannot start the {0} thread ({1}){limits}", limits = thread_limits(.1))]
    Start(&'static str, std::io::Error),
    /// A thread of ours failed: a mistake in the program.
    #[error("internal error: the {0} thread stopped unexpectedly; please report this")]
    Thread(&'static str),
}

/// The limits that keep a thread from starting (pthread_create(3), clone(2)), as the end of a message; nothing for other errors.
pub fn thread_limits(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            ": a limit is reached; it is that on the user's threads (`ulimit -u`), on those of the container or service (pids.max), or on memory \
             (`ulimit -v`)"
        }
        _ => "",
    }
}

/// What a run leaves behind, however it ended.
pub struct LiveEnd<S> {
    /// The sink, for the caller to close.
    pub sink: S,
    /// The figures.
    pub tally: Tally,
    /// How far it came.
    pub progress: Progress,
    /// The first thing that went wrong, if anything did.
    pub error: Option<LiveError>,
}

/// Tells the watcher that a thread leaves, also by a panic.
struct Leaving<'a> {
    left: &'a AtomicUsize,
    watcher: &'a Thread,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.left.fetch_add(1, Ordering::Release);
        self.watcher.unpark();
    }
}

impl<S: RecordSink> LiveRun<S> {
    /// Runs to the end, or until `stop` says so. Calls `watch` about ten times a second. If `watch` returns a blocklist, that list
    /// holds from then on. At the next call of `watch`, no probe to a blocked address leaves any more.
    pub fn run(
        self,
        stop: &Stop,
        mut watch: impl FnMut(Progress) -> Option<Arc<dyn Blocked>>,
    ) -> LiveEnd<S> {
        // Without a bound: the core pauses sending when the collector falls behind, and nobody may wait while holding the core.
        let (events_in, events) = crossbeam_channel::unbounded();
        let shared = &Shared::new(self.core, events_in, self.clock, stop);
        let mut collector = Collector::new(self.assembler, self.sink, self.clock.now());
        let sender = Sender {
            transport: self.sender,
            shared,
            lists_seen: 0,
        };
        let receiver = Receiver {
            transport: self.receiver,
            own: OwnAddresses::open(),
            shared,
        };
        let collect = || collector::collect(&mut collector, &events, shared);
        let ended = run_threads(sender, receiver, collect, shared, &mut watch);
        let (mut tally, progress) =
            shared.with(|core, _| (collector.tally(core.tally()), core.progress()));
        watch(progress);
        let written = ended.written.map(LiveError::Sink);
        tally.kernel_drops.receive_buffer = ended.received.as_ref().ok().copied().flatten();
        LiveEnd {
            sink: collector.into_sink(),
            tally,
            progress,
            error: written.or(ended.sent.err()).or(ended.received.err()),
        }
    }
}

/// How the threads ended.
struct Ended {
    sent: Result<(), LiveError>,
    /// How many packets the kernel dropped, if it tells.
    received: Result<Option<u64>, LiveError>,
    /// The error of the sink, if there was one.
    written: Option<SinkError>,
}

/// Runs the three threads to their end. In between, what is still open is ended: after the last reply, before the last row.
fn run_threads(
    sender: Sender<'_>,
    receiver: Receiver<'_>,
    collect: impl FnOnce() -> Option<SinkError> + Send,
    shared: &Shared<'_>,
    watch: &mut dyn FnMut(Progress) -> Option<Arc<dyn Blocked>>,
) -> Ended {
    let left = AtomicUsize::new(0);
    let watcher = std::thread::current();
    let leaving = || Leaving {
        left: &left,
        watcher: &watcher,
    };
    let mut watch_until = |threads: usize| {
        while left.load(Ordering::Acquire) < threads {
            if let Some(blocked) = watch(shared.with(|core, _| core.progress())) {
                shared.set_blocked(blocked);
            }
            std::thread::park_timeout(WATCH_INTERVAL);
        }
    };
    std::thread::scope(|scope| {
        let closing = Closing(shared);
        let start = || {
            let collector = start(scope, "collector", leaving(), collect)?;
            let receiver = start(scope, "receiver", leaving(), || receiver.run())?;
            // The last one: if a thread cannot be started, nothing is sent.
            let sender = start(scope, "sender", leaving(), || sender.run())?;
            Ok((collector, receiver, sender))
        };
        let (collector, receiver, sender) = match start() {
            Ok(threads) => threads,
            Err(error) => {
                shared.stop.fail();
                return Ended {
                    sent: Err(error),
                    received: Ok(None),
                    written: None,
                };
            }
        };
        // The collector leaves before the others only if it failed, which ends them too.
        watch_until(2);
        let (sent, received) = (sender.join(), receiver.join());
        shared.with(Core::finish);
        drop(closing);
        watch_until(3);
        Ended {
            sent: sent.unwrap_or(Err(LiveError::Thread("sender"))),
            received: received.unwrap_or(Err(LiveError::Thread("receiver"))),
            // After a panic nobody knows what the sink has written: nothing sensible can be returned.
            written: (collector.join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        }
    })
}

/// Starts a thread of the run. `leaving` goes with it.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &'static str,
    leaving: Leaving<'scope>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, LiveError> {
    let run = move || {
        let _leaving = leaving;
        work()
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, run)
        .map_err(|error| LiveError::Start(name, error))
}

#[cfg(test)]
mod tests;
