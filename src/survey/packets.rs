//! Keeps the packets that a run receives: a thread of its own writes them, so that the receiver never waits for a disk.

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver as ChannelReceiver;

use crate::dataset::{DatasetError, Kept, PcapFile};
use crate::engine::live::LiveError;
use crate::transport::{Listener, PacketReceiver, ReceivedBatch, RecordedReceiver};

use super::SurveyError;

/// What to tell when packets went into a stream whose reader left.
pub(super) const READER_LEFT: &str =
    "whatever read the packets of --pcap left before the end: those after that were not kept";

/// What a run hears replies through.
pub(super) enum Ears {
    /// Whole packets, which can be kept.
    Packets(Box<dyn PacketReceiver>),
    /// Sockets whose kernel tells of packets only in part.
    Sockets(Box<dyn Listener>),
}

/// The packets of a run on their way into a file, where they are kept.
pub(super) struct PacketLog(Option<JoinHandle<Result<Kept, DatasetError>>>);

/// Opens `path`, if there is one, for [`PacketLog::start`].
pub(super) fn create(path: Option<&Path>) -> Result<Option<PcapFile>, SurveyError> {
    Ok(path.map(PcapFile::create).transpose()?)
}

impl PacketLog {
    /// Keeps what `ears` receive from now on in `file`, if there is one; of sockets there is nothing to keep, which is refused
    /// before. Use the listener given back, and [`finish`](PacketLog::finish) when it is gone.
    pub fn start(
        file: Option<PcapFile>,
        ears: Ears,
    ) -> Result<(Self, Box<dyn Listener>), SurveyError> {
        let (file, receiver) = match (file, ears) {
            (Some(file), Ears::Packets(receiver)) => (file, receiver),
            (None, Ears::Packets(receiver)) => return Ok((PacketLog(None), Box::new(receiver))),
            (_, Ears::Sockets(listener)) => return Ok((PacketLog(None), listener)),
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
