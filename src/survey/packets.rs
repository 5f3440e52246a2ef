//! Writes the received packets of a run to a capture file. A separate thread writes, so that receiving never waits for a disk.

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver as ChannelReceiver;

use crate::dataset::{DatasetError, Kept, PcapFile};
use crate::engine::live::LiveError;
use crate::transport::{PacketReceiver, ReceivedBatch, RecordedReceiver};

use super::SurveyError;

/// The warning that the reader of the packet stream closed it.
pub(super) const READER_LEFT: &str = "the reader of the --pcap stream closed it before the end: the packets after that were not kept";

/// The thread that writes the received packets to the capture file, if there is one.
pub(super) struct PacketLog(Option<JoinHandle<Result<Kept, DatasetError>>>);

/// Creates the capture file at `path`, if there is a path, for [`PacketLog::start`].
pub(super) fn create(path: Option<&Path>) -> Result<Option<PcapFile>, SurveyError> {
    Ok(path.map(PcapFile::create).transpose()?)
}

impl PacketLog {
    /// Writes the packets that `receiver` receives from now on to `file`, if there is a file.
    ///
    /// Returns the receiver to use from now on. Drop that receiver, then call [`finish`](PacketLog::finish).
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

    /// Waits until the file is complete and has its final name. Returns the contents of the file, and the first error of the
    /// run.
    ///
    /// | the run | the capture file | the error |
    /// |---|---|---|
    /// | succeeded | succeeded | `None` |
    /// | failed | succeeded | `of_run` |
    /// | succeeded | failed | the file's error |
    /// | failed to receive, because the file failed | failed | the file's error |
    /// | failed otherwise | failed | `of_run` |
    ///
    /// After an error the file holds the packets written before, if it could be sealed.
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
            // If the capture file fails, the receiver fails as a consequence.
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
    // Close the channel before the file is sealed, which takes a while. The receiver then ends the run at once.
    drop(batches);
    let sealed = file.seal();
    written.and(sealed)
}
