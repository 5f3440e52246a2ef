//! How often multipath tracing misses something, against exact figures.

use std::net::IpAddr;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::Ttl;
use pathsurvey::strategy::{StoppingPoints, failure};

use super::networks::{Shape, layers, network, truth};
use super::{Found, multipath, survey};

/// A survey has 254 targets, each with hashes of its own.
const PREFIX: &str = "198.18.0.0/24";
const TARGETS: usize = 254;

/// Runs, in the full form and in the short one.
pub fn runs(full: usize, short: usize) -> usize {
    match std::env::var("PATHSURVEY_STATISTICS").as_deref() {
        Ok("full") => full,
        _ => short,
    }
}

/// What a number of runs left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Misses {
    pub runs: usize,
    pub missed: usize,
    pub probes: u64,
}

impl Misses {
    pub fn share(self) -> f64 {
        self.missed as f64 / self.runs as f64
    }

    fn and(self, other: Misses) -> Misses {
        Misses {
            runs: self.runs + other.runs,
            missed: self.missed + other.missed,
            probes: self.probes + other.probes,
        }
    }

    /// Checks that the share is `expected` within the binomial 99% interval.
    pub fn check_is(self, expected: f64, what: &str) {
        let spread = 2.576 * self.deviation(expected);
        println!(
            "{what}: {self:?}, {:.5} for {expected:.5} +- {spread:.5}",
            self.share()
        );
        assert!(
            (self.share() - expected).abs() <= spread,
            "{what}: {}",
            self.share()
        );
    }

    /// Checks that the share is no more than `bound`, within the binomial 99% interval.
    pub fn check_within(self, bound: f64, what: &str) {
        let most = bound + 2.326 * self.deviation(bound);
        println!("{what}: {self:?}, {:.5} of at most {bound}", self.share());
        assert!(self.share() <= most, "{what}: {}", self.share());
    }

    fn deviation(self, share: f64) -> f64 {
        (share * (1.0 - share) / self.runs as f64).sqrt()
    }
}

/// How many graphs of at least `runs` targets lack something of the true graph. Nothing may be there that is not in it.
pub fn misses(
    runs: usize,
    build: impl Fn(u64) -> LabNetwork + Sync,
    change: impl Fn(&mut SurveyConfig) + Sync,
) -> Misses {
    count(runs, build, change, || {
        let mut known: Vec<Shape> = Vec::new();
        move |network, config, found| {
            let shape = found.shape();
            let of = (found.graph.destination, config.max_ttl);
            let whole = whole(network, &shape, of, &mut known);
            let false_links: Vec<_> = shape.links.difference(&whole.links).collect();
            let false_nodes: Vec<_> = shape.nodes.difference(&whole.nodes).collect();
            assert!(false_links.is_empty(), "{false_links:?}");
            assert!(false_nodes.is_empty(), "{false_nodes:?}");
            shape != *whole
        }
    })
}

/// How many targets of at least `runs` are judged as missed. `judge` makes the judge of a survey.
pub fn count<J>(
    runs: usize,
    build: impl Fn(u64) -> LabNetwork + Sync,
    change: impl Fn(&mut SurveyConfig) + Sync,
    judge: impl Fn() -> J + Sync,
) -> Misses
where
    J: FnMut(&LabNetwork, &SurveyConfig, &Found) -> bool,
{
    let surveys = runs.div_ceil(TARGETS);
    let each = (1..=surveys as u64).into_par_iter().map(|seed| {
        let network = build(seed);
        let mut config = multipath(&[PREFIX], seed);
        config.targets.per_prefix = 254;
        change(&mut config);
        let mut misses = Misses::default();
        let mut is_missed = judge();
        for found in survey(&config, &network).values() {
            misses.runs += 1;
            misses.missed += usize::from(is_missed(&network, &config, found));
            misses.probes += u64::from(found.trace.probes_sent);
        }
        misses
    });
    each.reduce(Misses::default, Misses::and)
}

/// The true graph of a target. Most targets share one. A per-destination balancer gives them several, so an unknown graph is looked up and
/// added to `known`.
fn whole<'a>(
    network: &LabNetwork,
    found: &Shape,
    (destination, highest): (IpAddr, Ttl),
    known: &'a mut Vec<Shape>,
) -> &'a Shape {
    let at = known.iter().position(|whole| whole == found);
    let at = at.unwrap_or_else(|| {
        let whole = truth(network, destination, highest);
        let at = known.iter().position(|known| *known == whole);
        at.unwrap_or_else(|| {
            known.push(whole);
            known.len() - 1
        })
    });
    &known[at]
}

/// 95% at each branching, without a bound for the graph.
pub fn each_95(config: &mut SurveyConfig) {
    config.confidence = Some(0.95);
}

#[test]
fn the_simplest_diamond_is_missed_as_often_as_its_six_flows_take_one_way() {
    let found = misses(
        runs(200_000, 4_000),
        |seed| layers(seed, &[1, 2, 1]),
        each_95,
    );
    found.check_is(0.03125, "the simplest diamond");
}

#[test]
fn every_width_is_missed_as_often_as_sequential_probing_says() {
    let mut points = StoppingPoints::new(0.05);
    let points: Vec<u32> = (1..16).map(|width| points.after(width)).collect();
    for width in 3..=16 {
        // Beyond TTL 2, the search for flows through each node would find some of the nodes that were missed.
        let found = misses(
            runs(40_000, 1_000),
            |seed| layers(seed, &[1, width, 1]),
            |config| {
                each_95(config);
                config.max_ttl = Ttl(2);
            },
        );
        found.check_is(
            failure(&points[..width - 1], width),
            &format!("width {width}"),
        );
    }
}

#[test]
fn the_bound_of_the_graph_holds_for_graphs_of_several_diamonds() {
    let graphs: [(&str, &[usize]); 4] = [
        ("one diamond", &[1, 2, 1]),
        ("three in a row", &[1, 2, 1, 3, 1, 2, 1]),
        ("long and meshed", &[1, 2, 2, 2, 1]),
        ("wide", &[1, 4, 8, 1]),
    ];
    for (name, widths) in graphs {
        let found = misses(runs(20_000, 1_000), |seed| layers(seed, widths), |_| ());
        found.check_within(0.05, name);
    }
}

#[test]
fn the_bound_of_the_graph_holds_for_unequal_branches() {
    let lines = "
        home > left right
        left > left2
        left2 > join
        right > join
        join > a b c
        a > last
        b > b2
        b2 > last
        c > last
        last";
    let found = misses(runs(20_000, 1_000), |seed| network(seed, lines), |_| ());
    found.check_within(0.05, "unequal branches");
}
