//! What makes multipath tracing hard: loss, silence, limits, unequal weights, great widths, balancers by packets.

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{Algorithm, Anomaly, BalancerType, DiamondRow, StopReason, Ttl};

use super::networks::{layers, network, sampled};
use super::statistics::{Misses, count, each_95, misses, runs};

/// Networks with what makes multipath tracing hard. The first line of each is its name.
const HARD: [(&str, &str); 7] = [
    (
        "nested",
        "home > a b
        a > a1 a2
        b > join
        a1 > join
        a2 > join
        join > last
        last",
    ),
    (
        "meshed",
        "home > a b c
        a > d e
        b > e f
        c > d f
        d > join
        e > join
        f > join
        join > last
        last",
    ),
    (
        "loss",
        "home > a b
        a > join | line = { loss = 0.02, reply_loss = 0.02 }
        b > join | line = { loss = 0.02, reply_loss = 0.02 }
        join > c d e | line = { loss = 0.02, reply_loss = 0.02 }
        c > last
        d > last
        e > last
        last",
    ),
    (
        "silent hop",
        "home > silent
        silent > a b | silent = true
        a > last
        b > last
        last",
    ),
    (
        "silent branch",
        "home > a silent
        silent > b | silent = true
        a > c
        b > last
        c > last
        last",
    ),
    (
        "tunnel",
        "home > in
        in > p1 p2
        p1 > out | mpls = { labels = [24001] }
        p2 > out | mpls = { labels = [24002] }
        out > last
        last",
    ),
    (
        "balancer by destinations",
        "home > a b | balance = \"per_destination\"
        a > join
        b > join
        join > c d
        c > last
        d > last
        last",
    ),
];

#[test]
fn the_bound_of_the_graph_holds_for_hard_networks() {
    for (name, lines) in HARD {
        let found = misses(runs(20_000, 254), |seed| network(seed, lines), |_| ());
        found.check_within(0.05, name);
    }
}

#[test]
fn a_hop_that_answers_50_probes_a_second_is_found_whole() {
    let lines = "
        home > a b
        a > join
        b > join
        join > c d e | rate_limit = { per_second = 50, burst = 10 }
        c > last
        d > last
        e > last
        last";
    // All targets share the router, so they are traced one after the other.
    let found = misses(
        runs(20_000, 254),
        |seed| network(seed, lines),
        |config| config.window = 1,
    );
    found.check_within(0.05, "a hop limited to 50 answers a second");
}

#[test]
fn the_bound_of_the_graph_holds_for_sampled_graphs() {
    let found = misses(runs(40_000, 1_000), sampled, |_| ());
    found.check_within(0.05, "sampled graphs");
}

#[test]
fn a_balancer_of_96_next_hops_is_found() {
    let found = misses(
        runs(2_000, 16),
        |seed| layers(seed, &[1, 96, 1]),
        |config| {
            config.max_flows = 4_096;
            config.targets.arguments = vec!["198.18.0.0/28".to_owned()];
        },
    );
    found.check_within(0.05, "96 next hops");
}

/// Balancers that spread flows by weights, which the stopping points do not allow for: what is missed is measured.
#[test]
fn unequal_weights_are_missed_as_often_as_six_flows_take_the_heavier_way() {
    for (heavy, light) in [(7, 3), (9, 1)] {
        let lines = format!(
            "home > {} {}\n a > last\n b > last\n last",
            "a ".repeat(heavy),
            "b ".repeat(light)
        );
        let shares = [heavy, light].map(|parts| parts as f64 / 10.0);
        let expected: f64 = shares.map(|share| share.powi(6)).iter().sum();
        let found = misses(
            runs(40_000, 2_000),
            |seed| network(seed, &lines),
            |config| {
                each_95(config);
                config.max_ttl = Ttl(2);
            },
        );
        found.check_is(expected, &format!("weights {heavy} to {light}"));
    }
}

/// A balancer by packets is taken for one by flows if all repeats of flows happen to take the same way again.
#[test]
fn a_balancer_by_packets_is_misjudged_no_more_often_than_its_repeats_allow() {
    for width in [2, 3, 4] {
        let next: Vec<String> = (0..width).map(|at| format!("r{at}")).collect();
        let mut lines = format!("home > {} | balance = \"per_packet\"\n", next.join(" "));
        for name in &next {
            lines += &format!("{name} > last\n");
        }
        lines += "last";
        let found = count(
            runs(40_000, 2_000),
            |seed| network(seed, &lines),
            |config| {
                each_95(config);
                config.max_ttl = Ttl(2);
            },
            || |_, _, found| found.trace.anomalies.contains(Anomaly::PerFlowBalancing),
        );
        // The least number of repeats that keeps 5%.
        let repeats = (0.05_f64.ln() / (1.0 / width as f64).ln()).ceil();
        let bound = (1.0 / width as f64).powf(repeats);
        found.check_within(bound, &format!("a balancer over {width} by packets"));
    }
}

/// Links between two TTLs of the balancer's ways are never known, because no flow is known to pass them.
#[test]
fn no_link_is_drawn_inside_of_a_balancer_by_packets() {
    let lines = "
        home > a b c | balance = \"per_packet\"
        a > d
        b > e
        c > e
        d > join
        e > join
        join > f g
        f > last
        g > last
        last";
    let found = count(
        runs(20_000, 1_000),
        |seed| network(seed, lines),
        |_| (),
        || |_, _, found| found.links.iter().any(|link| link.ttl == Ttl(2)),
    );
    // All repeats must agree, at the bound of the first level at least.
    found.check_within((1.0_f64 / 3.0).powi(5), "links inside");
}

/// MDA-Lite keeps the bound as well, with fewer probes where the graph is uniform.
#[test]
fn mda_lite_keeps_the_bound_and_asks_for_less_if_the_graph_is_uniform() {
    let lite = |config: &mut SurveyConfig| config.multipath = Algorithm::Lite;
    let uniform: [(&str, &[usize]); 4] = [
        ("a chain", &[1, 1, 1, 1]),
        ("one diamond", &[1, 2, 1]),
        ("several diamonds", &[1, 2, 1, 4, 1, 3, 1]),
        ("16 next hops", &[1, 16, 1, 1]),
    ];
    for (name, widths) in uniform {
        let build = |seed| layers(seed, widths);
        compare(name, build, lite, true);
    }
    let others: [(&str, &[usize]); 2] = [
        ("meshed", &[1, 2, 2, 1]),
        ("wide and meshed", &[1, 4, 8, 1]),
    ];
    for (name, widths) in others {
        compare(name, |seed| layers(seed, widths), lite, false);
    }
    for (name, lines) in HARD {
        compare(name, |seed| network(seed, lines), lite, false);
    }
}

fn compare(
    name: &str,
    build: impl Fn(u64) -> LabNetwork + Sync,
    lite: impl Fn(&mut SurveyConfig) + Sync,
    saves: bool,
) {
    let count = runs(20_000, 254);
    let whole = misses(count, &build, |_| ());
    let found = misses(count, &build, lite);
    let each = |of: Misses| of.probes as f64 / of.runs as f64;
    println!(
        "{name}: full {:.1} probes and {} of {} missed, lite {:.1} and {}",
        each(whole),
        whole.missed,
        whole.runs,
        each(found),
        found.missed
    );
    found.check_within(0.05, name);
    assert!(!saves || found.probes <= whole.probes, "{name}");
}

/// A limit leaves many repeats without an answer. That is no sign of a balancer by packets.
#[test]
fn a_limit_on_answers_is_no_balancer_by_packets() {
    let limit = "| rate_limit = { per_second = 200, burst = 10 }";
    let lines = format!(
        "home > a b
        a > c {limit}
        b > d {limit}
        c > last {limit}
        d > last {limit}
        last"
    );
    for algorithm in [Algorithm::Full, Algorithm::Lite] {
        let found = count(
            254,
            |seed| network(seed, &lines),
            |config| {
                config.multipath = algorithm;
                config.rate = super::super::experiment::rate(2_000.0);
            },
            || {
                |_, _, found| {
                    let by_packets =
                        |diamond: &DiamondRow| diamond.balancer == Some(BalancerType::PerPacket);
                    let is_unsure = found.nodes.iter().any(|node| node.varies);
                    assert!(!is_unsure || found.graph.failure_bound == 1.0, "{found:?}");
                    found.trace.anomalies.contains(Anomaly::PerPacketBalancing)
                        || found.diamonds.iter().any(by_packets)
                }
            },
        );
        assert_eq!(found.missed, 0, "{algorithm}");
    }
}

/// Among four routers that balance, one does so by packets. MDA-Lite asks each by itself.
#[test]
fn mda_lite_finds_a_balancer_by_packets_among_others() {
    let lines = "
        home > b c d e
        b > b1 b2 | balance = \"per_packet\"
        c > c1 c2
        d > d1 d2
        e > e1 e2
        b1 > last
        b2 > last
        c1 > last
        c2 > last
        d1 > last
        d2 > last
        e1 > last
        e2 > last
        last";
    let found = count(
        runs(20_000, 254),
        |seed| network(seed, lines),
        |config| config.multipath = Algorithm::Lite,
        || |_, _, found| !found.trace.anomalies.contains(Anomaly::PerPacketBalancing),
    );
    // The second level shares its bound out over nine branchings.
    let of_a_branching = 1.0 - (1.0_f64 - 0.05 / 4.0).powf(1.0 / 9.0);
    found.check_within(of_a_branching, "a balancer by packets among others");
}

/// A router that reports the target as unreachable answers every TTL from its own on. It stands at its own only, even if its first answers to
/// a flow are lost.
#[test]
fn a_router_that_complains_stands_at_one_ttl() {
    let lines = "
        home > a b
        a > c
        b > c
        c > last | routes = [{ to = \"198.18.0.0/15\", unreachable = \"admin_prohibited\" }]\nline = { loss = 0.1, reply_loss = 0.1 }
        last";
    let found = count(
        runs(20_000, 1_000),
        |seed| network(seed, lines),
        |config| config.attempts = 1,
        || {
            |_, _, found| {
                assert_eq!(
                    found.trace.stop_reason,
                    StopReason::Unreachable,
                    "{found:?}"
                );
                let mut last: Vec<u8> = { found.nodes.iter() }
                    .filter(|node| node.is_end)
                    .map(|node| node.ttl.0)
                    .collect();
                last.dedup();
                last != [3]
            }
        },
    );
    assert_eq!(found.missed, 0);
}
