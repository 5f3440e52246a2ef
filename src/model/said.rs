//! What an answer says of the path that its probe took.

use super::ReplyKind;

/// What an answer says of the path. Of several answers at a TTL the greatest counts, and of equal ones the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// The probe was too large for the next line. Such a router did not look at the TTL, and may stand anywhere before it.
    TooLarge,
    /// The probe was dropped for another reason than its TTL.
    Complaint,
    /// The TTL ran out here.
    Expired,
    /// The probe reached the end of the path.
    Arrived,
}

impl Said {
    /// What an answer of this kind says. `from_target`: the responder is the address probed.
    pub fn of(kind: ReplyKind, from_target: bool) -> Self {
        match kind {
            _ if kind.is_arrival(from_target) => Said::Arrived,
            _ if kind.is_too_large() => Said::TooLarge,
            _ if kind.is_complaint() => Said::Complaint,
            _ => Said::Expired,
        }
    }

    /// Whether it is a complaint from the way.
    pub fn is_complaint(self) -> bool {
        self <= Said::Complaint
    }
}
