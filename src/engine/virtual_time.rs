//! The driver for an in-process network, in virtual time: one thread, no clock, no socket.
//!
//! Time jumps from one event to the next. For the same arguments everything is the same, down to the last row and timestamp.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Blocked, Rate, Time};
use crate::transport::InProcessNetwork;

use super::assembler::Assembler;
use super::collector::Collector;
use super::core::{Core, Event, Next};
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::report::{Progress, Tally};
use super::sink::{RecordSink, SinkError};
use super::stop::Stop;

/// All that a run in virtual time consists of.
pub struct VirtualRun<'a> {
    /// The engine.
    pub core: Core,
    /// Puts rows together.
    pub assembler: Assembler,
    /// The network.
    pub network: &'a mut dyn InProcessNetwork,
    /// Where rows go.
    pub sink: &'a mut dyn RecordSink,
    /// How many events the writer takes a second; `None`: any number at once.
    pub writer_speed: Option<Rate>,
    /// When the run begins.
    pub start: Time,
    /// Set from outside to end early.
    pub stop: &'a Stop,
    /// Called twice a second, and at the end. A blocklist that it returns holds from then on.
    pub progress: &'a mut dyn FnMut(Progress) -> Option<Arc<dyn Blocked>>,
}

/// What a run leaves behind, however it ended.
pub struct VirtualEnd {
    /// The figures.
    pub tally: Tally,
    /// When it ended.
    pub ended_at: Time,
    /// The error of the sink, if that ended the run.
    pub error: Option<SinkError>,
}

/// A run under way.
struct Course<'a> {
    core: Core,
    network: &'a mut dyn InProcessNetwork,
    collector: Collector<&'a mut dyn RecordSink>,
    writer: Writer,
    inbox: Inbox,
    outbox: Outbox,
    /// When the rest of the outbox is offered.
    resume_at: Time,
    now: Time,
    /// Whether there is still something to send.
    sends: bool,
    stop: &'a Stop,
    progress: &'a mut dyn FnMut(Progress) -> Option<Arc<dyn Blocked>>,
}

impl VirtualRun<'_> {
    /// Runs to the end.
    pub fn run(self) -> VirtualEnd {
        let mut course = Course {
            core: self.core,
            network: self.network,
            collector: Collector::new(self.assembler, self.sink, self.start),
            writer: Writer::new(self.writer_speed, self.start),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            resume_at: self.start,
            now: self.start,
            sends: true,
            stop: self.stop,
            progress: self.progress,
        };
        self.stop.sending_starts(self.start);
        let error = course.follow().err();
        (course.progress)(course.core.progress());
        VirtualEnd {
            tally: course.collector.tally(course.core.tally()),
            ended_at: course.now,
            error,
        }
    }
}

impl Course<'_> {
    /// Goes from event to event until the run is over, then ends what is open.
    fn follow(&mut self) -> Result<(), SinkError> {
        loop {
            self.receive();
            let wake = self.send();
            self.write()?;
            let events = [
                wake,
                self.deadline_ahead(),
                self.network.next_arrival(),
                self.core.next_timeout(),
                self.core.over_at(self.now),
                self.writer.next_time(),
            ];
            // If a strategy waits for an outcome while nothing is under way, it would wait for ever: that is the end, too.
            match events.into_iter().flatten().min() {
                Some(next) if !self.core.is_over(self.now) && !self.stop.is_at_once() => {
                    self.now = self.now.max(next);
                }
                _ => break,
            }
        }
        self.inbox.give_up_fragments();
        self.inbox.deliver(&mut self.core, self.now);
        self.core.finish(self.now);
        self.writer.hurry();
        self.write()
    }

    /// When sending has to end, if that is still to come.
    fn deadline_ahead(&self) -> Option<Time> {
        let ahead = |deadline: &Time| self.sends && *deadline > self.now;
        self.stop.deadline().filter(ahead)
    }

    /// Takes what has arrived, and lets time pass.
    fn receive(&mut self) {
        while let Some((at, packet)) = self.network.receive(self.now) {
            self.inbox.packet(&packet, at);
        }
        self.inbox.deliver(&mut self.core, self.now);
        self.core.advance(self.now, usize::MAX, self.now);
    }

    /// Sends all that may be sent now. Returns when there is more to send.
    fn send(&mut self) -> Option<Time> {
        loop {
            let waits = self.offer();
            if waits.is_some() {
                return waits;
            }
            if self.sends {
                self.stop.watch_deadline(self.now);
            }
            if self.stop.is_asked() {
                self.outbox.report(&mut self.core, self.now);
                self.core.stop_sending(self.now);
            }
            self.writer.add(self.core.take_events());
            let waiting = self.writer.len();
            match self.outbox.collect(&mut self.core, self.now, waiting) {
                Next::Send => {
                    let network = &self.network;
                    self.outbox
                        .find_sources(|target| network.source_for(target));
                    self.outbox.enter(&mut self.core, self.now);
                    self.outbox.encode(self.core.format());
                }
                Next::Wait(until) => return Some(until),
                Next::AwaitOutcome(until) => return until,
                Next::Done => {
                    self.sends = false;
                    return None;
                }
            }
        }
    }

    /// Offers the network what remains in the outbox. Returns when to go on, if it has to wait.
    fn offer(&mut self) -> Option<Time> {
        while let Some((batch, first)) = self.outbox.remaining() {
            let hurries = self.stop.hurries();
            if self.now < self.resume_at && !hurries {
                return Some(self.resume_at);
            }
            let progress = self.network.offer(batch, first, self.now);
            let call = (self.now, self.now);
            if self.outbox.took_all(progress, call.0, call.1) {
                break;
            }
            let pause = self
                .outbox
                .offered(&mut self.core, progress, call, self.now, hurries);
            self.resume_at = self.now + pause;
        }
        None
    }

    /// Writes what the writer takes by now, and lets it know the time.
    fn write(&mut self) -> Result<(), SinkError> {
        self.writer.add(self.core.take_events());
        while let Some(event) = self.writer.take(self.now) {
            self.collector.take(event);
        }
        self.collector.write(self.now)?;
        if self.collector.is_tick_due(self.now) {
            let tally = self.collector.tally(self.core.tally());
            self.collector.tick(self.now, &tally)?;
            if let Some(blocked) = (self.progress)(self.core.progress()) {
                self.core.set_blocked(blocked, self.now);
                self.outbox.strike(&mut self.core, self.now);
            }
        }
        Ok(())
    }
}

/// Events that wait for a writer of a certain speed.
struct Writer {
    waiting: VecDeque<Event>,
    /// The time that an event takes.
    interval: Duration,
    free_at: Time,
}

impl Writer {
    fn new(speed: Option<Rate>, start: Time) -> Self {
        let interval = speed.map(|speed| Duration::from_secs_f64(1.0 / speed.per_second()));
        Writer {
            waiting: VecDeque::new(),
            interval: interval.unwrap_or_default(),
            free_at: start,
        }
    }

    fn add(&mut self, mut events: VecDeque<Event>) {
        match self.waiting.is_empty() {
            true => self.waiting = events,
            false => self.waiting.append(&mut events),
        }
    }

    fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The next event that the writer takes by `now`.
    fn take(&mut self, now: Time) -> Option<Event> {
        let is_free = self.interval.is_zero() || self.free_at <= now;
        let event = match is_free {
            true => self.waiting.pop_front()?,
            false => return None,
        };
        self.free_at = self.free_at.max(now.before(self.interval)) + self.interval;
        Some(event)
    }

    /// When the writer takes the next event; `None` if none waits.
    fn next_time(&self) -> Option<Time> {
        (!self.waiting.is_empty()).then_some(self.free_at)
    }

    /// Takes the rest at once: the run is over.
    fn hurry(&mut self) {
        self.interval = Duration::ZERO;
    }
}
