//! Paths that take less than the first probes have: with `--mtu` they are seen as they are, whatever answer was lost.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{
    Anomaly, HopRecord, Purpose, ReplyKind, StopReason, TraceId, TraceRecord, Ttl, path_hash,
};
use pathsurvey::targets::Families;

use super::experiment::{Observed, config, inline, observe};
use super::traces;

const TARGETS: [&str; 2] = ["198.18.0.0/24", "2001:db8:1000::/48"];

/// A chain of five whose second router stands before a narrow line and keeps two in five of its answers.
fn narrow(seed: u64) -> LabNetwork {
    let router = |number: u8| {
        let next = match number {
            5 => String::new(),
            _ => format!("next = [\"r{}\"]", number + 1),
        };
        let faults = match number {
            2 => "answer_loss = 0.4",
            3 => "line = { mtu = 1400 }",
            _ => "",
        };
        format!(
            r#"
            [[router]]
            name = "r{number}"
            address = "10.0.0.{number}"
            address6 = "2001:db8:f000::{number}"
            {next}
            {faults}
            "#
        )
    };
    let target =
        |prefix| format!("[[target]]\nprefix = \"{prefix}\"\nat = \"r5\"\nunlimited = true\n");
    let routers: String = (1..=5).map(router).collect();
    inline(&format!(
        "seed = {seed}\n{routers}\n{}",
        TARGETS.map(target).concat()
    ))
}

fn is_too_large(row: &HopRecord) -> bool {
    matches!(
        row.reply_kind(),
        Some(ReplyKind::FragmentationNeeded | ReplyKind::PacketTooBig)
    )
}

/// Who answered as the hop at `ttl`.
fn heard(hops: &[&HopRecord], ttl: u8) -> Option<IpAddr> {
    let mut of_hop = hops
        .iter()
        .filter(|row| row.ttl == Some(Ttl(ttl)) && !is_too_large(row));
    of_hop.find_map(|row| row.responder())
}

/// Who is at `ttl`.
fn at(trace: &TraceRecord, ttl: u8) -> IpAddr {
    match (ttl, trace.destination) {
        (6, target) => target,
        (_, IpAddr::V4(_)) => Ipv4Addr::new(10, 0, 0, ttl).into(),
        (_, IpAddr::V6(_)) => {
            Ipv6Addr::new(0x2001, 0xdb8, 0xf000, 0, 0, 0, 0, u16::from(ttl)).into()
        }
    }
}

/// The configuration for 256 hosts over IPv4, if wanted, and 100 over IPv6.
fn surveyed(seed: u64, v4: bool) -> SurveyConfig {
    let six: Vec<String> = (1..=100).map(|n| format!("2001:db8:1000::{n:x}")).collect();
    let mut targets: Vec<&str> = six.iter().map(String::as_str).collect();
    targets.extend(v4.then_some(TARGETS[0]));
    let mut config = config(&targets, seed);
    config.targets.families = Families::Both;
    config
}

fn hops_by_trace(run: &Observed) -> HashMap<TraceId, Vec<&HopRecord>> {
    let mut hops: HashMap<TraceId, Vec<&HopRecord>> = HashMap::new();
    for row in &run.hops {
        if row.purpose != Purpose::Distance && row.reply_index == 0 {
            hops.entry(row.trace_id).or_default().push(row);
        }
    }
    hops
}

#[test]
fn a_router_before_a_narrow_line_is_a_hop_at_its_own_ttl_alone() {
    let mut misleading = 0;
    for seed in 1..=3 {
        let run = observe(
            SurveyConfig {
                mtu: true,
                ..surveyed(seed, true)
            },
            narrow(seed),
        );
        traces::check(&run);
        let hops = hops_by_trace(&run);
        for trace in &run.traces {
            assert_eq!(trace.stop_reason, StopReason::Completed, "{trace:?}");
            assert_eq!(trace.path_mtu, Some(1_400), "{trace:?}");
            let hops = &hops[&trace.trace_id];
            misleading += hops.iter().filter(|row| is_too_large(row)).count();
            // Where probes were lost to the second router's silence a hop may be silent; nobody else's is it ever.
            let path = (1..=6).map(|ttl| (Ttl(ttl), heard(hops, ttl)));
            assert_eq!(trace.path_hash, Some(path_hash(path)), "{trace:?}");
            for ttl in 1..=6 {
                let who = heard(hops, ttl);
                assert!(who.is_none_or(|who| who == at(trace, ttl)), "{trace:?}");
            }
            for anomaly in trace.anomalies.iter() {
                let expected = [Anomaly::RateLimited, Anomaly::SilentHop];
                assert!(expected.contains(&anomaly), "{anomaly:?} in {trace:?}");
            }
        }
    }
    assert!(misleading > 100, "{misleading} misleading answers");
}

/// Where no smaller probe may be sent the router ends the path, as any that says unreachable.
#[test]
fn a_router_that_lets_nothing_through_is_where_the_path_ends() {
    let run = observe(
        SurveyConfig {
            packet_size: Some(1_500),
            ..surveyed(1, false)
        },
        narrow(1),
    );
    traces::check(&run);
    let mut ended = 0;
    for trace in &run.traces {
        if trace.stop_reason == StopReason::Unreachable {
            ended += 1;
            let named = trace.anomalies.iter().collect::<Vec<_>>();
            let silences = [Anomaly::RateLimited, Anomaly::SilentHop];
            assert!(named.iter().all(|one| silences.contains(one)), "{trace:?}");
        }
    }
    assert!(ended > 50, "{ended} traces ended before the line");
}
