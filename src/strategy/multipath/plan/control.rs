//! Flows for a group: its own first, then flows that are likely to belong to it (node control).

use super::{Planner, Want};
use crate::strategy::multipath::walk::{Members, Via};

impl Planner<'_> {
    /// Asks for `count` further flows of a group at `place`. Returns whether there are any.
    pub(super) fn more(&mut self, place: usize, at: usize, count: u32) -> bool {
        let fresh: Vec<u16> = self.unprobed(place, at).take(count as usize).collect();
        for flow in &fresh {
            self.wants.insert(Want {
                place,
                flow: *flow,
                repeats: false,
            });
        }
        let lacking = count - fresh.len() as u32;
        let got = match lacking {
            0 => false,
            lacking => self.more_members(place, at, lacking),
        };
        got || !fresh.is_empty()
    }

    /// The flows of a group that were not probed at `place`, used ones first.
    fn unprobed(&self, place: usize, at: usize) -> Box<dyn Iterator<Item = u16> + '_> {
        let shown = self.graph.at(place);
        let is_new = move |flow: &u16| !shown.contains_key(flow);
        match &self.groups[place][at].members {
            Members::All => Box::new((0..self.limits.max_flows).filter(is_new)),
            Members::Flows(flows) => Box::new(flows.iter().copied().filter(is_new)),
        }
    }

    /// Node control: probes flows at the TTL before `place`, so that about `count` more of them are found to belong to the group.
    /// Returns whether there are any.
    fn more_members(&mut self, place: usize, at: usize, count: u32) -> bool {
        let Some(before) = place.checked_sub(1) else {
            return false;
        };
        let group = &self.groups[place][at];
        let (via, parents) = (group.via, group.parents.clone());
        match via {
            Via::Start => false,
            Via::Varying => parents
                .iter()
                .any(|parent| self.more_members(before, *parent, count)),
            Via::Silent => {
                let mut any = false;
                for parent in parents {
                    let view = &self.views[before][parent];
                    let all = view.answered + view.silent.len() as u32;
                    let asked = scaled(count, all, view.silent.len() as u32);
                    any |= self.more(before, parent, asked);
                }
                any
            }
            Via::Node(node) => {
                for parent in &parents {
                    let view = &self.views[before][*parent];
                    let share = view.nodes.get(&node).copied().unwrap_or(1);
                    let asked = scaled(count, view.answered, share) as usize;
                    let flows: Vec<u16> = self.unprobed(before, *parent).take(asked).collect();
                    if !flows.is_empty() {
                        self.want_all(before, &flows);
                        return true;
                    }
                }
                if self.views[before].iter().any(|view| view.varies) {
                    return parents
                        .iter()
                        .any(|parent| self.more_members(before, *parent, count));
                }
                let shown = self.graph.at(before);
                let here = shown
                    .values()
                    .filter(|shown| shown.node == Some(node))
                    .count();
                let asked = scaled(count, shown.len() as u32, here as u32);
                let pool = (self.used..self.limits.max_flows).chain(0..self.used);
                let fresh = pool.filter(|flow| !shown.contains_key(flow));
                let flows: Vec<u16> = fresh.take(asked as usize).collect();
                self.want_all(before, &flows);
                !flows.is_empty()
            }
        }
    }

    fn want_all(&mut self, place: usize, flows: &[u16]) {
        let wants = flows.iter().map(|flow| Want {
            place,
            flow: *flow,
            repeats: false,
        });
        self.wants.extend(wants);
    }
}

/// How many flows to ask for, so that `count` of them belong to a part that had `share` of `all` flows.
fn scaled(count: u32, all: u32, share: u32) -> u32 {
    let asked = u64::from(count) * u64::from(all.max(1)).div_ceil(u64::from(share.max(1)));
    u32::try_from(asked).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flows_to_ask_for_grow_with_the_width() {
        assert_eq!(scaled(3, 10, 5), 6);
        assert_eq!(scaled(3, 10, 0), 30);
        assert_eq!(scaled(3, 0, 0), 3);
    }
}
