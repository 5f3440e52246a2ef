//! Keeps the packets that a run receives: a thread of its own writes them, so that the receiver never waits for a disk.

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver as ChannelReceiver;

use crate::dataset::{DatasetError, Kept, PcapFile};
use crate::engine::live::LiveError;
use crate::transport::{PacketReceiver, ReceivedBatch, RecordedReceiver};

use super::SurveyError;

/// The packets of a run on their way into a file, where they are kept.
pub(super) struct PacketLog(Option<JoinHandle<Result<Kept, DatasetError>>>);

/// Opens `path`, if there is one, for [`PacketLog::start`].
pub(super) fn create(path: Option<&Path>) -> Result<Option<PcapFile>, SurveyError> {
    Ok(path.map(PcapFile::create).transpose()?)
}

impl PacketLog {
    /// Keeps what `receiver` receives from now on in `file`, if there is one. Use the receiver given back, and
    /// [`finish`](PacketLog::finish) when it is gone.
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

    /// Waits until all is written and the file has its name. Gives what it holds, and the run's error: `of_run`, or where there
    /// is none, or where it only followed, that of writing. The file then holds what came before, if it could be sealed.
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
            // A receiver whose log has failed fails in its turn.
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
    // Before the file is sealed, which takes a while: with nobody at this end the receiver ends the run.
    drop(batches);
    let sealed = file.seal();
    written.and(sealed)
}
