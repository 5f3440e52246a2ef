//! The collector thread: from the core's events to the sink.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver as ChannelReceiver, RecvTimeoutError};

use crate::engine::collector::{Collector, TICK};
use crate::engine::core::Event;
use crate::engine::sink::{RecordSink, SinkError};

use super::shared::{PanicGuard, Shared};

/// Takes events until all threads that could send some are done. Returns the error of the sink, if that ended the run.
pub(super) fn collect<S: RecordSink>(
    collector: &mut Collector<S>,
    events: &ChannelReceiver<VecDeque<Event>>,
    shared: &Shared<'_>,
) -> Option<SinkError> {
    let _guard = PanicGuard(shared.stop);
    let error = collect_all(collector, events, shared).err();
    if error.is_some() {
        shared.stop.fail();
    }
    error
}

fn collect_all<S: RecordSink>(
    collector: &mut Collector<S>,
    events: &ChannelReceiver<VecDeque<Event>>,
    shared: &Shared<'_>,
) -> Result<(), SinkError> {
    loop {
        match events.recv_timeout(TICK) {
            Ok(events) => {
                shared
                    .events_waiting
                    .fetch_sub(events.len(), Ordering::Relaxed);
                events.into_iter().for_each(|event| collector.take(event));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        let now = shared.clock.now();
        collector.write(now)?;
        if collector.is_tick_due(now) {
            let tally = collector.tally(shared.with(|core, _| core.tally()));
            collector.tick(now, &tally)?;
        }
    }
}
