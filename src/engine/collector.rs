//! Events in, finished rows out: the assembler with the sink behind it. Both drivers write through it.

use std::time::Duration;

use super::assembler::{Assembled, Assembler};
use super::core::Event;
use super::report::Tally;
use super::sink::{RecordSink, SinkError};
use crate::model::Time;

/// The sink is told of the time at least this often.
pub const TICK: Duration = Duration::from_millis(500);

/// Writes what the core puts out.
pub struct Collector<S> {
    assembler: Assembler,
    sink: S,
    assembled: Assembled,
    next_tick: Time,
}

impl<S: RecordSink> Collector<S> {
    /// Joins an assembler and a sink. The first tick is due one [`TICK`] after `start`.
    pub fn new(assembler: Assembler, sink: S, start: Time) -> Self {
        Collector {
            assembler,
            sink,
            assembled: Assembled::default(),
            next_tick: start + TICK,
        }
    }

    /// Takes the next event.
    pub fn take(&mut self, event: Event) {
        let out = &mut self.assembled;
        match event {
            Event::Row(row) => self.assembler.row(row, out),
            Event::Ended(end) => self.assembler.end(&end, out),
            Event::Table(row) => out.tables.push(row),
        }
    }

    /// Writes what is finished.
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

    /// Tells the sink the time, with the figures so far.
    pub fn tick(&mut self, now: Time, tally: &Tally) -> Result<(), SinkError> {
        self.next_tick = now + TICK;
        self.sink.tick(now, tally)
    }

    /// The core's figures with those of the rows that were written.
    pub fn tally(&self, of_core: Tally) -> Tally {
        let mut tally = of_core;
        tally.statistics.merge(self.assembler.statistics());
        (tally.traces_ended, tally.traces_reached) = self.assembler.traces();
        tally
    }

    /// Gives the sink back.
    pub fn into_sink(self) -> S {
        self.sink
    }
}
