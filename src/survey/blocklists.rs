//! Blocklists that change while a survey runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::SurveyConfig;
use crate::engine::core::Core;
use crate::engine::stop::Stop;
use crate::model::{Blocked, Time};
use crate::targets::{BlocklistWatch, RereadError};

use super::{Observer, SurveyError};

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
///
/// # Errors
/// [`SurveyError::Blocklist`]: a list cannot be read. An earlier session may have followed entries that nobody knows any more, so the run
/// does not go on. Standard input and other streams are left out with a warning: their entries are those of the loading.
pub(super) fn apply_at_once(
    lists: &mut BlocklistWatch,
    core: &mut Core,
    stop: &Stop,
    now: Time,
    observer: &mut dyn Observer,
) -> Result<(), SurveyError> {
    lists.expect_content();
    stop.reread().store(true, Ordering::Relaxed);
    let mut failed = None;
    while let Some(result) = lists.poll(now) {
        match result {
            Ok(blocked) => core.set_blocked(blocked, now),
            Err(stream @ RereadError::Stream(_)) => observer.warn(&stream.to_string()),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), |error| Err(SurveyError::Blocklist(error)))
}
