//! A blocklist that changes during the run.

use std::net::IpAddr;
use std::sync::Arc;

use super::Core;
use crate::model::{Blocked, ProbeId, Time, UnsentReason};

impl Core {
    /// Takes a list of addresses that are not to be probed, in the place of the one before. It holds from now on: no probe to one
    /// of these addresses is given out or entered any more.
    ///
    /// | what is blocked | effect |
    /// |---|---|
    /// | a probe that waits here | it ends as skipped |
    /// | a probe that was given out | it ends as skipped when it is entered, or by [`strike`](Core::strike) |
    /// | a probe that was sent | nothing changes; its replies are recorded |
    /// | an open target | it ends as excluded when its pending probes have ended, whatever lists come later |
    /// | a target that is not started | it ends as excluded when its turn comes, if it is still blocked then |
    /// | an item of a sweep | its probe ends as skipped when its turn comes, if it is still blocked then |
    ///
    /// Skipped items of a sweep count towards the rate, because the ledger holds them like other probes. When sending is over, a
    /// list changes nothing.
    pub fn set_blocked(&mut self, blocked: Arc<dyn Blocked>, now: Time) {
        if !self.is_sending {
            return;
        }
        self.is_blocked_anew = true;
        self.strategy.set_blocked(&blocked, now, &mut self.actions);
        let is_blocked = |address: IpAddr| blocked.is_blocked(address);
        let mut struck = self.limiter.take_blocked(is_blocked);
        struck.extend(self.deferred.take_blocked(is_blocked));
        self.blocked = Some(blocked.clone());
        self.act(now);
        for probe in struck {
            self.tracker
                .enter_skipped(probe, UnsentReason::Blocklisted, now, &mut self.settled);
        }
        self.deliver(now);
    }

    /// Whether probes to this address are not to be sent.
    pub fn is_blocked(&self, address: IpAddr) -> bool {
        let blocked = self.blocked.as_ref();
        blocked.is_some_and(|blocked| blocked.is_blocked(address))
    }

    /// Takes that a probe was entered and not sent, because its address is blocked now.
    pub fn strike(&mut self, id: ProbeId, now: Time) {
        self.tracker
            .skip(id, UnsentReason::Blocklisted, &mut self.settled);
        self.deliver(now);
    }
}
