//! The writer's thread: encodes and seals groups of rows while the next group fills.
//!
//! The channel holds no message: the sender waits until the worker takes it. So at most one group is encoded while another one fills,
//! and memory is bounded. A survey waits for its disk, and loses no row.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Finished, Group};
use crate::dataset::directory::Directory;
use crate::dataset::single::Single;
use crate::dataset::{DatasetError, Ending};

/// The destination of the rows.
pub(super) enum Place {
    Directory(Box<Directory>),
    Single(Box<Single>),
}

impl Place {
    /// What the user should know.
    pub(super) fn notices(&self) -> Vec<String> {
        match self {
            Place::Directory(directory) => directory.notices(),
            Place::Single(single) => single.notices(),
        }
    }

    /// Seals a group. Buffers whose rows are safe are emptied, also if there is an error. A later call with the same group writes only
    /// what is missing.
    fn seal(&mut self, group: &mut Group) -> Result<(), DatasetError> {
        match self {
            Place::Directory(directory) => directory.seal(group),
            Place::Single(single) => single.write(group),
        }
    }

    /// Seals the last groups, and ends the output.
    fn finish(self, groups: Vec<Group>, ending: &Ending) -> Result<Finished, DatasetError> {
        match self {
            Place::Directory(directory) => directory.finish(groups, ending),
            Place::Single(single) => single.finish(groups, ending),
        }
    }
}

enum Message {
    /// Seal these rows.
    Seal(Box<Group>),
    /// Answer after an attempt to seal all earlier groups.
    Answer(Sender<()>),
    /// Seal these groups, and end the output.
    Finish(Vec<Group>, Ending),
}

/// The writer's thread.
pub(super) struct Worker {
    /// `None` after the last message.
    messages: Option<Sender<Message>>,
    error: Arc<Mutex<Option<DatasetError>>>,
    thread: Option<JoinHandle<Option<Result<Finished, DatasetError>>>>,
    /// The output, for errors.
    subject: PathBuf,
}

/// A thread without anything to write yet. It is started before the output is opened, so that a refused thread leaves nothing behind.
pub(super) struct Idle {
    place: Sender<Place>,
    worker: Worker,
}

impl Idle {
    /// Starts the thread.
    pub(super) fn start(subject: &Path) -> Result<Self, DatasetError> {
        let (place, opened) = bounded::<Place>(1);
        let (messages, received) = bounded(0);
        let error = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&error);
        let thread = std::thread::Builder::new()
            .name("dataset".to_owned())
            // Without a place, the output could not be opened.
            .spawn(move || work(opened.recv().ok()?, &received, &slot))
            .map_err(DatasetError::file("start a thread to write", subject))?;
        let worker = Worker {
            messages: Some(messages),
            error,
            thread: Some(thread),
            subject: subject.to_owned(),
        };
        Ok(Idle { place, worker })
    }

    /// The output, for errors.
    pub(super) fn subject(&self) -> &Path {
        &self.worker.subject
    }

    /// Hands over the opened output.
    pub(super) fn write_to(self, place: Place) -> Worker {
        // If the thread is gone, the next call says so.
        let _ = self.place.send(place);
        self.worker
    }
}

impl Worker {
    /// Hands over a group. Waits while an earlier group is being sealed.
    pub(super) fn seal(&self, group: Group) -> Result<(), DatasetError> {
        self.send(Message::Seal(Box::new(group)))
    }

    /// Waits until all groups handed over are sealed. Groups that could not be sealed before are tried again.
    pub(super) fn wait(&self) -> Result<(), DatasetError> {
        let (answer, answered) = bounded(1);
        self.send(Message::Answer(answer))?;
        match answered.recv() {
            Ok(()) => self.check(),
            Err(_) => Err(self.gone()),
        }
    }

    /// Returns the error of sealing that was not returned yet.
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take().map_or(Ok(()), Err)
    }

    /// Hands over the last groups, and waits until the output has ended.
    pub(super) fn finish(
        mut self,
        last: Vec<Group>,
        ending: Ending,
    ) -> Result<Finished, DatasetError> {
        let sent = self.send(Message::Finish(last, ending));
        let ended = sent.and_then(|()| self.join().unwrap_or_else(|| Err(self.gone())));
        match (ended, self.check()) {
            // An earlier error is the cause of a later one.
            (Err(_), Err(first)) => Err(first),
            (Ok(_), Err(panicked @ DatasetError::HookPanicked(_))) => Err(panicked),
            // If the end succeeded, all groups are sealed, also those that had failed before.
            (ended, _) => ended,
        }
    }

    fn send(&self, message: Message) -> Result<(), DatasetError> {
        let sent = self
            .messages
            .as_ref()
            .map(|messages| messages.send(message));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.gone()),
        }
    }

    fn gone(&self) -> DatasetError {
        DatasetError::WriterGone(self.subject.clone())
    }

    /// Waits for the end of the thread.
    fn join(&mut self) -> Option<Result<Finished, DatasetError>> {
        self.messages = None;
        self.thread.take()?.join().ok()?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A group that is being sealed is sealed to its end.
        let _ = self.join();
    }
}

/// The thread. Returns `None` if the writer was dropped without being finished.
fn work(
    mut place: Place,
    messages: &Receiver<Message>,
    error: &Mutex<Option<DatasetError>>,
) -> Option<Result<Finished, DatasetError>> {
    // Groups that could not be sealed, the oldest first.
    let mut waiting: Vec<Group> = Vec::new();
    for message in messages {
        let answer = match message {
            Message::Seal(group) => {
                waiting.push(*group);
                None
            }
            Message::Answer(answer) => Some(answer),
            Message::Finish(last, ending) => {
                waiting.extend(last);
                return Some(place.finish(waiting, &ending));
            }
        };
        let sealed = seal_all(&mut place, &mut waiting);
        let mut slot = error.lock().unwrap_or_else(PoisonError::into_inner);
        match sealed {
            // All groups are sealed, also those that had failed before. But a hook that panicked is never called again.
            Ok(()) => drop(slot.take_if(|error| !matches!(error, DatasetError::HookPanicked(_)))),
            // The first error is the cause of the later ones.
            Err(found) => {
                slot.get_or_insert(found);
            }
        }
        drop(slot);
        if let Some(answer) = answer {
            // An error means that the caller no longer waits.
            let _ = answer.send(());
        }
    }
    None
}

/// Seals the groups in their order, up to the first error.
fn seal_all(place: &mut Place, waiting: &mut Vec<Group>) -> Result<(), DatasetError> {
    while let Some(group) = waiting.first_mut() {
        place.seal(group)?;
        waiting.remove(0);
    }
    Ok(())
}
