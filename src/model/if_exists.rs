//! What a run does if its night has data already.

use super::named::named;

named! {
    /// What a run does if its night has data already: another run of the same date and vantage point.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum IfExists: "an answer to --if-exists" {
        /// Adds the run.
        #[default]
        Append = "append",
        /// Refuses the run.
        Fail = "fail",
        /// Does nothing if a run of the night is finished.
        Skip = "skip",
        /// Removes the other runs of the night when this one is complete.
        Replace = "replace",
    }
}
