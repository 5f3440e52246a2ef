//! Arbitrary bytes.

use proptest::prelude::*;

use super::super::GeneratedOptions;
use super::*;

/// Networks that together use every feature.
fn networks() -> Vec<LabNetwork> {
    let names = [
        "nat",
        "rewriting",
        "mpls",
        "zero-ttl",
        "loop",
        "per-packet",
        "unreachable",
        "complaints",
        "other-address",
    ];
    let mut networks: Vec<_> = names.iter().map(|name| lab(name)).collect();
    networks.push(LabNetwork::generated_with(1, GeneratedOptions::default()));
    networks
}

/// Sends `packet` into every network. All replies must be valid.
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

    /// Packets with a valid IP header around arbitrary bytes, with options, any protocol and any lengths.
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

    /// IPv6 packets around arbitrary bytes, including TCP to hosts and extension headers.
    #[test]
    fn arbitrary_ipv6_payloads_do_no_harm(
        protocol in prop_oneof![Just(58u8), Just(6), Just(17), Just(44), any::<u8>()],
        hop_limit in any::<u8>(),
        destination in prop_oneof![Just(0x1000u16), Just(0x1001), Just(0x1002), any::<u16>()],
        message in prop::collection::vec(any::<u8>(), 0..120),
        icmp_type in prop_oneof![Just(128u8), any::<u8>()],
        right_checksum: bool,
    ) {
        let to = std::net::Ipv6Addr::new(0x2001, 0xdb8, destination, 0, 0, 0, 0, 9);
        let mut message = message;
        if protocol == 58 && message.len() >= 8 {
            message[..2].copy_from_slice(&[icmp_type, 0]);
        }
        let offset = match protocol {
            58 => 2,
            17 => 6,
            _ => 16,
        };
        if right_checksum && message.len() >= offset + 2 {
            if protocol == 17 {
                let length = (message.len() as u16).to_be_bytes();
                message[4..6].copy_from_slice(&length);
            }
            let skip = offset / 2;
            let next = pnet_packet::ip::IpNextHeaderProtocol(protocol);
            let sum = util::ipv6_checksum(&message, skip, &[], &packets6::VANTAGE, &to, next);
            message[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
        }
        let packet = packets6::packet(to, protocol, hop_limit, 0, &message);
        let mut networks = ["dual-stack", "hosts"].map(lab).to_vec();
        networks.push(LabNetwork::generated(1));
        for mut network in networks {
            let mut deliveries = Vec::new();
            network.respond(&packet, START, &mut deliveries);
            for Delivery { packet, .. } in deliveries {
                let (protocol, _) = packets6::message(&packet);
                if protocol == 58 {
                    packets6::read(&packet);
                }
            }
        }
    }
}
