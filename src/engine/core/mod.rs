//! The engine without clock, socket or thread: strategy, limiter, ledger and matcher in one type.
//!
//! A driver lends it the time and the network. It asks for probes ([`poll_send`](Core::poll_send)), enters them with their source
//! addresses ([`enter`](Core::enter)), and says what the kernel did with them ([`sent`](Core::sent), [`refused`](Core::refused),
//! [`no_room`](Core::no_room)). It hands in replies ([`reply`](Core::reply)), other packets
//! ([`discard`](Core::discard)), and time ([`advance`](Core::advance)). Events come out
//! ([`take_events`](Core::take_events)).
//!
//! A blocklist can come at any time ([`set_blocked`](Core::set_blocked)).
//!
//! The core guarantees:
//! - The strategy learns an outcome in the call that produced it.
//! - The rows of a trace's probes come before the end of the trace: every call puts its rows into the queue of events before the
//!   strategy learns anything.
//! - Every probe that was given out ends in exactly one row with `reply_index` 0, if the driver goes on until the run is over.
//! - The same calls give the same answers.

mod blocking;
mod event;
mod report;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use event::Event;
pub use sending::{Next, Outgoing};

use self::report::Figures;
use super::deferred::Deferred;
use super::format::ProbeFormat;
use super::limiter::{Limiter, Limits};
use super::tracker::{Settled, Tracker};
use crate::model::{Blocked, DiscardReason, Reply, StrategyEvent, Time, UnsentReason};
use crate::strategy::{Actions, Cursor, Request, Strategy};

/// A run, as far as it can be without clock and network.
pub struct Core {
    strategy: Box<dyn Strategy>,
    limiter: Limiter,
    /// Probes that this host had no room for.
    deferred: Deferred,
    tracker: Tracker,
    /// Events that nobody has taken yet, and the outcomes of the current call.
    settled: Settled,
    /// What the strategy asked for in the current call.
    actions: Actions,
    figures: Figures,
    /// How long to listen after the last probe.
    cooldown: Duration,
    is_sending: bool,
    has_news: bool,
    /// Addresses that are not to be probed.
    blocked: Option<Arc<dyn Blocked>>,
    /// Whether the list came after probes were given out and before they were entered.
    is_blocked_anew: bool,
    /// Probes that ended in this call because their addresses are blocked.
    struck: usize,
}

impl Core {
    /// Joins the parts. The schedule starts at `start`. Replies are listened for until `cooldown` after the last probe, at least.
    pub fn new(
        strategy: Box<dyn Strategy>,
        limits: &Limits,
        tracker: Tracker,
        start: Time,
        cooldown: Duration,
    ) -> Self {
        Core {
            strategy,
            limiter: Limiter::new(limits, start),
            deferred: Deferred::default(),
            tracker,
            settled: Settled::default(),
            actions: Actions::default(),
            figures: Figures::default(),
            cooldown,
            is_sending: true,
            has_news: false,
            blocked: None,
            is_blocked_anew: false,
            struck: 0,
        }
    }

    /// How probes look on the wire.
    pub fn format(&self) -> &ProbeFormat {
        self.tracker.format()
    }

    /// Takes a reply that was read from `bytes`. `is_ours`: the responder is an address of this host.
    pub fn reply(&mut self, reply: Box<Reply>, is_ours: bool, bytes: &[u8], now: Time) {
        let at = reply.received_at;
        let discarded = self.tracker.reply(reply, is_ours, &mut self.settled);
        if let Some(reason) = discarded {
            self.figures.samples.offer(reason, at, bytes);
        }
        self.deliver(now);
    }

    /// Takes a packet, received at `at`, that could not be read as a reply.
    pub fn discard(&mut self, reason: DiscardReason, bytes: &[u8], at: Time) {
        self.tracker.discard(reason);
        self.figures.samples.offer(reason, at, bytes);
    }

    /// Lets time pass: unanswered probes time out. Every packet received before `until` must have been given to
    /// [`reply`](Core::reply) or [`discard`](Core::discard).
    ///
    /// Stops after `limit` rows, so that others get a turn. Returns whether all that was due is done.
    pub fn advance(&mut self, until: Time, limit: usize, now: Time) -> bool {
        let done = self.tracker.advance(until, limit, &mut self.settled);
        self.deliver(now);
        done
    }

    /// When [`advance`](Core::advance) next has something to do; `None` while no probe is pending.
    pub fn next_timeout(&self) -> Option<Time> {
        self.tracker.next_timeout()
    }

    /// Takes the events to write, in order.
    pub fn take_events(&mut self) -> VecDeque<Event> {
        let events = &mut self.settled.events;
        // As many are likely to come the next time.
        let room = VecDeque::with_capacity(events.len());
        std::mem::replace(events, room)
    }

    /// Whether the strategy has learned something since the last call of [`poll_send`](Core::poll_send).
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Whether the run is over at `now`: nothing is left to send, every probe has ended, and the cool-down has passed.
    pub fn is_over(&self, now: Time) -> bool {
        self.over_at(now).is_some_and(|over| now >= over)
    }

    /// When the run is over, if nothing but the cool-down is waited for at `now`.
    pub fn over_at(&self, now: Time) -> Option<Time> {
        let drained = !self.is_sending && self.tracker.is_settled();
        let over = self
            .figures
            .last_sent
            .map_or(now, |sent| sent + self.cooldown);
        drained.then_some(over)
    }

    /// Ends what is open as interrupted. Call it last: no reply and no timeout will follow. Probes that are still pending get no
    /// row. They are counted ([`Tally::pending`](crate::engine::report::Tally::pending)).
    pub fn finish(&mut self, now: Time) {
        self.stop_sending(now);
        self.figures.pending += self.tracker.abandon(&mut self.settled);
        self.deliver(now);
        self.strategy.interrupt(now, &mut self.actions);
        self.act(now);
    }

    /// Where the run stands in its order.
    pub fn cursor(&self) -> Cursor {
        self.strategy.cursor()
    }

    /// Tells the strategy the outcomes of this call, whose rows are out, until nothing new comes of that.
    fn deliver(&mut self, now: Time) {
        while !self.settled.outcomes.is_empty() {
            self.has_news = true;
            let mut outcomes = std::mem::take(&mut self.settled.outcomes);
            for outcome in outcomes.drain(..) {
                self.limiter.observe(&outcome, now);
                self.strategy.observe(&outcome, now, &mut self.actions);
            }
            self.settled.outcomes = outcomes;
            self.act(now);
        }
    }

    /// Does what the strategy asked for. Probes that are skipped for it are settled, and not yet told.
    fn act(&mut self, now: Time) {
        for request in self.actions.requests.drain(..) {
            if !self.is_sending {
                continue;
            }
            let Request { probe, .. } = request;
            let mut blocked = self.blocked.iter();
            if blocked.any(|blocked| blocked.is_blocked(probe.destination)) {
                self.struck += 1;
                let settled = &mut self.settled;
                self.tracker
                    .enter_skipped(probe, UnsentReason::Blocklisted, now, settled);
            } else {
                self.limiter.add(request, now);
            }
        }
        let settled = &mut self.settled;
        for event in self.actions.events.drain(..) {
            match event {
                StrategyEvent::Ended(end) => settled.events.push_back(Event::Ended(end)),
                StrategyEvent::Row(row) => settled.events.push_back(Event::Table(row)),
                StrategyEvent::Inferred(hop) => self.tracker.enter_inferred(&hop, settled),
            }
        }
        let _ = self.settle_skipped(now);
    }

    /// Ends the probes that the limiter gave up. Returns whether there were any.
    fn settle_skipped(&mut self, now: Time) -> bool {
        let mut any = false;
        while let Some((probe, reason)) = self.limiter.take_skipped() {
            self.tracker
                .enter_skipped(probe, reason, now, &mut self.settled);
            any = true;
        }
        any
    }
}
