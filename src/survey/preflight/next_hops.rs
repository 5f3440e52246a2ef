//! Routes over several next hops (multipath routes). The kernel distributes flows over the next hops.

use crate::config::SurveyConfig;
use crate::transport::has_several_next_hops;

/// Whether there are such routes; `None` if the kernel does not answer.
pub(super) fn several() -> Option<bool> {
    has_several_next_hops()
}

/// The warning that these routes do not distribute the flows of a target; `None` if the survey has one flow per target. The
/// kernel does not see the ports of raw packets, and ordinary sockets send by the interface of their source address.
pub(super) fn warning(several: Option<bool>, config: &SurveyConfig) -> Option<String> {
    let matters = several == Some(true) && config.flow_pool() > 1 && config.interface.is_none();
    matters.then(|| {
        format!(
            "this machine has routes over several next hops (`ip route show` lists them as `nexthop`): all {} flows of a target leave by \
             the same one, so that the balancing of this machine does not show; survey once with each --interface to see the others",
            config.flow_pool()
        )
    })
}
