//! What the threads of a run and its watcher share: a few numbers.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;

use crate::engine::stop::Stop;
use crate::engine::tracker::Tracker;
use crate::model::{HopRecord, Time};

use super::Message;

/// Rows waiting for the collector beyond which the sender pauses: a slow disk slows the survey and loses nothing.
pub const ROWS_HELD: i64 = 200_000;

/// Figures that grow while a run goes on.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Probes that the kernel took.
    pub sent: AtomicU64,
    /// Packets read from the network.
    pub received: AtomicU64,
    /// (Target, flow) pairs done with.
    pub completed: AtomicU64,
    /// Probes that had to wait because too many next hops do not answer.
    pub crowded: AtomicU64,
    /// How long sending waited for the writer, µs.
    pub held_up_us: AtomicU64,
    pub(super) rows_waiting: AtomicI64,
    pub(super) sending_done: AtomicBool,
    first_sent: AtomicU64,
    last_sent: AtomicU64,
}

impl Gauges {
    pub(super) fn note_sent(&self, count: u64, first: Time, last: Time) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        let _ = self.first_sent.compare_exchange(
            0,
            first.as_nanos(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        self.last_sent.store(last.as_nanos(), Ordering::Release);
    }

    pub(super) fn first_sent(&self) -> Option<Time> {
        time(self.first_sent.load(Ordering::Relaxed))
    }

    pub(super) fn last_sent(&self) -> Option<Time> {
        time(self.last_sent.load(Ordering::Acquire))
    }

    pub(super) fn is_held_up(&self) -> bool {
        self.rows_waiting.load(Ordering::Relaxed) > ROWS_HELD
    }
}

/// 0 stands for "not yet".
fn time(nanos: u64) -> Option<Time> {
    (nanos != 0).then(|| Time::from_nanos(nanos))
}

/// Lets the other threads end when the one that holds it panics: without it they would wait for each other for good.
pub(super) struct PanicGuard<'a> {
    pub stop: &'a Stop,
    pub gauges: &'a Gauges,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.fail();
            self.gauges.sending_done.store(true, Ordering::Release);
        }
    }
}

/// Takes the tracker. A thread that panicked while holding it has left it whole enough to count with: the run ends
/// with that thread's error anyway.
pub(super) fn lock(tracker: &Mutex<Tracker>) -> MutexGuard<'_, Tracker> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands rows to the collector and counts them as waiting.
pub(super) fn pass_rows(rows: Vec<HopRecord>, records: &Sender<Message>, gauges: &Gauges) {
    if rows.is_empty() {
        return;
    }
    gauges
        .rows_waiting
        .fetch_add(rows.len() as i64, Ordering::Relaxed);
    // A collector that is gone has failed, and says why itself.
    let _ = records.send(Message::Rows(rows));
}
