//! Asks a run to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a user asks of a run. Signal handlers may call every function here: all of them only read and write atomic values.
#[derive(Debug, Default)]
pub struct Asked {
    signal: AtomicUsize,
    at_once: AtomicBool,
    writes: AtomicBool,
}

impl Asked {
    /// Asks for the end, on behalf of the signal with this number. The first call counts.
    pub fn stop(&self, signal: usize) {
        // It fails if a signal asked before.
        let _ = self
            .signal
            .compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks not to wait for pending replies any more.
    pub fn stop_at_once(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }

    /// Whether the run has opened its dataset. Before that, an end at once leaves nothing to seal.
    pub fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    /// The number of the signal that asked for the end; 0 if there was none.
    pub fn signal(&self) -> usize {
        self.signal.load(Ordering::Relaxed)
    }
}

/// Says whether a run must end early: after a signal, or because one of its parts failed.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Arc<Asked>,
    failed: AtomicBool,
}

impl Stop {
    /// Creates a stop that follows `asked`.
    pub fn new(asked: Arc<Asked>) -> Self {
        Stop {
            asked,
            failed: AtomicBool::new(false),
        }
    }

    /// The number of the signal that asked for the end, if there was one.
    pub fn signal(&self) -> Option<usize> {
        Some(self.asked.signal()).filter(|signal| *signal != 0)
    }

    /// Whether a signal asked for the end. The run then sends no more probes, and waits for replies to pending ones.
    pub fn is_asked(&self) -> bool {
        self.signal().is_some()
    }

    /// Whether the run must end without waiting for pending replies.
    pub fn is_at_once(&self) -> bool {
        self.asked.at_once.load(Ordering::Relaxed)
    }

    /// Notes that the dataset is open.
    pub fn writes_now(&self) {
        self.asked.writes.store(true, Ordering::Relaxed);
    }

    /// Asks all threads to end at once, because a part of the run failed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether a part of the run failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether nothing may be waited for any more.
    pub fn hurries(&self) -> bool {
        self.has_failed() || self.is_at_once()
    }
}
