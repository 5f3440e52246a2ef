//! What the lab's networks answer to probes of every protocol and family: real packets, and seeds for the fuzzer.
//!
//! Nothing waits and no socket is opened: the networks of `labs/` run in the process. One packet is kept of each look: family,
//! protocol, type or flags, size and number of labels.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pathsurvey::engine::format::{Marked, ProbeFormat};
use pathsurvey::lab::{LabNetwork, Respond};
use pathsurvey::model::{Echoed, FlowId, ProbeId, Protocol, Reply, TcpFlags, Time, Ttl};
use pathsurvey::transport::PacketBatch;
use pathsurvey::wire::protocol;
use pathsurvey::wire::token::{MarkedFields, RunKey, TokenMaker};
use pathsurvey::wire::{Reassembler, Taken, decode, extensions};

/// Hosts probed of each prefix that holds targets.
const HOSTS: u128 = 2;
/// Hops probed.
const TTLS: std::ops::RangeInclusive<u8> = 1..=10;
/// Between two probes: nobody's rate limit is in the way.
const PAUSE: Duration = Duration::from_secs(1);

/// Packets by their look.
#[derive(Default)]
pub struct Captures {
    /// As they came, or put together.
    pub packets: BTreeMap<String, Vec<u8>>,
    /// The fragments of some of them, each behind its length.
    pub fragments: BTreeMap<String, Vec<u8>>,
}

/// Begins the name of what fragments make.
const PUT_TOGETHER: &str = "lab-whole";

/// What all networks of `labs/` answer.
pub fn captures() -> Captures {
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("labs");
    let mut files: Vec<PathBuf> = fs::read_dir(&labs)
        .expect("the example networks")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut captures = Captures::default();
    for file in files {
        let text = fs::read_to_string(&file).expect("an example network");
        let name = file.display().to_string();
        survey(
            LabNetwork::from_toml(&text, &name).expect(&name),
            &mut captures,
        );
    }
    captures
}

fn survey(mut network: LabNetwork, captures: &mut Captures) {
    let tokens = TokenMaker::new(RunKey::new([7; 16]));
    let mut now = Time::from_nanos(1);
    let mut number = 0;
    let prefixes = network.target_prefixes().to_vec();
    for (protocol, tcp_flags, port, packet_size) in [
        (Protocol::Udp, TcpFlags::Syn, 33_434, None),
        // Too large for some lines, which say so.
        (Protocol::Udp, TcpFlags::Syn, 33_434, Some(1_500)),
        (Protocol::Udp, TcpFlags::Syn, 53, None),
        (Protocol::Icmp, TcpFlags::Syn, 0, None),
        (Protocol::Tcp, TcpFlags::Syn, 80, None),
        (Protocol::Tcp, TcpFlags::Syn, 81, None),
        (Protocol::Tcp, TcpFlags::Ack, 80, None),
        (Protocol::Tcp, TcpFlags::Psh, 80, None),
    ] {
        let format = ProbeFormat {
            protocol: protocol::of(protocol, tcp_flags),
            destination_port: port,
            packet_size,
            dont_fragment: packet_size.is_some(),
            ..ProbeFormat::udp(1)
        };
        for destination in prefixes.iter().flat_map(|prefix| hosts(prefix.network())) {
            let source = match (destination, network.vantage_v6()) {
                (IpAddr::V4(_), _) => network.vantage_v4().into(),
                (IpAddr::V6(_), Some(source)) => source.into(),
                (IpAddr::V6(_), None) => continue,
            };
            for ttl in TTLS.map(Ttl) {
                let serial = tokens.serial(number);
                let drawn = tokens.marks(&MarkedFields {
                    destination,
                    src_port: format.src_port(FlowId(0)),
                    dst_port: format.dst_port(FlowId(0), ttl),
                    ttl,
                    serial,
                    probe_id: ProbeId(number),
                });
                let probe = Marked {
                    source,
                    destination,
                    flow: FlowId(0),
                    ttl,
                    serial,
                    marks: format.marks(drawn, &tokens, destination, FlowId(0)),
                    flow_label: TokenMaker::flow_label(destination, 0),
                    size: None,
                };
                let mut batch = PacketBatch::default();
                format.encode(&probe, &mut batch);
                let (_, packet) = batch.get(0).expect("a packet");
                let mut deliveries = Vec::new();
                network.respond(packet, now, &mut deliveries);
                let mut fragments = Reassembler::default();
                let mut pieces = Vec::new();
                for delivery in deliveries {
                    pieces.extend((delivery.packet.len() as u16).to_be_bytes());
                    pieces.extend(&delivery.packet);
                    match fragments.take(&delivery.packet, now) {
                        Taken::Whole(whole) if whole == delivery.packet => {
                            keep("lab", whole, captures);
                        }
                        Taken::Whole(whole) => {
                            let look = keep(PUT_TOGETHER, whole, captures);
                            captures.fragments.entry(look).or_insert(pieces.clone());
                        }
                        Taken::Kept => {}
                    }
                }
                number += 1;
                now = now + PAUSE;
            }
        }
    }
}

/// The first hosts of a prefix.
fn hosts(network: IpAddr) -> impl Iterator<Item = IpAddr> {
    (1..=HOSTS).map(move |host| match network {
        IpAddr::V4(address) => {
            std::net::Ipv4Addr::from_bits(address.to_bits() + host as u32).into()
        }
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() + host).into(),
    })
}

/// Keeps a packet if none of its look has been seen. Returns the look.
fn keep(origin: &str, packet: &[u8], captures: &mut Captures) -> String {
    let reply = decode(packet, Time::default()).expect("the lab's answers can be read");
    let family = if reply.responder.is_ipv4() { 4 } else { 6 };
    let code = reply.icmp_code.unwrap_or_default();
    let quoted = reply.quoted.as_ref().map_or(0, |quoted| quoted.protocol);
    let look = format!(
        "{origin}-{}-{family}-code{code}-of{quoted}-{}bytes-{}labels",
        reply.kind.as_str(),
        packet.len(),
        reply.mpls.len()
    );
    let packets = &mut captures.packets;
    packets
        .entry(look.clone())
        .or_insert_with(|| packet.to_vec());
    look
}

/// What a kernel would tell an ordinary socket of a message, as the fuzzer takes it; `None` where it has no such socket. `header` is
/// the size of the IP headers, the message's and the quoted one.
fn told(reply: &Reply, message: &[u8], header: usize) -> Option<Vec<u8>> {
    let family = u8::from(header == 40);
    let (what, left) = match (&reply.quoted, &reply.echoed) {
        (Some(quoted), _) => match quoted.protocol {
            17 => (4, message.get(8 + header + 8..)?),
            1 | 58 => (4 | 2, message.get(8 + header..)?),
            _ => return None,
        },
        (None, Some(Echoed::Echo { .. })) => (2, message),
        (None, Some(Echoed::Udp { .. })) => (0, message.get(8..)?),
        (None, _) => return None,
    };
    let [icmp_type, icmp_code] = [reply.icmp_type, reply.icmp_code].map(Option::unwrap_or_default);
    Some([&[what | family, icmp_type, icmp_code, 0, 0], left].concat())
}

/// Saves captures as seeds: whole, as sockets would be told of them, their quotes, and what follows an error's header where that
/// has extensions.
pub fn save(captures: &Captures, corpus: &Path) {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(name), bytes).expect("a seed is written");
    };
    for (look, pieces) in &captures.fragments {
        write("fragments", look, pieces);
    }
    for (look, packet) in &captures.packets {
        write("reply", look, packet);
        let reply = decode(packet, Time::default()).expect("read before");
        let header = if reply.responder.is_ipv4() { 20 } else { 40 };
        // Behind extension headers the rest stands elsewhere, and is the same.
        if header == 40 && ![6, 17, 58].contains(&packet[6]) {
            continue;
        }
        if let Some(told) = told(&reply, &packet[header..], header) {
            write("socket", look, &told);
        }
        if reply.quoted.is_none() {
            continue;
        }
        let (message, body) = packet[header..].split_at(8);
        // In words of 32 bits with ICMPv4, of 64 with ICMPv6 (RFC 4884).
        let announced = match header {
            20 => usize::from(message[5]) * 4,
            _ => usize::from(message[4]) * 8,
        };
        let (quote, structure) = extensions::split(body, announced);
        write("quote", look, quote);
        if structure.is_some() {
            for words in [announced.div_ceil(4).min(255) as u8, 0] {
                let name = format!("{look}-{words}");
                write("extensions", &name, &[&[words], body].concat());
            }
        }
    }
}
