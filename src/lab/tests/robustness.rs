//! Bytes of any kind.

use proptest::prelude::*;

use super::super::GeneratedOptions;
use super::*;

/// Networks that between them use every feature.
fn networks() -> Vec<LabNetwork> {
    let names = [
        "nat",
        "rewriting",
        "mpls",
        "zero-ttl",
        "loop",
        "per-packet",
        "unreachable",
    ];
    let mut networks: Vec<_> = names.iter().map(|name| lab(name)).collect();
    networks.push(LabNetwork::generated_with(1, GeneratedOptions::default()));
    networks
}

/// Sends `packet` into every network; what comes back must be sound.
fn survives(packet: &[u8]) {
    for mut network in networks() {
        send(&mut network, packet, START);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    /// Packets with a sound IP header around anything: options, any protocol, any lengths.
    #[test]
    fn arbitrary_payloads_do_no_harm(
        words in 5u8..=15,
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), any::<u8>()],
        ttl in any::<u8>(),
        destination in prop_oneof![Just([198, 18, 0, 1]), Just([198, 18, 1, 1]), any::<[u8; 4]>()],
        rest in prop::collection::vec(any::<u8>(), 40..120),
        cut in 0usize..80,
    ) {
        let header = usize::from(words) * 4;
        let mut bytes = vec![0; 20];
        bytes.extend_from_slice(&rest);
        bytes.truncate(bytes.len().saturating_sub(cut).max(header));
        let total = bytes.len() as u16;
        bytes[0] = 0x40 | words;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[8] = ttl;
        bytes[9] = protocol;
        bytes[12..16].copy_from_slice(&[192, 0, 2, 1]);
        bytes[16..20].copy_from_slice(&destination);
        let sum = util::checksum(&bytes[..header], 5);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        survives(&bytes);
    }
}
