//! What leaves next: the strategy's wishes at the pacer's speed. No clock, no socket.

use crate::model::{Outcome, Probe, Rate, Time, TraceEnd};
use crate::strategy::{Poll, Strategy};

use super::pacer::Pacer;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the probes that were collected.
    Send,
    /// Ask again at this time, or after the next outcome.
    Wait(Time),
    /// Ask again after the next outcome.
    AwaitOutcome,
    /// Nothing is left to send.
    Done,
}

/// Joins a strategy and a pacer.
pub struct Dispatcher {
    strategy: Box<dyn Strategy>,
    pacer: Pacer,
}

impl Dispatcher {
    /// Starts a schedule at `start`.
    pub fn new(strategy: Box<dyn Strategy>, rate: Rate, start: Time) -> Self {
        Dispatcher {
            strategy,
            pacer: Pacer::new(rate, start),
        }
    }

    /// Collects what may be sent at `now`, at most `limit` probes, into `probes`, which is emptied first.
    pub fn collect(&mut self, now: Time, limit: usize, probes: &mut Vec<Probe>) -> Next {
        probes.clear();
        let allowed = self.pacer.allowed(now).min(limit as u64) as usize;
        if allowed == 0 {
            return Next::Wait(self.pacer.next_time());
        }
        let idle = loop {
            if probes.len() == allowed {
                break None;
            }
            match self.strategy.poll(now) {
                Poll::Probe(probe) => probes.push(probe),
                Poll::Wait(Some(until)) => break Some(Next::Wait(until)),
                Poll::Wait(None) => break Some(Next::AwaitOutcome),
                Poll::Done => break Some(Next::Done),
            }
        };
        if !probes.is_empty() {
            self.pacer.sent(probes.len() as u64, now);
        }
        match idle {
            Some(next) => {
                self.pacer.idle(now);
                if probes.is_empty() { next } else { Next::Send }
            }
            None => Next::Send,
        }
    }

    /// Passes outcomes on to the strategy.
    pub fn observe(&mut self, outcomes: &[Outcome], now: Time) {
        for outcome in outcomes {
            self.strategy.observe(outcome, now);
        }
    }

    /// Notes for how many targets probes wait that this host has no room for.
    pub fn held(&mut self, targets: usize) {
        self.strategy.held(targets);
    }

    /// The next trace that has ended.
    pub fn take_ended(&mut self) -> Option<TraceEnd> {
        self.strategy.take_ended()
    }

    /// Ends every open trace: nothing more will be sent or told.
    pub fn interrupt(&mut self, now: Time) {
        self.strategy.interrupt(now);
    }

    /// Notes that sending was held up from outside: what was due until now is not owed.
    pub fn hold(&mut self, now: Time) {
        self.pacer.idle(now);
    }

    /// (Target, flow) pairs that are done with.
    pub fn completed(&self) -> u64 {
        self.strategy.completed()
    }
}
