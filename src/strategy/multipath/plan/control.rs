//! Flows for a group: its own first, then flows that are likely to belong to it (node control).

use std::collections::BTreeSet;

use super::Planner;
use crate::strategy::multipath::walk::{Members, Via};

impl Planner<'_> {
    /// Asks for flows of the groups at `place` that lack some. `lacking` has how many each lacks. Returns the groups for which there are none.
    pub(super) fn more(&mut self, place: usize, lacking: &[(usize, u32)]) -> Vec<usize> {
        let mut short = Vec::new();
        let mut none = Vec::new();
        for (at, count) in lacking {
            let fresh: Vec<u16> = self.unprobed(place, *at).take(*count as usize).collect();
            let left = count - fresh.len() as u32;
            if left > 0 {
                short.push((*at, left, !fresh.is_empty()));
            }
            self.want_all(place, fresh);
        }
        for (at, count, has_fresh) in &short {
            let parents = |at: usize| &self.groups[place][at].parents;
            let is_sibling = |other: usize| {
                let mut others = parents(other).iter();
                others.any(|parent| parents(*at).contains(parent))
            };
            let siblings = short.iter().filter(|(other, ..)| is_sibling(*other));
            let together = siblings.map(|(_, count, _)| count).sum();
            let lack = Lack {
                count: *count,
                together,
            };
            if !self.more_members(place, *at, lack) && !has_fresh {
                none.push(*at);
            }
        }
        none
    }

    /// The flows of a group that were not probed at `place`, used ones first.
    fn unprobed(&self, place: usize, at: usize) -> Box<dyn Iterator<Item = u16> + '_> {
        match &self.groups[place][at].members {
            Members::All => Box::new(self.unsent(place)),
            Members::Flows(flows) => {
                let shown = self.graph.at(place);
                let flows = flows.iter().copied();
                Box::new(flows.filter(move |flow| !shown.contains_key(flow)))
            }
        }
    }

    /// Node control: probes flows at the TTL before `place`, so that more of them are found to belong to the group. Returns whether there are
    /// any.
    fn more_members(&mut self, place: usize, at: usize, lack: Lack) -> bool {
        let Some(before) = place.checked_sub(1) else {
            return false;
        };
        let group = &self.groups[place][at];
        let (via, parents) = (group.via, group.parents.clone());
        match via {
            Via::Start => false,
            Via::Varying => parents
                .iter()
                .any(|parent| self.more_members(before, *parent, lack)),
            Via::Silent => {
                let mut any = false;
                for parent in parents {
                    let view = &self.views[before][parent];
                    let all = view.answered + view.silent.len() as u32;
                    let asked = lack.asked(all, view.silent.len() as u32, view.width() + 1);
                    any |= self.more(before, &[(parent, asked)]).is_empty();
                }
                any
            }
            Via::Node(node) => {
                for parent in &parents {
                    let view = &self.views[before][*parent];
                    let share = view.nodes.get(&node).copied().unwrap_or(1);
                    let asked = lack.asked(view.answered, share, view.width());
                    let unprobed = self.unprobed(before, *parent);
                    let flows: Vec<u16> = unprobed.take(asked as usize).collect();
                    if !flows.is_empty() {
                        self.want_all(before, flows);
                        return true;
                    }
                }
                if self.views[before].iter().any(|view| view.varies) {
                    return parents
                        .iter()
                        .any(|parent| self.more_members(before, *parent, lack));
                }
                let shown = self.graph.at(before);
                let here = { shown.values() }
                    .filter(|shown| shown.node == Some(node))
                    .count();
                let nodes: BTreeSet<_> = shown.values().filter_map(|shown| shown.node).collect();
                let asked = lack.asked(shown.len() as u32, here as u32, nodes.len());
                let pool = (self.used..self.limits.max_flows).chain(0..self.used);
                let fresh = pool.filter(|flow| !shown.contains_key(flow));
                let flows: Vec<u16> = fresh.take(asked as usize).collect();
                let any = !flows.is_empty();
                self.want_all(before, flows);
                any
            }
        }
    }
}

/// The flows that a group lacks.
#[derive(Clone, Copy, Debug)]
struct Lack {
    count: u32,
    /// With those that the groups beside it lack.
    together: u32,
}

impl Lack {
    /// How many flows to ask for, if the group had `share` of `all` flows that went to `width` parts.
    ///
    /// - A flow goes to one part. So at least `together` flows are needed, whatever way they go.
    /// - If the group gets few flows, about half of those are asked for that are likely to be needed. The next round asks for the rest. A
    ///   small share may be chance: each part counts as if it had three flows more.
    fn asked(self, all: u32, share: u32, width: usize) -> u32 {
        let all = u64::from(all) + 3 * width.max(1) as u64;
        let likely = (u64::from(self.count) * all).div_ceil(2 * (u64::from(share) + 3));
        u32::try_from(likely).unwrap_or(u32::MAX).max(self.together)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flows_to_ask_for_grow_with_the_width_and_no_fewer_than_needed_are_asked_for() {
        let asked =
            |count, together, all, share, width| Lack { count, together }.asked(all, share, width);
        assert_eq!(asked(3, 3, 20, 10, 2), 3);
        assert_eq!(asked(3, 6, 20, 10, 2), 6);
        assert_eq!(asked(1, 1, 160, 10, 16), 8);
        assert_eq!(asked(1, 1, 16, 1, 3), 4);
        assert_eq!(asked(1, 1, 0, 0, 0), 1);
    }
}
