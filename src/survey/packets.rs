//! Keeps the packets that a run receives. A separate thread writes them, so that the receiving thread never waits for a disk.

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver as ChannelReceiver;

use crate::dataset::{DatasetError, Kept, PcapFile};
use crate::engine::live::LiveError;
use crate::transport::{PacketReceiver, ReceivedBatch, RecordedReceiver};

use super::SurveyError;

/// The warning that the reader of the stream of packets closed it.
pub(super) const READER_LEFT: &str = "the reader of the --pcap stream closed it before the end: the packets after that were not kept";

/// The packets of a run on their way into the capture file, if there is one.
pub(super) struct PacketLog(Option<JoinHandle<Result<Kept, DatasetError>>>);

/// Opens `path`, if there is one, for [`PacketLog::start`].
pub(super) fn create(path: Option<&Path>) -> Result<Option<PcapFile>, SurveyError> {
    Ok(path.map(PcapFile::create).transpose()?)
}

impl PacketLog {
    /// Keeps the packets that `receiver` receives from now on in `file`, if there is a file.
    ///
    /// Returns the receiver to use from now on. Call [`finish`](PacketLog::finish) when that receiver is gone.
    pub fn start(
        file: Option<PcapFile>,
        receiver: Box<dyn PacketReceiver>,
    ) -> Result<(Self, Box<dyn PacketReceiver>), SurveyError> {
        let Some(file) = file else {
            return Ok((PacketLog(None), receiver));
        };
        let (receiver, batches) = RecordedReceiver::new(receiver);
        let thread = std::thread::Builder::new()
            .name("packets".to_owned())
            .spawn(move || write(file, batches))
            .map_err(SurveyError::Thread)?;
        Ok((PacketLog(Some(thread)), Box::new(receiver)))
    }

    /// Waits until everything is written and the file has its name. Returns what the file holds, and the first error of the run.
    ///
    /// | the run | the capture file | the error |
    /// |---|---|---|
    /// | did not fail | did not fail | `None` |
    /// | failed | did not fail | `of_run` |
    /// | did not fail | failed | that of the file |
    /// | failed to receive, which follows from a failed file | failed | that of the file |
    /// | failed otherwise | failed | `of_run` |
    ///
    /// After an error the file holds what came before, if it could be sealed.
    pub fn finish(self, of_run: Option<SurveyError>) -> (Option<Kept>, Option<SurveyError>) {
        let Some(thread) = self.0 else {
            return (None, of_run);
        };
        let failed = match thread.join() {
            Ok(Ok(kept)) => return (Some(kept), of_run),
            Ok(Err(error)) => error.into(),
            Err(_) => LiveError::Thread("packets").into(),
        };
        let error = match of_run {
            // A receiver whose capture file has failed fails, too.
            None | Some(SurveyError::Run(LiveError::Receive(_))) => failed,
            Some(error) => error,
        };
        (None, Some(error))
    }
}

fn write(
    mut file: PcapFile,
    batches: ChannelReceiver<ReceivedBatch>,
) -> Result<Kept, DatasetError> {
    let written = batches
        .iter()
        .try_for_each(|batch| file.write(batch.iter()));
    // Close the channel before the file is sealed, which takes a while: the receiver then ends the run.
    drop(batches);
    let sealed = file.seal();
    written.and(sealed)
}
