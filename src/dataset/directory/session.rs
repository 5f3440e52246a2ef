//! The processes that wrote a run, as its manifest lists them.

use crate::dataset::manifest::{Counts, Session};
use crate::model::{ProbeId, Time};

/// The numbers of probes that one session may use. The block is reserved by its manifest, which is durable before the first probe.
const PROBES_PER_SESSION: u64 = 1 << 40;

/// The session of this process, and those before it.
#[derive(Clone, Debug)]
pub(in crate::dataset) struct Sessions {
    /// The sessions that have ended.
    pub earlier: Vec<Session>,
    /// This one's start.
    pub started_at: Time,
    /// Rows that this one removed when it began.
    pub dropped_rows: Counts,
}

impl Sessions {
    /// The first session of a run.
    pub fn first(started_at: Time) -> Self {
        Sessions::after(Vec::new(), started_at)
    }

    /// The session after `earlier`.
    pub fn after(earlier: Vec<Session>, started_at: Time) -> Self {
        Sessions {
            earlier,
            started_at,
            dropped_rows: Counts::default(),
        }
    }

    /// The number of this session.
    pub fn number(&self) -> u32 {
        let next = self.earlier.iter().map(|session| session.number + 1).max();
        next.unwrap_or(0)
    }

    /// The number of the first probe of this session.
    pub fn first_probe(&self) -> ProbeId {
        ProbeId(u64::from(self.number()) * PROBES_PER_SESSION)
    }
}
