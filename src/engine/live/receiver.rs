//! The receiver thread: reads, decodes, matches, and lets time pass for the probes that wait.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender as ChannelSender;

use crate::engine::clock::Clock;
use crate::engine::report::DiscardSamples;
use crate::engine::stop::Stop;
use crate::engine::tracker::{Findings, Tracker};
use crate::model::{DiscardReason, Outcome, Reply, Time};
use crate::transport::{Arrival, OwnAddresses, PacketReceiver};
use crate::wire::{self, Reassembler, Taken};

use super::shared::{PanicGuard, lock, pass_rows};
use super::{Gauges, LiveError, Message};

/// Stop flags and timeouts are looked at at least this often: an idle link never keeps the run from ending.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// While a reply waits for its probe's send stamp, which is due within microseconds.
const STAMP_WAIT: Duration = Duration::from_micros(200);

/// Probes timed out before the sender may take the tracker again.
const ROWS_AT_A_TIME: usize = 32;

pub(super) struct Receiver<'a> {
    pub transport: Box<dyn PacketReceiver>,
    /// Tells our own kernel's errors from those of others.
    pub own: OwnAddresses,
    pub tracker: &'a Mutex<Tracker>,
    pub clock: Clock,
    pub cooldown: Duration,
    pub outcomes: ChannelSender<Vec<Outcome>>,
    pub records: ChannelSender<Message>,
    pub stop: &'a Stop,
    pub gauges: &'a Gauges,
}

/// What the receiver knows at its end.
pub(super) struct ReceiverReport {
    pub dropped: Option<u64>,
    pub discard_samples: DiscardSamples,
}

/// Packets that were read and not yet matched; used again and again.
#[derive(Default)]
struct Read {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    fragments: Reassembler,
}

impl Read {
    fn push(&mut self, at: Time, decoded: Result<Reply, DiscardReason>, bytes: &[u8]) {
        push(&mut self.packets, &mut self.bytes, at, decoded, bytes);
    }

    /// Takes a packet in; a fragment only with the one that makes the packet whole.
    fn push_packet(&mut self, at: Time, bytes: &[u8]) {
        if let Taken::Whole(whole) = self.fragments.take(bytes, at) {
            let decoded = wire::decode(whole, at);
            push(&mut self.packets, &mut self.bytes, at, decoded, whole);
        }
    }

    /// Marks the errors that come from this host itself.
    fn mark_ours(&mut self, own: &mut OwnAddresses) {
        for packet in &mut self.packets {
            packet.is_ours = packet
                .decoded
                .as_ref()
                .is_ok_and(|reply| reply.kind.is_unreachable() && own.have(reply.responder));
        }
    }

    /// Takes in the fragments that became part of no packet.
    fn push_dropped(&mut self) {
        for fragment in self.fragments.take_dropped() {
            let refused = Err(fragment.reason);
            let (packets, bytes) = (&mut self.packets, &mut self.bytes);
            push(packets, bytes, fragment.at, refused, &fragment.packet);
        }
    }
}

fn push(
    packets: &mut Vec<Packet>,
    kept: &mut Vec<u8>,
    at: Time,
    decoded: Result<Reply, DiscardReason>,
    bytes: &[u8],
) {
    let start = kept.len();
    kept.extend_from_slice(bytes);
    packets.push(Packet {
        at,
        decoded: decoded.map(Box::new),
        is_ours: false,
        bytes: start..kept.len(),
    });
}

/// One arrival: a reply or the reason why it is none, and its bytes.
struct Packet {
    at: Time,
    decoded: Result<Box<Reply>, DiscardReason>,
    /// Whether it is an error of this host's.
    is_ours: bool,
    bytes: Range<usize>,
}

impl Receiver<'_> {
    pub fn run(mut self) -> Result<ReceiverReport, LiveError> {
        let _guard = PanicGuard {
            stop: self.stop,
            gauges: self.gauges,
        };
        let result = self.receive_all();
        if result.is_err() {
            self.stop.fail();
        }
        result
    }

    fn receive_all(&mut self) -> Result<ReceiverReport, LiveError> {
        let mut read = Read::default();
        let mut findings = Findings::default();
        let mut samples = DiscardSamples::default();
        let mut wait = LONGEST_WAIT;
        while !self.stop.has_failed() {
            let drained_until = self.receive(wait, &mut read)?;
            read.mark_ours(&mut self.own);
            self.count(&read);
            // Looked at before the tracker: probes entered after it are still to be heard of.
            let sending_done = self.gauges.sending_done.load(Ordering::Acquire);
            let settled;
            {
                let mut tracker = lock(self.tracker);
                match_all(&mut read, &mut tracker, &mut findings, &mut samples);
                let done = tracker.advance(drained_until, ROWS_AT_A_TIME, &mut findings);
                settled = tracker.is_settled();
                wait = match (done, tracker.awaits_stamp()) {
                    (false, _) => Duration::ZERO,
                    (true, true) => STAMP_WAIT,
                    (true, false) => LONGEST_WAIT,
                };
            }
            // Rows first: a trace's end, decided on these outcomes, must come behind them.
            let room = Vec::with_capacity(findings.rows.len());
            let rows = std::mem::replace(&mut findings.rows, room);
            pass_rows(rows, &self.records, self.gauges);
            if !findings.outcomes.is_empty() {
                // A sender that is gone has failed, and says why itself.
                let _ = self.outcomes.send(std::mem::take(&mut findings.outcomes));
            }
            if settled && sending_done && self.is_quiet() {
                break;
            }
        }
        // Fragments that wait have waited in vain.
        read.bytes.clear();
        read.fragments.give_up();
        read.push_dropped();
        self.count(&read);
        let mut tracker = lock(self.tracker);
        match_all(&mut read, &mut tracker, &mut findings, &mut samples);
        Ok(ReceiverReport {
            dropped: self.transport.dropped(),
            discard_samples: samples,
        })
    }

    /// Reads what is there. Returns the time up to which everything received has been read.
    fn receive(&mut self, wait: Duration, read: &mut Read) -> Result<Time, LiveError> {
        read.bytes.clear();
        let before = self.clock.now();
        let offset = self.clock.wall_offset();
        let clock = self.clock;
        let received = self
            .transport
            .receive(wait, &mut |arrival, stamp| {
                // A wall clock that was stepped forward since the offset was taken must not bring the future.
                let now = clock.now();
                let at = stamp.map_or(now, |wall| offset.to_run_time(wall).min(now));
                let decoded = match &arrival {
                    Arrival::Packet(bytes) => return read.push_packet(at, bytes),
                    Arrival::Error(error) => wire::decode_error(error, at),
                    Arrival::Datagram(datagram) => Ok(wire::decode_datagram(datagram, at)),
                    Arrival::Echo(echo) => wire::decode_echo(echo, at),
                    Arrival::Unreadable(reason, _) => Err(*reason),
                };
                read.push(at, decoded, arrival.bytes());
            })
            .map_err(LiveError::Receive)?;
        read.push_dropped();
        Ok(match received.drained_until {
            None => before,
            Some(wall) => offset.to_run_time(wall).min(before),
        })
    }

    /// Counts what was read.
    fn count(&self, read: &Read) {
        let count = read.packets.len() as u64;
        self.gauges.received.fetch_add(count, Ordering::Relaxed);
    }

    fn is_quiet(&self) -> bool {
        let now = self.clock.now();
        self.gauges
            .last_sent()
            .is_none_or(|sent| now >= sent + self.cooldown)
    }
}

/// Finds the probe of each reply that was read. A reply without a probe is counted with its reason.
fn match_all(
    read: &mut Read,
    tracker: &mut Tracker,
    findings: &mut Findings,
    samples: &mut DiscardSamples,
) {
    for packet in read.packets.drain(..) {
        let refused = match packet.decoded {
            Ok(reply) => tracker.reply_of(reply, packet.is_ours, findings),
            Err(reason) => Some(tracker.discard(reason)),
        };
        if let Some(reason) = refused {
            samples.offer(reason, packet.at, &read.bytes[packet.bytes]);
        }
    }
}
