//! Passes the events of the core through the assembler and writes the finished rows to the sink.
//!
//! The live driver and the virtual-time driver both write through it.

use std::time::Duration;

use super::assembler::{Assembled, Assembler};
use super::core::Event;
use super::report::Tally;
use super::sink::{RecordSink, SinkError};
use crate::model::Time;

/// Shortest time between two ticks of the sink.
pub const TICK: Duration = Duration::from_millis(500);

/// Writes the events of the core to a sink.
pub struct Collector<S> {
    assembler: Assembler,
    sink: S,
    assembled: Assembled,
    next_tick: Time,
}

impl<S: RecordSink> Collector<S> {
    /// Creates a collector. The first tick is due one [`TICK`] after `start`.
    pub fn new(assembler: Assembler, sink: S, start: Time) -> Self {
        Collector {
            assembler,
            sink,
            assembled: Assembled::default(),
            next_tick: start + TICK,
        }
    }

    /// Takes the next event of the core.
    pub fn take(&mut self, event: Event) {
        let out = &mut self.assembled;
        match event {
            Event::Row(row) => self.assembler.row(row, out),
            Event::Ended(end) => self.assembler.end(&end, out),
            Event::Table(row) => self.assembler.table(row, out),
        }
    }

    /// Writes the finished rows to the sink.
    pub fn write(&mut self, now: Time) -> Result<(), SinkError> {
        match self.assembled.is_empty() {
            true => Ok(()),
            false => self.sink.write(&mut self.assembled, now),
        }
    }

    /// Whether a tick is due.
    pub fn is_tick_due(&self, now: Time) -> bool {
        now >= self.next_tick
    }

    /// Passes the time and the figures so far to the sink.
    pub fn tick(&mut self, now: Time, tally: &Tally) -> Result<(), SinkError> {
        self.next_tick = now + TICK;
        self.sink.tick(now, tally)
    }

    /// Returns the figures of the core, completed with those of the written rows.
    pub fn tally(&self, of_core: Tally) -> Tally {
        let mut tally = of_core;
        tally.statistics.merge(self.assembler.statistics());
        (tally.traces_ended, tally.traces_reached) = self.assembler.traces();
        tally
    }

    /// Returns the sink.
    pub fn into_sink(self) -> S {
        self.sink
    }
}
