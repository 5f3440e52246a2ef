//! The core's sending half: which probes leave next, and what became of them.

use std::net::IpAddr;
use std::time::Duration;

use super::Core;
use crate::engine::deferred::Waiting;
use crate::engine::format::Marked;
use crate::engine::limiter::{Due, Refusal};
use crate::model::{ProbeId, Time, UnsentReason};
use crate::strategy::Poll;

/// Rows that wait for the writer beyond which nothing is sent: a slow disk slows the survey and loses nothing.
pub const MOST_ROWS_WAITING: usize = 200_000;
/// Probes found, spaced or skipped in one call.
const MOST_STEPS: usize = 1_024;
/// How soon the writer is asked again.
const WRITER_PAUSE: Duration = Duration::from_millis(1);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the probes that were given out.
    Send,
    /// Ask again at this time. No outcome changes that.
    Wait(Time),
    /// Ask again after the next outcome, or at this time, whichever comes first.
    AwaitOutcome(Option<Time>),
    /// Nothing is left to send.
    Done,
}

/// A probe that was entered and is ready to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Its number.
    pub id: ProbeId,
    /// How it looks.
    pub marked: Marked,
    /// When it was first offered.
    pub offered_since: Time,
    /// Whether it was never refused for want of room.
    pub is_new: bool,
}

impl Core {
    /// Gives out what may be sent at `now`, at most `room` probes, into `due`, which is emptied first. `rows_waiting`: events that
    /// were taken and are not yet written.
    ///
    /// The probes given out must be entered next.
    pub fn poll_send(
        &mut self,
        now: Time,
        room: usize,
        rows_waiting: usize,
        due: &mut Vec<Due>,
    ) -> Next {
        due.clear();
        self.has_news = false;
        self.is_blocked_anew = false;
        self.struck = 0;
        if !self.is_sending {
            return Next::Done;
        }
        if self.is_held_up(now, rows_waiting) {
            return Next::Wait(now + WRITER_PAUSE);
        }
        let allowed = self.limiter.allowed(now).min(room as u64) as usize;
        if allowed == 0 {
            return Next::Wait(self.limiter.next_allowed());
        }
        self.retry_deferred(now);
        let next = self.fill(now, allowed, due);
        let taken = due.len() + self.struck;
        if taken > 0 {
            self.limiter.took(taken as u64, now);
        }
        if let Next::AwaitOutcome(_) | Next::Done = next {
            self.limiter.idle(now);
        }
        if !due.is_empty() {
            return Next::Send;
        }
        if self.struck > 0 {
            return Next::Wait(now);
        }
        // A strategy that waits for an outcome while no probe is pending would wait for ever: that is the end, too.
        let nothing_comes = next == Next::AwaitOutcome(None) && self.tracker.is_settled();
        if next == Next::Done || nothing_comes {
            self.is_sending = false;
            return Next::Done;
        }
        next
    }

    /// Fills `due` with up to `allowed` probes. Returns [`Next::Send`] if it is full, else why it is not.
    fn fill(&mut self, now: Time, allowed: usize, due: &mut Vec<Due>) -> Next {
        for _ in 0..MOST_STEPS {
            if due.len() + self.struck >= allowed {
                return Next::Send;
            }
            if let Some(next) = self.limiter.next(now) {
                due.push(next);
                continue;
            }
            // Probes whose time had come may have been skipped by a further limit.
            if self.settle_skipped(now) {
                self.deliver(now);
                continue;
            }
            let until = [self.limiter.next_due(), self.deferred.next_due()];
            let until = until.into_iter().flatten().min();
            if self.limiter.is_full() {
                return Next::AwaitOutcome(until);
            }
            let polled = self.strategy.poll(now, &mut self.actions);
            self.act(now);
            self.deliver(now);
            match polled {
                Poll::Started => {}
                Poll::Wait(again) => {
                    let until = [until, again].into_iter().flatten().min();
                    return Next::AwaitOutcome(until);
                }
                Poll::Done if until.is_some() => return Next::AwaitOutcome(until),
                Poll::Done => return Next::Done,
            }
        }
        // Others get a turn.
        Next::Wait(now)
    }

    /// Whether the writer is so far behind that nothing is sent; counts the time.
    fn is_held_up(&mut self, now: Time, rows_waiting: usize) -> bool {
        if let Some(since) = self.figures.held_up_since.take() {
            self.figures.held_up += now.since(since);
            self.limiter.idle(now);
        }
        let held_up = rows_waiting > MOST_ROWS_WAITING;
        self.figures.held_up_since = held_up.then_some(now);
        held_up
    }

    /// Offers those probes again that wait for room and are due, a few at a time, and gives up those that have waited too long.
    fn retry_deferred(&mut self, now: Time) {
        if !self.deferred.is_empty() && !self.limiter.has_refused() {
            let due = self.deferred.take(now);
            for waiting in due.retried {
                let Waiting {
                    probe,
                    since,
                    reason,
                } = waiting;
                self.limiter.add_again(probe, Refusal { since, reason });
            }
            for Waiting { probe, reason, .. } in due.expired {
                self.tracker
                    .enter_refused(probe, reason, now, &mut self.settled);
            }
            self.deliver(now);
        }
        self.strategy.held(self.deferred.targets());
    }

    /// Enters the probes given out. `sources` holds the source address of each, or the reason why it cannot be sent. Adds the probes
    /// that can be sent to `outgoing`. The entries stand before the packets leave, because a reply can arrive before the send call
    /// returns.
    pub fn enter(
        &mut self,
        due: &[Due],
        sources: &[Result<IpAddr, UnsentReason>],
        now: Time,
        outgoing: &mut Vec<Outgoing>,
    ) {
        self.tracker.expect(due.iter().map(|due| &due.probe));
        for (Due { probe, refused }, source) in due.iter().zip(sources) {
            match source {
                _ if self.is_blocked_anew && self.is_blocked(probe.destination) => {
                    let reason = UnsentReason::Blocklisted;
                    self.tracker
                        .enter_skipped(*probe, reason, now, &mut self.settled);
                }
                Ok(source) => {
                    let (id, marked) = self.tracker.enter(*probe, *source, now);
                    outgoing.push(Outgoing {
                        id,
                        marked,
                        offered_since: refused.map_or(now, |refused| refused.since),
                        is_new: refused.is_none(),
                    });
                }
                Err(reason) => {
                    self.tracker
                        .enter_refused(*probe, *reason, now, &mut self.settled);
                }
            }
        }
        self.deliver(now);
    }

    /// Takes that the kernel took `packets` in one call between `before` and `after`. Their times are spread over it. `now` is the
    /// time of this call.
    pub fn sent(&mut self, packets: &[Outgoing], (before, after): (Time, Time), now: Time) {
        if packets.is_empty() {
            return;
        }
        let span = after.since(before);
        self.figures.sent(packets.len() as u64, before, after);
        for (at, packet) in packets.iter().enumerate() {
            let sent_at = interpolated(before, span, at, packets.len());
            self.tracker.stamp(packet.id, sent_at, &mut self.settled);
        }
        self.deliver(now);
    }

    /// Takes that a probe cannot be sent.
    pub fn refused(&mut self, id: ProbeId, reason: UnsentReason, now: Time) {
        self.tracker.refuse(id, reason, &mut self.settled);
        self.deliver(now);
    }

    /// Takes that this host has no room for a probe at the moment: it is offered again later.
    pub fn no_room(&mut self, packet: &Outgoing, reason: UnsentReason, now: Time) {
        self.figures.crowded += u64::from(packet.is_new);
        let withdrawn = self.tracker.withdraw(packet.id);
        if let Some(probe) = withdrawn {
            let waiting = Waiting {
                probe,
                since: packet.offered_since,
                reason,
            };
            self.deferred.add(waiting, now);
        }
        self.deliver(now);
    }

    /// Takes that sending was held up from outside until `now`: what was due until then is not owed.
    pub fn hold(&mut self, now: Time) {
        self.limiter.idle(now);
    }

    /// Sends nothing more. Probes that wait for room end as skipped, because the run ends before them. Those that wait for a limit were
    /// never begun.
    pub fn stop_sending(&mut self, now: Time) {
        self.is_sending = false;
        let mut waiting = self.limiter.clear();
        waiting.extend(self.deferred.take_all().map(|waiting| waiting.probe));
        for probe in waiting {
            let reason = UnsentReason::Interrupted;
            self.tracker
                .enter_skipped(probe, reason, now, &mut self.settled);
        }
        // The strategy is not told: it would end traces that a resumed run has to go on with.
        self.settled.outcomes.clear();
    }
}

/// When the packet at place `at` of `count` was taken, if the kernel took them evenly over `span`.
fn interpolated(before: Time, span: Duration, at: usize, count: usize) -> Time {
    let nanos = span.as_nanos() as u64;
    before + Duration::from_nanos(nanos * (2 * at as u64 + 1) / (2 * count as u64))
}
