//! Blocklists that change while a survey runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::SurveyConfig;
use crate::engine::core::Core;
use crate::engine::stop::Stop;
use crate::model::{Blocked, Time};
use crate::targets::BlocklistWatch;

use super::Observer;

/// Watches the blocklists of a survey.
pub(super) fn watch(config: &SurveyConfig, stop: &Stop) -> BlocklistWatch {
    let spec = &config.targets;
    BlocklistWatch::new(&spec.blocklists, spec.allow_special, stop.reread())
}

/// Returns what is in force from now on, if that has changed. A list that cannot be read is a warning.
pub(super) fn news(
    lists: &mut BlocklistWatch,
    now: Time,
    observer: &mut dyn Observer,
) -> Option<Arc<dyn Blocked>> {
    match lists.poll(now)? {
        Ok(exclusions) => Some(exclusions),
        Err(error) => {
            observer.warn(&error.to_string());
            None
        }
    }
}

/// Reads the lists of a resumed run before its first probe. They may have changed since its targets were loaded.
pub(super) fn apply_at_once(
    lists: &mut BlocklistWatch,
    core: &mut Core,
    stop: &Stop,
    now: Time,
    observer: &mut dyn Observer,
) {
    stop.reread().store(true, Ordering::Relaxed);
    if let Some(blocked) = news(lists, now, observer) {
        core.set_blocked(blocked, now);
    }
}
