//! Two surveys side by side in one namespace: each sees the other's replies and takes none of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use pathsurvey::lab::{Delivery, LabNetwork, Recorded, Recording, Respond};
use pathsurvey::model::Time;

use super::account::{account, counts_agree};
use super::host::World;
use super::lab::network;
use super::program::Started;
use super::truth::{complete_and_exact, truth_of};
use crate::rows::Dataset;
use crate::support::Outcome;

/// The target whose probes are held back until both surveys have sent all others: so neither ends before the other.
const LAST: Ipv4Addr = Ipv4Addr::new(198, 18, 5, 255);
/// Source ports: the second survey finds the first one's taken.
const PORTS: [u16; 2] = [24_000, 24_001];

/// Lets nothing through until both surveys have sent something, and nothing to LAST until both have sent all else. So each
/// is listening for as long as the other is being answered, however fast the machine starts and runs them.
struct Rendezvous {
    network: Recording<LabNetwork>,
    /// By source port: packets to other targets than LAST that are still to come.
    missing: BTreeMap<u16, usize>,
    /// Source ports that have not been seen.
    absent: Vec<u16>,
    held: Vec<Vec<u8>>,
}

impl Rendezvous {
    fn is_held(&self, packet: &[u8]) -> bool {
        let last = packet[16..20] == LAST.octets();
        !self.absent.is_empty() || (last && self.missing.values().any(|missing| *missing > 0))
    }
}

impl Respond for Rendezvous {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        let port = port_of(packet);
        self.absent.retain(|absent| *absent != port);
        if packet[16..20] != LAST.octets() {
            let missing = self.missing.get_mut(&port).expect("a port of ours");
            *missing = missing.checked_sub(1).expect("a probe beyond the path");
        }
        self.held.push(packet.to_vec());
        let waiting = std::mem::take(&mut self.held);
        for packet in waiting {
            if self.is_held(&packet) {
                self.held.push(packet);
            } else {
                self.network.respond(&packet, now, deliveries);
            }
        }
    }
}

fn port_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[20], packet[21]])
}

pub fn side_by_side() -> Outcome {
    let clean = network("generated-clean.toml");
    let targets = || {
        [4, 5]
            .into_iter()
            .flat_map(|block| (0..=255).map(move |host| Ipv4Addr::new(198, 18, block, host)))
    };
    // A distance probe and one for each TTL of the path.
    let probes = |port| {
        targets()
            .filter(|target| *target != LAST)
            .map(|target| truth_of(&clean, target, port, 33_434))
            .map(|truth| 1 + usize::from(truth.path_length().unwrap().0))
            .sum()
    };
    let missing = PORTS.map(|port| (port, probes(port))).into();
    let world = World::start_behind(&clean, |network| {
        Box::new(Rendezvous {
            network,
            missing,
            absent: PORTS.into(),
            held: Vec::new(),
        })
    })?;
    let directory = tempfile::tempdir().unwrap();
    let options = [
        "198.18.4.0/24",
        "198.18.5.0/24",
        "--seed",
        "7",
        "--rate",
        "3k",
        "-w",
        "60",
        "-c",
        "3",
    ];
    let nights = ["one", "two"].map(|name| directory.path().join(name));
    let mut surveys = nights
        .each_ref()
        .map(|night| Started::new(world.survey(night, &options)));
    for survey in &mut surveys {
        assert_eq!(survey.wait().code(), Some(0));
    }
    let (log, counts) = world.stop();
    assert_eq!((counts.device_dropped, counts.waiting), (Some(0), 0));
    let mut datasets = nights.map(|night| Dataset::read(&night));
    let port = |dataset: &Dataset| dataset.count("/run/setup/source_port");
    datasets.sort_by_key(port);
    let ours = |port: u16| -> Vec<Recorded> {
        log.iter()
            .filter(|recorded| port_of(&recorded.packet) == port)
            .cloned()
            .collect()
    };
    let logs = PORTS.map(ours);
    let answers = logs.each_ref().map(|log| {
        log.iter()
            .map(|recorded| recorded.deliveries.len() as u64)
            .sum::<u64>()
    });
    for (at, dataset) in datasets.iter().enumerate() {
        assert_eq!(port(dataset), u64::from(PORTS[at]));
        complete_and_exact(&clean, dataset);
        assert_eq!(dataset.traces.len(), 512);
        counts_agree(dataset);
        assert_eq!(account(dataset, &logs[at]).len(), logs[at].len());
        // All of the other's replies were seen, and known as another's; so are the two messages over loopback by which the other
        // tested its receiver, for the one that was there first. There is no other kind of discard.
        let received = dataset.count("/packets/received");
        let tests = received.checked_sub(answers[0] + answers[1]).unwrap();
        assert!(tests <= 2);
        let discarded = dataset.manifest["packets"]["discarded"]
            .as_object()
            .unwrap();
        for (reason, count) in discarded {
            let expected = match reason.as_str() {
                "foreign" => answers[1 - at] + tests,
                _ => 0,
            };
            assert_eq!(*count, expected, "{reason}");
        }
        assert_eq!(dataset.count("/kernel_drops/receive_buffer"), 0);
        let warnings = dataset.manifest["warnings"].as_array().unwrap();
        let moved = warnings
            .iter()
            .filter_map(|warning| warning.as_str())
            .any(|warning| warning.contains("source port 24000 is taken: using 24001"));
        assert_eq!(moved, at == 1, "{warnings:?}");
    }
    Ok(())
}
