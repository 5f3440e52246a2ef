//! Stopping points: how many flows must have passed a node before `k` next hops are believed to be all of them.
//!
//! A node with K next hops sends each flow to one of them, uniformly and independently (Augustin, Friedman, Teixeira, "Multipath
//! tracing with Paris traceroute", 2007). Probing goes on flow by flow. It stops as soon as `points[k]` flows have shown `k` next
//! hops only. It fails if it stops before all K have been seen.
//!
//! The points in common use bound each decision by itself: the probability that n_k flows show only k of k + 1. Probing decides at
//! n_1, n_2, … in turn, and can fail at each of them. So the failure of the whole exceeds that bound: at K = 8 it is 0.0501 for a bound
//! of 0.05. The points here are exact for the whole: n_k is the least number for which the failures at n_1 to n_k together, for
//! K = k + 1, stay within the bound.
//!
//! ```
//! use pathsurvey::strategy::StoppingPoints;
//!
//! let mut points = StoppingPoints::new(0.05);
//! let first: Vec<u32> = (1..=15).map(|k| points.after(k)).collect();
//! assert_eq!(first, [6, 11, 16, 21, 27, 33, 39, 45, 51, 57, 63, 70, 76, 83, 90]);
//! ```

/// Bounds outside of this are taken as the nearest one inside. Below it, rounding would decide.
const BOUNDS: (f64, f64) = (1e-9, 0.5);

/// The stopping points of one failure bound, computed as far as they were asked for.
#[derive(Clone, Debug)]
pub struct StoppingPoints {
    bound: f64,
    /// n_1, n_2, ….
    points: Vec<u32>,
}

impl StoppingPoints {
    /// The points for which probing a node misses a next hop with at most this probability, whatever the number of next hops.
    pub fn new(bound: f64) -> Self {
        let (least, most) = BOUNDS;
        StoppingPoints {
            bound: if bound > least {
                bound.min(most)
            } else {
                least
            },
            points: Vec::new(),
        }
    }

    /// The failure bound.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// How many flows must pass a node that showed `next_hops`, until these are believed to be all. 0 for no next hop.
    pub fn after(&mut self, next_hops: usize) -> u32 {
        while self.points.len() < next_hops {
            let next = self.next_point();
            self.points.push(next);
        }
        next_hops.checked_sub(1).map_or(0, |at| self.points[at])
    }

    /// The point that follows those known.
    fn next_point(&self) -> u32 {
        let width = self.points.len() + 2;
        let mut probing = Probing::new(width);
        for (seen, point) in (1..).zip(&self.points) {
            probing.until(*point);
            probing.stop(seen);
        }
        while probing.failed + probing.unseen() > self.bound {
            probing.flow();
        }
        probing.flows
    }
}

/// The probability that probing a node of `width` next hops with these points (n_1, n_2, …) stops before it has seen all of them.
///
/// Points that are missing at the end are those of a probing that never stops there.
pub fn failure(points: &[u32], width: usize) -> f64 {
    let mut probing = Probing::new(width);
    for (seen, point) in (1..width).zip(points) {
        probing.until(*point);
        probing.stop(seen);
    }
    probing.failed
}

/// The probability that `flows` flows show at most `seen` next hops of `width`.
pub fn shows_at_most(seen: usize, width: usize, flows: u32) -> f64 {
    let mut probing = Probing::new(width);
    probing.until(flows);
    probing.seen.iter().take(seen + 1).sum()
}

/// The distribution of the number of next hops that were seen, while probing goes on.
struct Probing {
    width: usize,
    flows: u32,
    /// By the number of next hops seen: the probability that they were seen and that probing did not stop.
    seen: Vec<f64>,
    /// The probability that probing stopped.
    failed: f64,
}

impl Probing {
    fn new(width: usize) -> Self {
        let mut seen = vec![0.0; width + 1];
        seen[0] = 1.0;
        Probing {
            width,
            flows: 0,
            seen,
            failed: 0.0,
        }
    }

    /// One more flow passes.
    fn flow(&mut self) {
        let width = self.width as f64;
        for seen in (1..=self.width).rev() {
            let before = (seen - 1) as f64;
            let same = self.seen[seen] * seen as f64 / width;
            self.seen[seen] = same + self.seen[seen - 1] * (width - before) / width;
        }
        self.seen[0] = 0.0;
        self.flows += 1;
    }

    /// The probability that probing goes on, and has not seen all next hops.
    fn unseen(&self) -> f64 {
        self.seen[..self.width].iter().sum()
    }

    fn until(&mut self, flows: u32) {
        while self.flows < flows {
            self.flow();
        }
    }

    /// Probing stops if it has seen no more than this.
    fn stop(&mut self, seen: usize) {
        for probability in &mut self.seen[..=seen] {
            self.failed += std::mem::take(probability);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(bound: f64, count: usize) -> Vec<u32> {
        let mut points = StoppingPoints::new(bound);
        (1..=count).map(|k| points.after(k)).collect()
    }

    #[test]
    fn the_simplest_diamond_fails_as_often_as_the_literature_says() {
        assert_eq!(failure(&[6], 2), 0.03125);
        assert_eq!(points(0.05, 3), [6, 11, 16]);
    }

    #[test]
    fn no_width_fails_more_often_than_the_bound_and_no_point_is_larger_than_needed() {
        for bound in [0.05, 0.01, 0.001] {
            let points = points(bound, 63);
            for width in 2..=64 {
                let found = failure(&points[..width - 1], width);
                assert!(found <= bound, "{width}: {found}");
                let mut smaller = points[..width - 1].to_vec();
                smaller[width - 2] -= 1;
                let increases = width < 3 || smaller[width - 2] >= smaller[width - 3];
                assert!(increases && failure(&smaller, width) > bound, "{width}");
            }
        }
    }

    #[test]
    fn the_points_in_common_use_fail_more_often_than_they_say() {
        let common = [6, 11, 16, 21, 27, 33, 38, 44, 51, 57];
        assert!(failure(&common[..7], 8) > 0.05);
    }

    /// Counts every sequence of flows, as a second way to the same figure.
    #[test]
    fn the_failure_of_few_flows_is_that_of_all_sequences() {
        let stops = [3, 5, 8];
        for width in 2..=4usize {
            let longest = stops[width - 2];
            let sequences = width.pow(longest);
            let fails = (0..sequences).filter(|sequence| {
                let mut rest = *sequence;
                let mut seen = 0u32;
                for flow in 1..=longest {
                    seen |= 1 << (rest % width);
                    rest /= width;
                    let count = seen.count_ones() as usize;
                    if count < width && flow >= stops[count - 1] {
                        return true;
                    }
                }
                false
            });
            let expected = fails.count() as f64 / sequences as f64;
            let found = failure(&stops[..width - 1], width);
            assert!(
                (found - expected).abs() < 1e-12,
                "{width}: {found} {expected}"
            );
        }
    }

    #[test]
    fn the_chance_to_miss_is_that_of_the_closed_formula() {
        // Inclusion and exclusion: the probability that n flows do not show all K.
        let formula = |width: i32, flows: i32| -> f64 {
            let choose =
                |n: i32, k: i32| (1..=k).fold(1.0, |c, i| c * f64::from(n - k + i) / f64::from(i));
            let term = |i: i32| {
                let sign = if i % 2 == 1 { 1.0 } else { -1.0 };
                sign * choose(width, i) * (f64::from(width - i) / f64::from(width)).powi(flows)
            };
            (1..width).map(term).sum()
        };
        for width in 2..=10 {
            for flows in [5, 11, 30, 60] {
                let found = shows_at_most(width as usize - 1, width as usize, flows as u32);
                assert!(
                    (found - formula(width, flows)).abs() < 1e-9,
                    "{width} {flows}"
                );
            }
        }
    }

    #[test]
    fn unusual_bounds_are_taken_as_the_nearest_usual_one() {
        assert_eq!(StoppingPoints::new(0.0).bound(), 1e-9);
        assert_eq!(StoppingPoints::new(f64::NAN).bound(), 1e-9);
        assert_eq!(StoppingPoints::new(7.0).bound(), 0.5);
        assert_eq!(StoppingPoints::new(0.5).after(0), 0);
        assert_eq!(StoppingPoints::new(0.5).after(1), 2);
    }
}
