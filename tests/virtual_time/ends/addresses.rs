//! Targets that answer from another address than the one probed.

use std::net::IpAddr;

use pathsurvey::model::{Evidence, Protocol, StopReason, Ttl};

use super::{PROBES, anomalies, chain, one, responders, router, run};

const OTHER: [&str; 2] = ["198.18.99.9", "2001:db8:1000:99::9"];

/// A target at distance 4 that answers from `from`, which may be the last router's address.
fn network(from: [&str; 2], host: &str) -> String {
    let mut text = String::new();
    let chain = chain(&[1, 2, 3], host, |place| match place {
        // What the vantage point's kernel resets goes to that address, too.
        3 => OTHER
            .map(|to| format!("{{ to = \"{to}\", discard = true }}"))
            .join(", "),
        _ => String::new(),
    });
    for (line, next) in chain.lines().zip(chain.lines().skip(1).chain([""])) {
        let line = match line.starts_with('{') {
            true => format!("routes = [{line}]"),
            false => line.to_owned(),
        };
        text += &line;
        text.push('\n');
        let target = line.starts_with("prefix = ") && next.starts_with("at = ");
        if target {
            let from = from[usize::from(line.contains(':'))];
            text += &format!("answers_from = \"{from}\"\n");
        }
    }
    text
}

#[test]
fn what_only_the_probed_host_can_say_ends_the_path_from_whatever_address() {
    let routers = [router(false, 3).to_string(), router(true, 3).to_string()];
    for from in [OTHER, [routers[0].as_str(), routers[1].as_str()]] {
        for host in ["", "tcp_open = [80]\nudp_services = [33434]"] {
            for v6 in [false, true] {
                for probe in PROBES {
                    let run = run(one(v6, probe), &network(from, host));
                    let trace = &run.traces[0];
                    let what = format!("{from:?} {host} {v6} {probe:?}\n{trace:?}");
                    let other: IpAddr = from[usize::from(v6)].parse().expect("an address");
                    match probe.0 {
                        // The service repeats too little of the datagram to be known by: it is not matched, and counted.
                        Protocol::Udp if !host.is_empty() => {
                            assert_eq!(trace.stop_reason, StopReason::GapLimit, "{what}");
                            continue;
                        }
                        // A firewall may have said that.
                        Protocol::Udp => {
                            let end = (StopReason::Unreachable, false, None);
                            let seen = (trace.stop_reason, trace.reached, trace.path_length);
                            assert_eq!(seen, end, "{what}");
                        }
                        Protocol::Icmp | Protocol::Tcp => {
                            let end = (StopReason::Completed, true, Some(Ttl(4)));
                            let seen = (trace.stop_reason, trace.reached, trace.path_length);
                            assert_eq!(seen, end, "{what}");
                        }
                    }
                    assert_eq!(anomalies(trace), ["other_address"], "{what}");
                    let path = [1, 2, 3].map(|number| Some(router(v6, number)));
                    let path: Vec<_> = path.into_iter().chain([Some(other)]).collect();
                    assert_eq!(responders(&run), path, "{what}");
                    assert_eq!(trace.max_ttl, Some(Ttl(4)), "{what}");
                    for row in run.hops.iter().filter(|row| row.responder() == Some(other)) {
                        let quotes = row
                            .reply
                            .as_ref()
                            .is_some_and(|reply| reply.quoted.is_some());
                        let evidence = match quotes {
                            true => Evidence::Full,
                            false => Evidence::Rewritten,
                        };
                        assert_eq!(row.evidence, Some(evidence), "{what}");
                    }
                }
            }
        }
    }
}
