//! How a run is asked to end before its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Says that a run is to end: because a signal asked for it, or because one of its parts failed.
#[derive(Debug, Default)]
pub struct Stop {
    signal: Arc<AtomicUsize>,
    failed: AtomicBool,
}

impl Stop {
    /// `signal` becomes the number of the signal that asks for the end; 0 until then.
    pub fn new(signal: Arc<AtomicUsize>) -> Self {
        Stop {
            signal,
            failed: AtomicBool::new(false),
        }
    }

    /// The signal that asked for the end.
    pub fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Whether to send nothing more, and to listen for what is under way.
    pub fn is_asked(&self) -> bool {
        self.signal().is_some()
    }

    /// Asks everyone to end at once: something broke.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether something broke.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
