//! Signals that end a survey in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use pathsurvey::engine::stop::Stop;

/// The first SIGINT or SIGTERM asks for an orderly end; the second ends at once. Files are whole either way.
pub fn stop_on_signals() -> anyhow::Result<Stop> {
    let signal = Arc::new(AtomicUsize::new(0));
    let asked_before = Arc::new(AtomicBool::new(false));
    for number in [SIGINT, SIGTERM] {
        let refuse = || format!("cannot listen for signal {number}");
        // In this order: the first signal finds the flag unset and sets it, the second finds it set.
        signal_hook::flag::register_conditional_shutdown(
            number,
            128 + number,
            asked_before.clone(),
        )
        .with_context(refuse)?;
        signal_hook::flag::register(number, asked_before.clone()).with_context(refuse)?;
        signal_hook::flag::register_usize(number, signal.clone(), number.unsigned_abs() as usize)
            .with_context(refuse)?;
    }
    Ok(Stop::new(signal))
}
