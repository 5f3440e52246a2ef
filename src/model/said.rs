//! What a reply says about the path of its probe.

use super::ReplyKind;

/// What a reply says about the path. If a TTL has several replies, the greatest counts; if these are equal, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// The probe was too large for the next line. Such a router did not check the TTL, and may be anywhere before it.
    TooLarge,
    /// The probe was dropped for another reason than its TTL.
    Complaint,
    /// The TTL ran out here.
    Expired,
    /// The probe reached the end of the path.
    Arrived,
}

impl Said {
    /// What a reply of this kind says. `from_target`: the responder is the address probed.
    pub fn of(kind: ReplyKind, from_target: bool) -> Self {
        match kind {
            _ if kind.is_arrival(from_target) => Said::Arrived,
            _ if kind.is_too_large() => Said::TooLarge,
            _ if kind.is_complaint() => Said::Complaint,
            _ => Said::Expired,
        }
    }

    /// Whether it is a complaint.
    pub fn is_complaint(self) -> bool {
        self <= Said::Complaint
    }
}
