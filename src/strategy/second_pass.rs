//! The holes of a survey.

use crate::model::{FlowId, TargetId, Ttl};

/// A TTL of a path that did not answer, between TTLs that were probed. It takes 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hole {
    /// The target.
    pub target: TargetId,
    /// The flow.
    pub flow: FlowId,
    /// The TTL.
    pub ttl: Ttl,
}
