//! The failure that each branching may have, so that the whole graph keeps its bound.
//!
//! A graph of B branchings is found whole with probability (1 − ε)^B at least, if each misses a next hop with probability ε at most
//! (Veitch, Augustin, Teixeira, Friedman, "Failure control in multipath route tracing", 2009). But B is not known beforehand, and
//! branchings that were missed hide others.
//!
//! So there are levels. Level i takes the graph to have at most B_i branchings ([`ASSUMED`]). If more are found, all nodes are probed
//! again, to the points of the next level. The bound α of the graph is shared out: level i gets α / 2^(i + 1).
//!
//! A run that ends at level i has found at most B_i branchings. If it missed something, then it missed a next hop at one of its first
//! B_i + 1 branchings: one more may be there than were found. So ε_i = 1 − (1 − α / 2^(i + 1))^(1 / (B_i + 1)).

use super::points::StoppingPoints;

/// The branchings that each level takes a graph to have, at most.
const ASSUMED: [usize; 6] = [2, 8, 32, 128, 512, 2048];

/// What may be missed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Confidence {
    /// The probability of finding all next hops of a node, whatever their number.
    Branching(f64),
    /// The probability of finding the whole graph of a target.
    Graph(f64),
}

/// The stopping points of each level.
#[derive(Clone, Debug)]
pub struct Levels {
    levels: Vec<StoppingPoints>,
    confidence: Confidence,
}

impl Levels {
    pub fn new(confidence: Confidence) -> Self {
        let levels = match confidence {
            Confidence::Branching(confidence) => vec![StoppingPoints::new(1.0 - confidence)],
            Confidence::Graph(confidence) => { ASSUMED.iter().zip(1..) }
                .map(|(assumed, level)| {
                    let bound = (1.0 - confidence) / f64::from(1u32 << level);
                    StoppingPoints::new(share(bound, assumed + 1))
                })
                .collect(),
        };
        Levels { levels, confidence }
    }

    /// The least level for this number of branchings.
    pub fn level(&self, branchings: usize) -> usize {
        let level = ASSUMED.partition_point(|assumed| *assumed < branchings);
        level.min(self.levels.len() - 1)
    }

    /// The points of a level.
    pub fn points(&mut self, level: usize) -> &mut StoppingPoints {
        let last = self.levels.len() - 1;
        &mut self.levels[level.min(last)]
    }

    /// The probability that a graph of `branchings` branchings, which was probed to the points of `level`, is not whole.
    pub fn failure(&self, level: usize, branchings: usize) -> f64 {
        let each = self.levels[level.min(self.levels.len() - 1)].bound();
        let of_all = |count: usize| 1.0 - (1.0 - each).powi(count.min(1 << 20) as i32);
        match self.confidence {
            // One more than were found may be there.
            Confidence::Branching(_) => of_all(branchings + 1),
            // A graph of more branchings than the last level allows can exceed the bound.
            Confidence::Graph(confidence) => (1.0 - confidence).max(of_all(branchings + 1)),
        }
    }
}

/// The bound of each of `count` parts for which all of them together keep `bound`.
fn share(bound: f64, count: usize) -> f64 {
    1.0 - (1.0 - bound).powf(1.0 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_share_the_bound_of_the_graph() {
        let levels = Levels::new(Confidence::Graph(0.95));
        let sum: f64 = { levels.levels.iter().zip(ASSUMED) }
            .map(|(points, assumed)| 1.0 - (1.0 - points.bound()).powi(assumed as i32 + 1))
            .sum();
        assert!((0.049..0.05).contains(&sum), "{sum}");
        let at: Vec<usize> = [0, 2, 3, 8, 9, 32, 33, 5_000]
            .map(|branchings| levels.level(branchings))
            .into();
        assert_eq!(at, [0, 0, 1, 1, 2, 2, 3, 5]);
        assert!((levels.failure(0, 1) - 0.05).abs() < 1e-12);
        assert!(levels.failure(5, 1_000_000) > 0.05);
    }

    #[test]
    fn the_first_points_are_few() {
        let mut levels = Levels::new(Confidence::Graph(0.95));
        let first: Vec<u32> = (1..4).map(|k| levels.points(0).after(k)).collect();
        assert_eq!(first, [8, 15, 22]);
        let mut each = Levels::new(Confidence::Branching(0.95));
        assert_eq!(each.points(7).after(2), 11);
        assert_eq!(each.level(100), 0);
    }

    #[test]
    fn a_bound_for_each_branching_holds_for_the_graph_as_far_as_its_branchings_are_few() {
        let levels = Levels::new(Confidence::Branching(0.95));
        assert!((levels.failure(0, 0) - 0.05).abs() < 1e-12);
        assert!((levels.failure(0, 1) - 0.0975).abs() < 1e-12);
    }
}
