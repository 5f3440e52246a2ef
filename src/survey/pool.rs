//! The threads that parse and sort targets.

use std::error::Error;
use std::io;

use super::SurveyError;

/// Starts the threads. Left to itself, rayon panics if a thread cannot be started.
pub(super) fn start() -> Result<(), SurveyError> {
    match rayon::ThreadPoolBuilder::new().build_global() {
        Ok(()) => Ok(()),
        Err(error) => match error.source().and_then(|cause| cause.downcast_ref()) {
            Some(cause) => Err(SurveyError::Thread(again(cause))),
            // The caller has started it already.
            None => Ok(()),
        },
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
