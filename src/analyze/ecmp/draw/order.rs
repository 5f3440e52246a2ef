//! The order of the nodes of each layer, so that few links cross.
//!
//! Barycenters (K. Sugiyama, S. Tagawa, M. Toda, 1981): layer by layer, nodes are sorted by the mean place of their neighbours, forth and
//! back. The order with the fewest crossings counts. Equal means keep their order, so the result is always the same.

use super::layers::Edge;

/// How often the layers are gone through.
const SWEEPS: usize = 24;

/// For each layer, the slots from the top to the bottom.
pub(super) type Order = Vec<Vec<usize>>;

/// Orders layers of these sizes. `edges` joins each layer with the next one.
pub(super) fn order(sizes: &[usize], edges: &[Vec<Edge>]) -> Order {
    let mut current: Order = sizes.iter().map(|size| (0..*size).collect()).collect();
    let mut best = current.clone();
    let mut fewest = crossings(&current, edges);
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        let forth = sweep % 2 == 0;
        let steps = 0..edges.len();
        let steps: Vec<usize> = match forth {
            true => steps.collect(),
            false => steps.rev().collect(),
        };
        for step in steps {
            let (fixed, moved) = if forth {
                (step, step + 1)
            } else {
                (step + 1, step)
            };
            let places = places(&current[fixed]);
            let pairs = edges[step].iter().map(|edge| match forth {
                true => (edge.near, edge.far),
                false => (edge.far, edge.near),
            });
            sort(&mut current[moved], &places, pairs);
        }
        let found = crossings(&current, edges);
        if found < fewest {
            fewest = found;
            best.clone_from(&current);
        }
    }
    best
}

/// The place of each slot, between 0 and 1.
fn places(order: &[usize]) -> Vec<f64> {
    let mut places = vec![0.0; order.len()];
    for (at, slot) in order.iter().enumerate() {
        places[*slot] = (at as f64 + 0.5) / order.len() as f64;
    }
    places
}

/// Sorts the slots of a layer by the mean place of their neighbours. Pairs are a neighbour and a slot.
fn sort(order: &mut [usize], neighbours: &[f64], pairs: impl Iterator<Item = (usize, usize)>) {
    let own = places(order);
    let mut sums = vec![(0.0, 0u32); order.len()];
    for (neighbour, slot) in pairs {
        sums[slot].0 += neighbours[neighbour];
        sums[slot].1 += 1;
    }
    let mean = |slot: usize| match sums[slot] {
        (_, 0) => own[slot],
        (sum, count) => sum / f64::from(count),
    };
    order.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
}

/// How many pairs of edges cross.
pub(super) fn crossings(order: &Order, edges: &[Vec<Edge>]) -> u64 {
    let pairs = order.windows(2).zip(edges);
    pairs
        .map(|(pair, edges)| {
            let (near, far) = (ranks(&pair[0]), ranks(&pair[1]));
            let mut ends: Vec<(usize, usize)> = { edges.iter() }
                .map(|edge| (near[edge.near], far[edge.far]))
                .collect();
            ends.sort_unstable();
            inversions(pair[1].len(), ends.iter().map(|(_, far)| *far))
        })
        .sum()
}

fn ranks(order: &[usize]) -> Vec<usize> {
    let mut ranks = vec![0; order.len()];
    for (at, slot) in order.iter().enumerate() {
        ranks[*slot] = at;
    }
    ranks
}

/// How many pairs of numbers below `size` are in the wrong order. Counts with a binary indexed tree.
fn inversions(size: usize, numbers: impl Iterator<Item = usize>) -> u64 {
    let mut tree = vec![0u64; size + 1];
    let mut found = 0;
    for (before, number) in numbers.enumerate() {
        let mut not_greater = 0;
        let mut at = number + 1;
        while at > 0 {
            not_greater += tree[at];
            at &= at - 1;
        }
        found += before as u64 - not_greater;
        let mut at = number + 1;
        while at <= size {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge(near: usize, far: usize) -> Edge<'static> {
        Edge {
            near,
            far,
            link: None,
        }
    }

    #[test]
    fn parallel_paths_do_not_cross() {
        // 0-2, 1-0, 2-1, and the same once more.
        let hop = vec![edge(0, 2), edge(1, 0), edge(2, 1)];
        let edges = [hop.clone(), hop];
        let straight: Order = vec![vec![0, 1, 2]; 3];
        assert_eq!(crossings(&straight, &edges), 4);
        assert_eq!(crossings(&order(&[3, 3, 3], &edges), &edges), 0);
    }

    proptest! {
        #[test]
        fn crossings_are_those_of_all_pairs(
            ends in proptest::collection::vec((0usize..7, 0usize..5), 0..40),
        ) {
            let edges: Vec<Edge> = ends.iter().map(|(near, far)| edge(*near, *far)).collect();
            let straight = vec![(0..7).collect(), (0..5).collect()];
            let mut expected = 0;
            for (at, a) in ends.iter().enumerate() {
                for b in &ends[..at] {
                    let (near, far) = (a.0.cmp(&b.0), a.1.cmp(&b.1));
                    expected += u64::from(near.is_ne() && far.is_ne() && near != far);
                }
            }
            let edges = [edges];
            prop_assert_eq!(crossings(&straight, &edges), expected);
            let found = order(&[7, 5], &edges);
            prop_assert!(crossings(&found, &edges) <= expected);
            for (order, size) in found.into_iter().zip([7, 5]) {
                let mut sorted = order;
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..size).collect::<Vec<_>>());
            }
        }
    }
}
