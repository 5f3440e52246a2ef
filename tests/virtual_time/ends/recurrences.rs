//! Addresses that come back: a path that goes on afterwards is no loop.

use pathsurvey::model::{Protocol, StopReason, TcpFlags, Ttl};

use super::{PROBES, anomalies, chain, one, run};

/// Routers by number, why a trace of a target behind them ends, its last TTL, and what it shows.
type Case = (&'static [u8], &'static [&'static str]);

const GO_ON: [Case; 7] = [
    (&[1, 2, 1, 4, 5, 6], &["cycle"]),
    (&[1, 2, 3, 2, 5], &["cycle"]),
    (&[1, 2, 1, 2, 1, 6, 7], &["cycle"]),
    (&[1, 1, 1, 4, 5], &["cycle"]),
    (&[1, 2, 3, 1, 2, 3, 7], &["cycle"]),
    (&[1, 2, 2, 4], &[]),
    // Nobody but the target is new behind it.
    (&[1, 2, 1], &["cycle"]),
];

#[test]
fn a_path_that_gets_away_is_followed_to_its_end() {
    for (numbers, expected) in GO_ON {
        for silent in [false, true] {
            for v6 in [false, true] {
                for probe in PROBES {
                    let host = format!("silent = {silent}");
                    let run = run(one(v6, probe), &chain(numbers, &host, |_| String::new()));
                    let trace = &run.traces[0];
                    let what = format!("{numbers:?} {silent} {v6} {probe:?}\n{trace:?}");
                    let distance = Ttl(numbers.len() as u8 + 1);
                    if !silent {
                        assert_eq!(trace.stop_reason, StopReason::Completed, "{what}");
                        assert_eq!(trace.path_length, Some(distance), "{what}");
                        assert_eq!(anomalies(trace), expected, "{what}");
                        assert!(trace.max_ttl <= Some(Ttl(distance.0 + 4)), "{what}");
                        continue;
                    }
                    // Without a target the last of them has nothing new behind it.
                    let stays = numbers == [1, 2, 1];
                    let end = match stays {
                        true => (StopReason::Loop, vec!["loop"]),
                        false => (StopReason::GapLimit, expected.to_vec()),
                    };
                    assert_eq!((trace.stop_reason, anomalies(trace)), end, "{what}");
                }
            }
        }
    }
}

/// Routers that pass packets round: the last of them back to the one with this place.
#[test]
fn a_routing_loop_ends_a_trace_with_few_probes() {
    for (length, back_to) in [(2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (6, 2)] {
        for silent in [0, 1, 2] {
            for v6 in [false, true] {
                for probe in PROBES {
                    let numbers: Vec<u8> = (1..=length).collect();
                    let network = chain(&numbers, "", |place| {
                        let back = match place == numbers.len() {
                            true => format!(
                                r#"routes = [{{ to = "198.18.0.1", next = ["r{back_to}"] }}, {{ to = "2001:db8:1000::1", next = ["r{back_to}"] }}]"#
                            ),
                            false => String::new(),
                        };
                        format!("silent = {}\n{back}", place == silent)
                    });
                    let run = run(one(v6, probe), &network);
                    let trace = &run.traces[0];
                    let what = format!("{length} {back_to} {silent} {v6} {probe:?}\n{trace:?}");
                    assert_eq!(trace.stop_reason, StopReason::Loop, "{what}");
                    assert!(!trace.reached && trace.path_length.is_none(), "{what}");
                    assert!(anomalies(trace).contains(&"loop"), "{what}");
                    assert!(!anomalies(trace).contains(&"cycle"), "{what}");
                    // The first address that answers twice comes back after one round, and five more TTLs show nobody new.
                    let round = length - back_to as u8 + 1;
                    let first = (back_to as u8..).find(|place| usize::from(*place) != silent);
                    let back = first.expect("a router that answers") + round;
                    let back = if round == 1 { back + 1 } else { back };
                    assert!(trace.max_ttl <= Some(Ttl(back + 5 + 4)), "{what}");
                }
            }
        }
    }
}

/// One router answers at every TTL.
#[test]
fn a_router_that_answers_for_all_is_a_loop() {
    let network = chain(&[1], "", |_| {
        r#"routes = [{ to = "198.18.0.1", next = ["r1"] }]"#.to_owned()
    });
    let run = run(one(false, (Protocol::Icmp, TcpFlags::Syn)), &network);
    let trace = &run.traces[0];
    assert_eq!(trace.stop_reason, StopReason::Loop);
    assert_eq!(anomalies(trace), ["loop"]);
    assert_eq!(trace.max_ttl, Some(Ttl(3 + 5)));
}
