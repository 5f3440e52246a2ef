//! Other people's programs see the lab's true paths.

use std::net::IpAddr;

use pathsurvey::lab::{LabNetwork, Truth, TruthFlow};
use pathsurvey::model::Ttl;

use super::lab::{network, repository};
use super::program::{pathsurvey, run};
use super::truth::MAX_TTL;
use crate::others::{hops, scamper_installed, traceroute_installed};
use crate::support::Outcome;

/// Ports that we choose where a tool lets us.
const SOURCE: u16 = 24_000;
const DESTINATION: u16 = 33_434;

/// Runs `command` in the lab and gives what it printed.
fn in_lab(file: &str, command: &[&str]) -> String {
    let file = repository().join("labs").join(file);
    let mut exec = pathsurvey(&["lab", "exec", "--network"]);
    exec.arg(file).arg("--").args(command);
    let (code, out, told) = run(exec);
    assert_eq!(code, Some(0), "{out}{told}");
    out
}

/// The true hops up to the target, where the probe of each TTL has a destination port of its own.
fn true_hops(truth: impl Fn(u8) -> Truth) -> Vec<(u8, Option<IpAddr>)> {
    let mut hops = Vec::new();
    for ttl in 1.. {
        let truth = truth(ttl);
        let hop = truth.hop(Ttl(ttl)).unwrap();
        hops.push((ttl, hop.responder()));
        if hop.answer().is_some_and(|answer| answer.is_target) {
            break;
        }
    }
    hops
}

fn compare(
    file: &str,
    target: &str,
    command: &[&str],
    destination_port: impl Fn(u8) -> u16,
) -> String {
    let destination: IpAddr = target.parse().unwrap();
    compare_flows(file, target, command, |ttl| {
        TruthFlow::udp(destination, SOURCE, destination_port(ttl))
    })
}

/// The program prints the true hop of every TTL, where `flow` says which flow its probe belongs to.
fn compare_flows(
    file: &str,
    target: &str,
    command: &[&str],
    flow: impl Fn(u8) -> TruthFlow,
) -> String {
    let lab: LabNetwork = network(file);
    let printed = in_lab(file, &[command, &[target]].concat());
    let expected = true_hops(|ttl| lab.truth_of_every_ttl(flow(ttl), Ttl(MAX_TTL)));
    assert!(expected.len() >= 4);
    assert_eq!(hops(&printed), expected, "{file} {target}:\n{printed}");
    printed
}

pub fn traceroute() -> Outcome {
    traceroute_installed()?;
    // Paths that do not depend on ports: as everybody calls it.
    let plain = ["traceroute", "-n", "-q1"];
    for file in ["clean.toml", "zero-ttl.toml", "silence.toml"] {
        for target in ["198.18.0.9", "198.18.0.77"] {
            compare(file, target, &plain, |_| DESTINATION);
        }
    }
    let printed = compare(
        "mpls.toml",
        "198.18.0.9",
        &["traceroute", "-n", "-q1", "-e"],
        |_| DESTINATION,
    );
    for labels in [
        "<MPLS:L=24001,E=0,S=1,T=1>",
        "<MPLS:L=24002,E=0,S=0,T=1/L=300,E=0,S=1,T=2>",
    ] {
        assert_eq!(printed.matches(labels).count(), 1, "{printed}");
    }
    // Balancers look at the ports: its destination port grows with the probe, its source port is what we say.
    let source = format!("--sport={SOURCE}");
    let chosen = ["traceroute", "-n", "-q1", &source];
    for (file, target) in [
        ("diamond.toml", "198.18.0.9"),
        ("diamond.toml", "198.18.1.10"),
        ("generated-clean.toml", "198.18.7.9"),
        ("generated-clean.toml", "198.19.200.31"),
        ("generated-clean.toml", "203.0.113.5"),
    ] {
        compare(file, target, &chosen, |ttl| {
            DESTINATION + u16::from(ttl) - 1
        });
    }
    Ok(())
}

pub fn traceroute_in_ipv6() -> Outcome {
    traceroute_installed()?;
    // As everybody calls it, where ways do not depend on ports, nor on the flow label that the kernel chooses.
    compare(
        "hosts.toml",
        "2001:db8:1000::9",
        &["traceroute", "-6", "-n", "-q1"],
        |_| DESTINATION,
    );
    // With ports and flow label chosen.
    let source = format!("--sport={SOURCE}");
    let chosen = ["traceroute", "-6", "-n", "-q1", "-l", "5", &source];
    for (file, target) in [
        ("dual-stack.toml", "2001:db8:1000::9"),
        ("generated-clean.toml", "2001:db8:1007::9"),
        ("generated-clean.toml", "2001:db8:1fff:1::77"),
    ] {
        let destination: IpAddr = target.parse().unwrap();
        compare_flows(file, target, &chosen, |ttl| {
            let port = DESTINATION + u16::from(ttl) - 1;
            TruthFlow::udp(destination, SOURCE, port).with_flow_label(5)
        });
    }
    Ok(())
}

pub fn scamper() -> Outcome {
    scamper_installed()?;
    let trace = format!("trace -P udp-paris -s {SOURCE} -d {DESTINATION}");
    let command = ["scamper", "-c", &trace, "-i"];
    for (file, target) in [
        ("clean.toml", "198.18.0.9"),
        ("mpls.toml", "198.18.0.9"),
        ("zero-ttl.toml", "198.18.0.9"),
        ("silence.toml", "198.18.0.9"),
        ("diamond.toml", "198.18.0.9"),
        ("diamond.toml", "198.18.1.10"),
        ("generated-clean.toml", "198.18.7.9"),
        ("generated-clean.toml", "198.19.200.31"),
        ("generated-clean.toml", "203.0.113.5"),
    ] {
        compare(file, target, &command, |_| DESTINATION);
    }
    // Only where the flow label does not matter: the kernel chooses it.
    compare("hosts.toml", "2001:db8:1000::9", &command, |_| DESTINATION);
    Ok(())
}
