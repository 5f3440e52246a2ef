//! Copies of answers that have been, where an answer names no probe: networks deliver packets twice, and the second one must not be
//! taken for the answer to the probe that left meanwhile, or every later hop of the path would be one too far.

use crate::engine::format::ProbeFormat;
use crate::engine::ledger::{AnswerMark, Entry};
use crate::model::{ProbeId, Reply};

/// The attempt from which on a likeness is believed: the time that an earlier one was waited for is longer than copies take.
const BELIEVED: u8 = 2;

/// The probe of `flow`, newest first, that had the very answer (responder and kind) that `reply` is, where that is no answer to
/// `waiting`. Routers that answer at two TTLs, and targets that quote little, answer a second attempt.
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
