//! Recognises copies of earlier answers among replies that hold no secret.
//!
//! Networks sometimes deliver a packet twice. By then the next probe of the flow may be pending. If the copy were matched to
//! that probe, every later hop of the path would be shown one TTL too far.

use crate::engine::format::ProbeFormat;
use crate::engine::ledger::{AnswerMark, Entry};
use crate::model::{ProbeId, Reply};

/// From this attempt on, a reply like an earlier one is taken for an answer to the pending probe. Copies arrive sooner than
/// the timeout of the first attempt.
const BELIEVED: u8 = 2;

/// Returns the probe whose answer `reply` repeats: the first of `flow` whose answer had the same responder and kind.
///
/// - `flow` is in the order newest first. `waiting` is the pending probe, if there is one.
/// - Returns `None` if a second or later attempt is pending. Routers that answer at two TTLs, and targets that quote little,
///   give that attempt its answer.
/// - Returns `None` if the format allows several pending probes per flow.
pub(super) fn answered_before<'a>(
    format: &ProbeFormat,
    reply: &Reply,
    waiting: Option<&Entry>,
    mut flow: impl Iterator<Item = (ProbeId, &'a Entry)>,
) -> Option<ProbeId> {
    if !format.is_one_by_one() || waiting.is_some_and(|entry| entry.probe.attempt >= BELIEVED) {
        return None;
    }
    let answer = Some(AnswerMark::of(reply));
    let (probe, _) = flow.find(|(_, entry)| entry.answer == answer)?;
    Some(probe)
}
