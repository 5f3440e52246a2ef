//! The heights of the nodes: near their neighbours, in their order, and not nearer to each other than a distance.

use super::layers::Edge;
use super::order::Order;

/// How often the layers are gone through. Forth and back, then once by both sides.
const SWEEPS: usize = 8;

/// The height of each slot of each layer. The least is 0.
pub(super) fn heights(order: &Order, edges: &[Vec<Edge>], distance: f64) -> Vec<Vec<f64>> {
    let middle = |size: usize| (size.max(1) - 1) as f64 / 2.0;
    let start = |layer: &Vec<usize>| {
        let mut heights = vec![0.0; layer.len()];
        for (at, slot) in layer.iter().enumerate() {
            heights[*slot] = (at as f64 - middle(layer.len())) * distance;
        }
        heights
    };
    let mut heights: Vec<Vec<f64>> = order.iter().map(start).collect();
    let layers = order.len();
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 0;
        for step in 1..layers {
            let layer = if forth { step } else { layers - 1 - step };
            settle(&mut heights, order, edges, layer, (forth, !forth), distance);
        }
    }
    for layer in 0..layers {
        settle(&mut heights, order, edges, layer, (true, true), distance);
    }
    let least = { heights.iter().flatten() }.fold(f64::INFINITY, |least, y| least.min(*y));
    for height in heights.iter_mut().flatten() {
        *height -= least;
    }
    heights
}

/// Moves the nodes of a layer to the mean height of their neighbours before and after it.
fn settle(
    heights: &mut [Vec<f64>],
    order: &Order,
    edges: &[Vec<Edge>],
    layer: usize,
    (before, after): (bool, bool),
    distance: f64,
) {
    let mut sums = vec![(0.0, 0u32); heights[layer].len()];
    let mut add = |slot: usize, height: f64| {
        sums[slot].0 += height;
        sums[slot].1 += 1;
    };
    if before && let Some(above) = layer.checked_sub(1) {
        for edge in &edges[above] {
            add(edge.far, heights[above][edge.near]);
        }
    }
    if after && let Some(edges) = edges.get(layer) {
        for edge in edges {
            add(edge.near, heights[layer + 1][edge.far]);
        }
    }
    let wanted = order[layer].iter().map(|slot| match sums[*slot] {
        (_, 0) => heights[layer][*slot],
        (sum, count) => sum / f64::from(count),
    });
    let wanted: Vec<f64> = wanted.collect();
    for (slot, height) in order[layer].iter().zip(apart(&wanted, distance)) {
        heights[layer][*slot] = height;
    }
}

/// The heights nearest to the wanted ones (least squares) that are at least `distance` apart, in the given order.
///
/// Without the distances, this is a regression to numbers that never fall: neighbours in the wrong order share their mean.
fn apart(wanted: &[f64], distance: f64) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (at, height) in wanted.iter().enumerate() {
        let mut block = (height - at as f64 * distance, 1);
        while let Some((sum, count)) = blocks.last().copied()
            && sum / count as f64 > block.0 / block.1 as f64
        {
            block = (block.0 + sum, block.1 + count);
            blocks.pop();
        }
        blocks.push(block);
    }
    let means = { blocks.into_iter() }
        .flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count));
    means
        .enumerate()
        .map(|(at, mean)| mean + at as f64 * distance)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_stay_where_they_are_wanted_if_they_are_far_apart() {
        assert_eq!(apart(&[], 10.0), [] as [f64; 0]);
        assert_eq!(apart(&[3.0, 20.0, 50.0], 10.0), [3.0, 20.0, 50.0]);
    }

    #[test]
    fn heights_that_are_wanted_together_spread_around_their_mean() {
        assert_eq!(apart(&[30.0, 30.0, 30.0], 10.0), [20.0, 30.0, 40.0]);
        assert_eq!(apart(&[40.0, 0.0], 10.0), [15.0, 25.0]);
        assert_eq!(apart(&[0.0, 100.0, 100.0], 10.0), [0.0, 95.0, 105.0]);
    }
}
