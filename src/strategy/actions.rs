//! The probes that a strategy requests in one call, and the events that it reports.

use crate::model::{Probe, StrategyEvent, TraceEnd};

/// Which host is expected to answer a probe. The limiter spaces probes that may reach their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A router on the way.
    Router,
    /// The target.
    Target,
    /// The strategy does not know. It counts as the target until an answer shows how far the target is.
    Unknown,
}

/// A request for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The probe.
    pub probe: Probe,
    /// Which host is expected to answer.
    pub reach: Reach,
}

/// The requested probes and the reported events, each in order.
#[derive(Debug, Default)]
pub struct Actions {
    /// The probes.
    pub requests: Vec<Request>,
    /// The events.
    pub events: Vec<StrategyEvent>,
}

impl Actions {
    /// Requests a probe.
    pub fn probe(&mut self, probe: Probe, reach: Reach) {
        self.requests.push(Request { probe, reach });
    }

    /// Reports the end of a trace.
    pub fn ended(&mut self, end: TraceEnd) {
        self.events.push(StrategyEvent::Ended(end));
    }
}
