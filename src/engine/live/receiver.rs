//! The receiver thread: from the socket to the core, which also learns from here that time passes.

use std::time::Duration;

use crate::engine::inbox::Inbox;
use crate::model::Time;
use crate::transport::{OwnAddresses, PacketReceiver};

use super::LiveError;
use super::shared::{PanicGuard, Shared};
use super::stamps::Stamps;

/// Stop flags and timeouts are looked at at least this often: an idle link never keeps the run from ending.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Probes timed out before the sender may take the core again.
const ROWS_AT_A_TIME: usize = 32;

pub(super) struct Receiver<'a> {
    pub transport: Box<dyn PacketReceiver>,
    /// Tells our own kernel's errors from those of others.
    pub own: OwnAddresses,
    pub shared: &'a Shared<'a>,
}

impl Receiver<'_> {
    /// Returns how many packets the kernel dropped because our buffer was full; `None` if it does not tell.
    pub fn run(mut self) -> Result<Option<u64>, LiveError> {
        let _guard = PanicGuard(self.shared.stop);
        let result = self.receive_all();
        if result.is_err() {
            self.shared.stop.fail();
        }
        result.map(|()| self.transport.dropped())
    }

    fn receive_all(&mut self) -> Result<(), LiveError> {
        let mut inbox = Inbox::default();
        let mut stamps = Stamps::new(self.shared.clock);
        let mut wait = LONGEST_WAIT;
        while !self.shared.stop.hurries() {
            let drained_until = self.read(wait, &mut inbox, &mut stamps)?;
            inbox.mark_ours(|address| self.own.have(address));
            let (is_done, is_over) = self.shared.with(|core, now| {
                inbox.deliver(core, now);
                let is_done = core.advance(drained_until, ROWS_AT_A_TIME, now);
                (is_done, core.is_over(now))
            });
            if is_over {
                break;
            }
            wait = match is_done {
                true => LONGEST_WAIT,
                false => Duration::ZERO,
            };
        }
        inbox.give_up_fragments();
        self.shared.with(|core, now| inbox.deliver(core, now));
        Ok(())
    }

    /// Reads what is there. Returns the time up to which everything received has been read.
    fn read(
        &mut self,
        wait: Duration,
        inbox: &mut Inbox,
        stamps: &mut Stamps,
    ) -> Result<Time, LiveError> {
        let before = self.shared.clock.now();
        stamps.measure();
        let received = self
            .transport
            .receive(wait, &mut |arrival, stamp| {
                inbox.arrival(&arrival, stamps.arrived_at(stamp));
            })
            .map_err(LiveError::Receive)?;
        Ok(stamps.drained_until(received.drained_until, before))
    }
}
