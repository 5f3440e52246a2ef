//! Why a survey could not be made, or not be finished.

use crate::dataset::DatasetError;
use crate::engine::live::LiveError;
use crate::lab::LabError;
use crate::lab::driver::NamespaceError;
use crate::targets::TargetError;
use crate::transport::raw::TransportError;

/// Why a survey failed. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The targets cannot be read.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// There is nothing to probe.
    #[error("no target is left to probe: {0}")]
    NoTargets(String),
    /// The lab's network file is wrong.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The lab's namespace or device cannot be had.
    #[error("{0}; or run the survey in virtual time with --virtual-time, which needs nothing")]
    Namespace(#[from] NamespaceError),
    /// The sockets cannot be had.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The dataset cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A socket or thread broke while the run went on.
    #[error(transparent)]
    Run(#[from] LiveError),
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(#[from] getrandom::Error),
    /// The lab's network broke while the run went on.
    #[error("the lab's network broke: {0}")]
    LabBroke(std::io::Error),
}

impl SurveyError {
    /// Whether it is only that nobody reads our standard output any more: a clean end.
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            SurveyError::Dataset(error) => error.is_broken_pipe(),
            SurveyError::Run(LiveError::Sink(error)) => error
                .downcast_ref::<DatasetError>()
                .is_some_and(DatasetError::is_broken_pipe),
            _ => false,
        }
    }
}
