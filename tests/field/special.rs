//! Cases that take more than a survey and its comparison.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::process::Stdio;

use serde_json::Value;

use super::compare::Differences;
use super::network::Network;
use super::survey::{ORDINARY, RAW, UPLINKS, Way, all_ways, each, shows, survey};
use super::world::{User, World, enter, enter_mapped};
use crate::support::{Ignored, Outcome, note};
use crate::tools::{hops, traceroute_installed};

/// Targets whose paths are compared with traceroute's: as many as it traces in a few seconds.
const SAMPLE: usize = 30;

/// A case of the script over raw sockets that receive through a packet ring. That they do in a user namespace, at a rate for which
/// the socket's buffer may not be made large enough there.
pub fn by_ring(case: &str, protocols: &[&str], options: &[&str]) -> Outcome {
    enter_mapped()?;
    let ways: Vec<Way> = RAW
        .iter()
        .filter(|way| protocols.contains(&way.protocol))
        .copied()
        .collect();
    let options = [&["--rate", "20k"], options].concat();
    each(&ways, |way| {
        let world = World::up(&way.name(), UPLINKS);
        let surveyed = survey(&world, case, way, &options);
        let mut differences = surveyed.differences();
        if let Some(dataset) = &surveyed.dataset {
            let buffer = &dataset.manifest["run"]["setup"]["receive_buffer"];
            differences.unless_equal("the receive buffer", buffer, &"packet_ring".into());
        }
        (differences, ())
    });
    Ok(())
}

/// Every answer is in the capture file as it was sent, read or not.
pub fn kept_in_the_capture() -> Outcome {
    enter()?;
    each(RAW, |way| {
        let world = World::up(&way.name(), UPLINKS);
        let file = world.directory().join("packets.pcap");
        let options = ["--pcap", file.to_str().unwrap()];
        let surveyed = survey(&world, "captured", way, &options);
        let mut differences = surveyed.differences();
        let mut sent: Vec<String> = surveyed
            .seen
            .iter()
            .flat_map(|seen| seen.probe["sent"].as_array().unwrap())
            .map(|packet| packet.as_str().unwrap().to_owned())
            .collect();
        let ours = surveyed.seen[0].probe["source"].as_str().unwrap();
        let mut kept = packets_from_others(&std::fs::read(&file).unwrap(), ours.parse().unwrap());
        sent.sort();
        kept.sort();
        if sent != kept {
            let missing = sent.iter().find(|packet| !kept.contains(packet));
            let (sent, kept) = (sent.len(), kept.len());
            differences.add(format!(
                "{kept} packets kept, {sent} sent, such as {missing:?}"
            ));
        }
        (differences, ())
    });
    Ok(())
}

/// The IPv6 packets of a capture file (pcap, link type RAW) from elsewhere to `ours`, as hexadecimal digits.
fn packets_from_others(file: &[u8], ours: Ipv6Addr) -> Vec<String> {
    let ours = ours.octets();
    let (_, mut rest) = file.split_at(24);
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap());
        let (packet, behind) = rest[16..].split_at(length as usize);
        rest = behind;
        if packet[0] >> 4 == 6 && packet[8..24] != ours && packet[24..40] == ours {
            packets.push(packet.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    packets
}

/// By the device of a routing domain, and by the interface in it.
pub fn routing_domain() -> Outcome {
    enter()?;
    if !World::up("tried", 1).has_vrf() {
        return Err(Ignored("no VRF".to_owned()));
    }
    shows("vrf", &all_ways(), &[]);
    shows("vrf-member", &all_ways(), &[]);
    Ok(())
}

/// A thousand targets over three routes; traceroute finds the same paths.
pub fn many_targets(ways: &[Way]) -> Outcome {
    traceroute_installed()?;
    enter()?;
    let rows = each(ways, |way| {
        let world = World::up(&way.name(), UPLINKS);
        let options = ["--rate", "2000", "--timeout", "2"];
        let surveyed = survey(&world, "big", way, &options);
        let mut differences = surveyed.differences();
        if way.user == User::Root && way.protocol == "udp" {
            compare_with_traceroute(&world, way, &mut differences);
        }
        (differences, surveyed.seen.len())
    });
    note(&format!("{} probes", rows.iter().sum::<usize>()));
    Ok(())
}

pub fn many_targets_over_raw_sockets() -> Outcome {
    many_targets(RAW)
}

pub fn many_targets_over_ordinary_sockets() -> Outcome {
    many_targets(ORDINARY)
}

/// The paths of a sample of both families over all routes, which the survey has been compared with already.
fn compare_with_traceroute(world: &World, way: &Way, differences: &mut Differences) {
    let network = Network::start(world, "big", way.protocol, way.transport);
    let traces = network.plan["traces"].as_object().unwrap();
    let step = traces.len() / SAMPLE;
    let sample: Vec<(&String, &Value)> = traces.iter().step_by(step).collect();
    let ways: BTreeSet<&str> = sample
        .iter()
        .map(|(_, trace)| trace["name"].as_str().unwrap())
        .collect();
    assert_eq!(ways.len(), 2 * UPLINKS, "not every route is in the sample");
    // All at once: each waits for its answers most of the time.
    let running: Vec<_> = sample
        .into_iter()
        .map(|(target, trace)| {
            let mut command = world.at_vantage("traceroute");
            command.args(["-n", "-q1", "-w1", "-N16", target]);
            let child = command.stdout(Stdio::piped()).spawn().unwrap();
            (target, trace, child)
        })
        .collect();
    for (target, trace, child) in running {
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let path: Vec<Option<IpAddr>> = hops(&printed).into_iter().map(|hop| hop.1).collect();
        let path = path
            .iter()
            .map(|hop| hop.map(|address| address.to_string()))
            .collect();
        differences.unless_equal(
            &format!("traceroute's path to {target}"),
            &path,
            &trace["path"],
        );
    }
}

/// Without privilege raw sockets are refused, and nothing is sent.
pub fn raw_is_refused_to_nobody() -> Outcome {
    enter()?;
    let ways = [Way {
        protocol: "udp",
        transport: "raw",
        user: User::Nobody,
    }];
    each(&ways, |way| {
        let world = World::up(&way.name(), UPLINKS);
        let surveyed = survey(&world, "plain", way, &[]);
        let told = surveyed.told();
        assert_eq!(surveyed.output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("CAP_NET_RAW") || told.contains("cap_net_raw"),
            "{told}"
        );
        assert_eq!(surveyed.seen.len(), 0);
        (Differences::default(), ())
    });
    Ok(())
}

/// What our own kernel says of neighbours that are not there is no hop, and targets behind routers are reached meanwhile.
pub fn absent_neighbours_are_no_hop() -> Outcome {
    enter()?;
    each(&all_ways(), |way| {
        let world = World::up(&way.name(), UPLINKS);
        let neighbours = ["10.1.1.99", "10.1.1.98", "2001:db8:1:1::99"];
        let options = [&neighbours[..], &["--timeout", "1"]].concat();
        let surveyed = survey(&world, "absent", way, &options);
        let mut differences = Differences::default();
        let Some(dataset) = &surveyed.dataset else {
            panic!("no dataset: {}", surveyed.told());
        };
        for row in &dataset.hops {
            let absent = neighbours.contains(&row["destination"].as_str().unwrap());
            let answered = !row["responder"].is_null();
            if absent == answered {
                differences.add(format!("answered: {answered}, in {row}"));
            }
        }
        for trace in &dataset.traces {
            let absent = neighbours.contains(&trace["destination"].as_str().unwrap());
            let what = format!("reached of {}", trace["destination"]);
            differences.unless_equal(&what, &trace["reached"], &(!absent).into());
            if absent && trace["stop_reason"] == "unreachable" {
                differences.add(format!("unreachable by our own word: {trace}"));
            }
        }
        assert_eq!(dataset.traces.len(), 2 + neighbours.len());
        if way.transport == "raw" {
            // It did say so.
            let told = dataset.manifest["packets"]["discarded"]["local"].as_u64();
            assert_ne!(told, Some(0), "our own kernel has said nothing");
        }
        (differences, ())
    });
    Ok(())
}
