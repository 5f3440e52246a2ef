//! The collector thread: rows into traces, traces into the sink.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver as ChannelReceiver, RecvTimeoutError};

use crate::engine::assembler::{Assembled, Assembler};
use crate::engine::clock::Clock;
use crate::engine::report::Tally;
use crate::engine::sink::{RecordSink, SinkError};
use crate::engine::stop::Stop;
use crate::engine::tracker::Tracker;

use super::shared::{PanicGuard, lock};
use super::{Gauges, LiveEnd, LiveError, Message};

/// The sink is told of the time at least this often.
const TICK: Duration = Duration::from_millis(500);

pub(super) struct Collector<'a, S> {
    pub assembler: Assembler,
    pub sink: S,
    pub tracker: &'a Mutex<Tracker>,
    pub clock: Clock,
    pub records: ChannelReceiver<Message>,
    pub stop: &'a Stop,
    pub gauges: &'a Gauges,
}

impl<S: RecordSink> Collector<'_, S> {
    pub fn run(mut self) -> LiveEnd<S> {
        let _guard = PanicGuard {
            stop: self.stop,
            gauges: self.gauges,
        };
        let error = self.collect_all().err();
        if error.is_some() {
            self.stop.fail();
        }
        let tally = self.tally();
        LiveEnd {
            sink: self.sink,
            tally,
            error: error.map(LiveError::Sink),
        }
    }

    fn collect_all(&mut self) -> Result<(), SinkError> {
        let mut out = Assembled::default();
        let mut next_tick = self.clock.now() + TICK;
        loop {
            match self.records.recv_timeout(TICK) {
                Ok(message) => self.take(message, &mut out),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let now = self.clock.now();
            if !out.hops.is_empty() || !out.traces.is_empty() {
                self.sink.write(&mut out, now)?;
            }
            if now >= next_tick {
                let tally = self.tally();
                self.sink.tick(now, &tally)?;
                next_tick = now + TICK;
            }
        }
    }

    fn take(&mut self, message: Message, out: &mut Assembled) {
        match message {
            Message::Rows(rows) => {
                self.gauges
                    .rows_waiting
                    .fetch_sub(rows.len() as i64, Ordering::Relaxed);
                for row in rows {
                    self.assembler.row(row, out);
                }
            }
            Message::Ended(end) => self.assembler.end(&end, out),
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally {
            statistics: self.assembler.statistics().clone(),
            first_sent: self.gauges.first_sent(),
            last_sent: self.gauges.last_sent(),
            held_up_ms: self.gauges.held_up_us.load(Ordering::Relaxed) / 1_000,
            ..Tally::default()
        };
        (tally.traces_ended, tally.traces_reached) = self.assembler.traces();
        let tracker = lock(self.tracker);
        tally.statistics.merge(tracker.counts());
        tally.nat_checksum_delta = tracker.nat_checksum_delta();
        tally
    }
}
