//! A batch of probes on its way from the core to the kernel. Both drivers send through it.
//!
//! The steps in order: [`collect`](Outbox::collect) probes, [`find_sources`](Outbox::find_sources), [`enter`](Outbox::enter) them,
//! [`encode`](Outbox::encode) them, then offer what [`remains`](Outbox::remaining) until nothing does. After each offer tell how far
//! the kernel came: [`took_all`](Outbox::took_all) needs no core, [`offered`](Outbox::offered) is for everything else. Only the steps
//! that take the core need it locked. A batch that went out whole is reported with the next collection, so that most batches lock
//! the core twice.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use super::core::{Core, Next, Outgoing};
use super::format::ProbeFormat;
use super::limiter::Due;
use crate::model::{Time, UnsentReason};
use crate::transport::{PacketBatch, SendProgress, Stopped};

/// The span of a batch that its interpolated stamps may be wrong by.
const BATCH_SPAN: Duration = Duration::from_micros(50);
const LARGEST_BATCH: usize = 64;
/// How long a full queue is waited for at a time, and how often before its packet is given up.
const FULL_PAUSE: Duration = Duration::from_micros(200);
const FULL_PAUSES: u32 = 10_000;

/// A batch of probes. Its buffers are used again and again.
#[derive(Debug)]
pub struct Outbox {
    due: Vec<Due>,
    sources: Vec<Result<IpAddr, UnsentReason>>,
    packets: Vec<Outgoing>,
    batch: PacketBatch,
    /// How many packets are dealt with.
    done: usize,
    /// Packets that the kernel took and that the core does not know of yet, with the times before and after the call.
    unreported: Option<(Range<usize>, Time, Time)>,
    /// How often the current packet met a full queue.
    pauses: u32,
    /// The longest that the kernel took for a part of this batch.
    longest: Duration,
    /// The size of the next batch.
    room: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox {
            due: Vec::new(),
            sources: Vec::new(),
            packets: Vec::new(),
            batch: PacketBatch::default(),
            done: 0,
            unreported: None,
            pauses: 0,
            longest: Duration::ZERO,
            room: LARGEST_BATCH / 4,
        }
    }
}

impl Outbox {
    /// Asks the core for a batch.
    pub fn collect(&mut self, core: &mut Core, now: Time, rows_waiting: usize) -> Next {
        self.report(core, now);
        core.poll_send(now, self.room, rows_waiting, &mut self.due)
    }

    /// Finds the source address of each probe.
    pub fn find_sources(
        &mut self,
        mut source_for: impl FnMut(IpAddr) -> Result<IpAddr, UnsentReason>,
    ) {
        self.sources.clear();
        for due in &self.due {
            self.sources.push(source_for(due.probe.destination));
        }
    }

    /// Enters the probes.
    pub fn enter(&mut self, core: &mut Core, now: Time) {
        self.packets.clear();
        core.enter(&self.due, &self.sources, now, &mut self.packets);
    }

    /// Writes the packets.
    pub fn encode(&mut self, format: &ProbeFormat) {
        (self.done, self.pauses, self.longest) = (0, 0, Duration::ZERO);
        self.batch.clear();
        for packet in &self.packets {
            format.encode(&packet.marked, &mut self.batch);
        }
    }

    /// The batch, and the index of the first packet that is still to be offered; `None` when all are dealt with.
    pub fn remaining(&self) -> Option<(&PacketBatch, usize)> {
        (self.done < self.batch.len()).then_some((&self.batch, self.done))
    }

    /// Takes how far the kernel came, if it took everything that remained in a call between `before` and `after`. Returns whether it
    /// did.
    pub fn took_all(&mut self, progress: SendProgress, before: Time, after: Time) -> bool {
        let whole = self.done + progress.taken == self.packets.len();
        if !whole || progress.stopped.is_some() || self.unreported.is_some() {
            return false;
        }
        self.unreported = Some((self.done..self.packets.len(), before, after));
        self.done = self.packets.len();
        self.longest = self.longest.max(after.since(before));
        self.adapt();
        true
    }

    /// Reports the packets that went out. Call it when no further batch is collected.
    pub fn report(&mut self, core: &mut Core, now: Time) {
        if let Some((taken, before, after)) = self.unreported.take() {
            core.sent(&self.packets[taken], (before, after), now);
        }
    }

    /// Takes how far the kernel came with what remained, in a call between `before` and `after`. Returns how long to pause
    /// before the rest is offered. If the run `hurries`, no full queue is waited for.
    pub fn offered(
        &mut self,
        core: &mut Core,
        progress: SendProgress,
        (before, after): (Time, Time),
        now: Time,
        hurries: bool,
    ) -> Duration {
        let taken = self.done..(self.done + progress.taken).min(self.packets.len());
        if !taken.is_empty() {
            self.pauses = 0;
            self.longest = self.longest.max(after.since(before));
            core.sent(&self.packets[taken.clone()], (before, after), now);
        }
        self.done = taken.end;
        let packet = self.packets.get(self.done);
        if let (Some(stopped), Some(packet)) = (progress.stopped, packet) {
            match stopped {
                Stopped::Full if self.pauses < FULL_PAUSES && !hurries => {
                    self.pauses += 1;
                    core.hold(now + FULL_PAUSE);
                    return FULL_PAUSE;
                }
                Stopped::Full => core.refused(packet.id, UnsentReason::QueueFull, now),
                Stopped::Refused(reason) => core.refused(packet.id, reason, now),
                Stopped::Crowded(reason) => core.no_room(packet, reason, now),
            }
            self.done += 1;
        }
        if self.remaining().is_none() {
            self.adapt();
        }
        Duration::ZERO
    }

    /// Ends the probes of this batch that are not sent yet and whose addresses are blocked now. The others are encoded again.
    pub fn strike(&mut self, core: &mut Core, now: Time) {
        self.report(core, now);
        self.packets.drain(..self.done.min(self.packets.len()));
        self.packets.retain(|packet| {
            let blocked = core.is_blocked(packet.marked.destination);
            if blocked {
                core.strike(packet.id, now);
            }
            !blocked
        });
        let format = *core.format();
        self.encode(&format);
    }

    /// Takes that nothing can be sent any more: what remains was not sent.
    pub fn fail(&mut self, core: &mut Core, reason: UnsentReason, now: Time) {
        for packet in self.packets.drain(..).skip(self.done) {
            core.refused(packet.id, reason, now);
        }
        self.batch.clear();
    }

    /// Makes the next batch as large as fits into the span that stamps may be wrong by. One disturbed call moves it half-way.
    fn adapt(&mut self) {
        let sent = self.batch.len() as u128;
        let fits = BATCH_SPAN.as_nanos() * sent / self.longest.as_nanos().max(1);
        let fits = usize::try_from(fits).unwrap_or(LARGEST_BATCH);
        // Rounded up, or a size of 1 could never grow again.
        self.room = (self.room + fits.clamp(1, LARGEST_BATCH)).div_ceil(2);
    }
}
