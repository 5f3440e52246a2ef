//! Asks a run to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Says whether a run must end early: after a signal, or because one of its parts failed.
#[derive(Debug, Default)]
pub struct Stop {
    signal: Arc<AtomicUsize>,
    failed: AtomicBool,
}

impl Stop {
    /// Creates a stop. `signal` is 0 until a signal asks for the end, and then holds the number of the signal.
    pub fn new(signal: Arc<AtomicUsize>) -> Self {
        Stop {
            signal,
            failed: AtomicBool::new(false),
        }
    }

    /// The number of the signal that asked for the end, if there was one.
    pub fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Whether a signal asked for the end. The run then sends no more probes, and waits for replies to pending ones.
    pub fn is_asked(&self) -> bool {
        self.signal().is_some()
    }

    /// Asks all threads to end at once, because a part of the run failed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether a part of the run failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
