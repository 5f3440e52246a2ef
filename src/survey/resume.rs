//! Goes on with a run that was killed or interrupted.

use std::time::Duration;

use chrono::NaiveDate;

use crate::dataset::Output;
use crate::engine::stop::Stop;
use crate::targets::Resolve;

use super::{Observer, SurveyEnd, SurveyError};

/// Which run goes on, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeRequest {
    /// The dataset of the run.
    pub output: Output,
    /// The night of the run. `None`: if the dataset has one run only, that run.
    pub date: Option<NaiveDate>,
    /// The vantage point of the run. `None`: if the dataset has one run only, that run.
    pub vantage: Option<String>,
    /// The longest duration of sending from now on. `None`: no limit.
    pub max_duration: Option<Duration>,
}

/// Goes on with the run that `request` names: with its stored configuration, seed and targets.
///
/// # Errors
/// [`SurveyError::Resume`]: this version cannot resume a run yet.
pub fn resume(
    request: &ResumeRequest,
    _resolve: &Resolve<'_>,
    _stop: &Stop,
    _observer: &mut dyn Observer,
) -> Result<SurveyEnd, SurveyError> {
    Err(SurveyError::Resume {
        output: request.output.path().display().to_string(),
        why: "this version cannot resume a run yet; start the survey again".to_owned(),
    })
}
