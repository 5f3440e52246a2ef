//! The sender thread: from the core to the socket.

use std::time::Duration;

use crate::engine::core::Next;
use crate::engine::outbox::Outbox;
use crate::model::UnsentReason;
use crate::transport::PacketSender;

use super::LiveError;
use super::shared::{LONGEST_WAIT, PanicGuard, Shared};

pub(super) struct Sender<'a> {
    pub transport: Box<dyn PacketSender>,
    pub shared: &'a Shared<'a>,
    /// How many blocklists the batch at hand was compared with.
    pub lists_seen: u64,
}

impl Sender<'_> {
    pub fn run(mut self) -> Result<(), LiveError> {
        let _guard = PanicGuard(self.shared.stop);
        let mut outbox = Outbox::default();
        let result = self.send_all(&mut outbox);
        // Also after an error of ours: only sending is over, and what was sent is accounted for.
        self.shared.with(|core, now| {
            outbox.report(core, now);
            core.stop_sending(now);
        });
        result
    }

    fn send_all(&mut self, outbox: &mut Outbox) -> Result<(), LiveError> {
        // What it took to open everything is not owed.
        let format = self.shared.with(|core, now| {
            core.hold(now);
            self.shared.stop.sending_starts(now);
            *core.format()
        });
        while self.may_send() {
            match self.shared.collect(outbox) {
                Next::Send => {
                    outbox.find_sources(|target| self.transport.source_for(target));
                    self.shared.with(|core, now| outbox.enter(core, now));
                    outbox.encode(&format);
                    self.offer(outbox)?;
                }
                Next::Wait(until) => {
                    let span = until.since(self.shared.clock.now());
                    std::thread::sleep(span.min(LONGEST_WAIT));
                }
                Next::AwaitOutcome(_) => {}
                Next::Done => break,
            }
        }
        Ok(())
    }

    /// Whether nothing has asked for the end of sending.
    fn may_send(&self) -> bool {
        let stop = self.shared.stop;
        stop.watch_deadline(self.shared.clock.now());
        !stop.is_asked() && !stop.hurries()
    }

    /// Offers a batch to the kernel until every packet is taken or refused.
    fn offer(&mut self, outbox: &mut Outbox) -> Result<(), LiveError> {
        while outbox.remaining().is_some() {
            // No list comes between the comparison and the end of the call.
            let lists = self.shared.lists();
            if *lists != self.lists_seen {
                self.lists_seen = *lists;
                self.shared.with(|core, now| outbox.strike(core, now));
            }
            let Some((batch, first)) = outbox.remaining() else {
                break;
            };
            let before = self.shared.clock.now();
            let sent = self.transport.send(batch, first);
            drop(lists);
            let progress = match sent {
                Ok(progress) => progress,
                Err(error) => {
                    let reason = UnsentReason::Errno(error.raw_os_error().unwrap_or(libc::EIO));
                    self.shared.with(|core, now| outbox.fail(core, reason, now));
                    return Err(LiveError::Send(error));
                }
            };
            let call = (before, self.shared.clock.now());
            if outbox.took_all(progress, call.0, call.1) {
                break;
            }
            let hurries = self.shared.stop.hurries();
            let pause = self
                .shared
                .with(|core, now| outbox.offered(core, progress, call, now, hurries));
            if pause > Duration::ZERO {
                std::thread::sleep(pause);
            }
        }
        Ok(())
    }
}
