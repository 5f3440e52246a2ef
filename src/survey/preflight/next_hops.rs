//! Routes over several next hops (multipath routes), between which the kernel spreads flows.

use crate::config::SurveyConfig;
use crate::transport::has_several_next_hops;

/// Whether there are such routes; `None` if the kernel does not tell.
pub(super) fn several() -> Option<bool> {
    has_several_next_hops()
}

/// What to tell of them. They spread no flows of a target: raw packets show the kernel no ports, and packets of ordinary sockets
/// are kept on the way that fits their source address.
pub(super) fn warning(several: Option<bool>, config: &SurveyConfig) -> Option<String> {
    let matters = several == Some(true) && config.flows > 1 && config.interface.is_none();
    matters.then(|| {
        format!(
            "this machine has routes over several next hops (`ip route show` lists them as `nexthop`): all {} flows of a target leave by \
             the same one, so that the balancing of this machine does not show; survey once with each --interface to see the others",
            config.flows
        )
    })
}
