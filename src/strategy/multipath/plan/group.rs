//! What one group of flows lacks.

use super::{Planner, Want};
use crate::model::{StoppedBy, Ttl};
use crate::strategy::multipath::graph::MOST_ATTEMPTS;
use crate::strategy::multipath::walk::{Group, Via, View};

/// Further attempts of a silent flow, beyond the usual number, if other flows of its group were answered.
const PATIENCE: u8 = 3;

/// The silent flows at which a group is given up, as a multiple of the answered ones that it needs.
const MOST_SILENT: u32 = 4;

/// The least probability that two packets of a flow meet the same node behind a hop without answers, whatever the shares of the nodes. A
/// balancer by packets may be hidden there, over few routers that balance by flows.
const BEHIND_SILENCE: f64 = 0.6;

/// The further attempts at which a group is given up, as a multiple of the answers that it needs. A hop may be limited, or lossy.
const MOST_REPEATS: u32 = 8;

/// What a group lacks.
pub(super) enum Lacks {
    /// So many flows.
    Flows(u32),
    /// Nothing, for this reason.
    Nothing(StoppedBy),
}

impl Planner<'_> {
    /// Adds the attempts that one group lacks. Returns how many flows it lacks. `ends`: how many groups of its hop lead to the target and
    /// nowhere else.
    pub(super) fn complete_group(
        &mut self,
        place: usize,
        group: &Group,
        view: &View,
        ends: u32,
    ) -> Lacks {
        let first = self.points.after(1);
        let tries = match view.answered {
            0 => self.limits.attempts,
            _ => self.limits.attempts.saturating_add(PATIENCE),
        };
        // If no flow is answered, only one of them is sent again.
        let again = match view.answered {
            0 => 1,
            _ => view.silent.len(),
        };
        let (graph, tries) = (self.graph, tries.min(MOST_ATTEMPTS));
        let silent = view.silent.iter().copied().take(again);
        self.want_all(
            place,
            silent.filter(|flow| graph.at(place)[flow].attempts < tries),
        );
        let (needed, have) = match view.answered {
            0 => (first, view.silent.len() as u32),
            // A router delivers to a host on its link, and forwards the host's packets nowhere else. So the last routers are asked
            // together.
            _ if ends > 1 && is_router(group) && view.only_target(self.graph) => {
                (first.div_ceil(ends).max(2), view.answered)
            }
            answered => (self.points.after(view.width()), answered),
        };
        if have < needed {
            // Most of its flows go to a silent next hop, or a limit lets few answers through.
            if view.answered > 0 && view.silent.len() as u32 > MOST_SILENT * needed {
                return Lacks::Nothing(StoppedBy::Silence);
            }
            return Lacks::Flows(needed - have);
        }
        Lacks::Nothing(StoppedBy::Points)
    }

    /// Asks for further answers to flows of a group with several next hops, until it is unlikely that the answers vary. Returns `false` if too
    /// few were answered.
    pub(super) fn repeat(&mut self, place: usize, group: &Group, view: &View) -> bool {
        if view.width() < 2 || view.varies {
            return true;
        }
        let hides_balancers = match group.via {
            Via::Silent => true,
            // The TTLs before the first are not probed.
            Via::Start => self.limits.first_ttl > Ttl(1),
            Via::Node(_) | Via::Varying => false,
        };
        let agreement = match hides_balancers {
            true => view.agreement().max(BEHIND_SILENCE),
            false => view.agreement(),
        };
        let needed = repeats(self.points.bound(), agreement);
        let most = MOST_REPEATS * needed;
        if view.repeats >= needed {
            return true;
        }
        if view.repeats_sent >= most {
            return false;
        }
        let lacking = (needed - view.repeats).min(most - view.repeats_sent) as usize;
        let mut flows: Vec<(u8, u16)> = { self.graph.at(place).iter() }
            .filter(|(flow, shown)| shown.node.is_some() && group.has(**flow))
            .map(|(flow, shown)| (shown.attempts, *flow))
            .filter(|(attempts, _)| *attempts < MOST_ATTEMPTS)
            .collect();
        flows.sort_unstable();
        let any = !flows.is_empty();
        for (_, flow) in flows.into_iter().take(lacking) {
            self.wants.insert(Want {
                place,
                flow,
                repeats: true,
            });
        }
        any
    }
}

/// Whether the flows of a group pass one router that is known.
pub(super) fn is_router(group: &Group) -> bool {
    matches!(group.via, Via::Node(_))
}

/// How many repeats show that answers vary, but for the probability `bound`. A balancer by packets sends a repeat to the same next hop with
/// the probability `agreement`.
fn repeats(bound: f64, agreement: f64) -> u32 {
    // Even if nearly all flows go to one next hop, the number stays bounded.
    let each = agreement.clamp(0.01, 0.9);
    (bound.ln() / each.ln()).ceil().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_keep_the_bound() {
        for (bound, agreement) in [(0.05, 0.5), (0.05, 1.0 / 3.0), (0.001, 0.5), (0.0084, 0.58)] {
            let needed = repeats(bound, agreement);
            let misjudged = |count: u32| f64::powi(agreement, count as i32);
            assert!(misjudged(needed) <= bound);
            assert!(needed == 1 || misjudged(needed - 1) > bound);
        }
    }
}
