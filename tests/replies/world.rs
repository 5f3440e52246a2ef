//! Live probes of one protocol over one family, and what a packet from the network is matched to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pathsurvey::engine::format::{Marked, ProbeFormat};
use pathsurvey::engine::ledger::{Ledger, State};
use pathsurvey::engine::matcher::{self, Finding};
use pathsurvey::engine::nat::NatLearner;
use pathsurvey::model::{
    DiscardReason, FlowId, Probe, ProbeId, Protocol, Purpose, Reply, TargetId, TcpFlags, Time, Ttl,
    Vary,
};
use pathsurvey::transport::PacketBatch;
use pathsurvey::wire;
use pathsurvey::wire::protocol;
use pathsurvey::wire::token::{MarkedFields, RunKey, TokenMaker};

pub const TARGETS: u32 = 64;
pub const FLOWS: u32 = 2;
pub const TTLS: u32 = 16;
pub const ATTEMPTS: u32 = 2;

/// Which probes are sent.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub protocol: Protocol,
    pub tcp_flags: TcpFlags,
    pub v6: bool,
    pub vary: Vary,
}

const fn kind(name: &'static str, protocol: Protocol, tcp_flags: TcpFlags, v6: bool) -> Kind {
    Kind {
        name,
        protocol,
        tcp_flags,
        v6,
        vary: Vary::SourcePort,
    }
}

const fn varied(name: &'static str, protocol: Protocol, v6: bool, vary: Vary) -> Kind {
    Kind {
        vary,
        ..kind(name, protocol, TcpFlags::Syn, v6)
    }
}

/// Every protocol over every family, and every field in which flows differ.
pub const KINDS: [Kind; 19] = [
    kind("udp4", Protocol::Udp, TcpFlags::Syn, false),
    kind("udp6", Protocol::Udp, TcpFlags::Syn, true),
    kind("echo4", Protocol::Icmp, TcpFlags::Syn, false),
    kind("echo6", Protocol::Icmp, TcpFlags::Syn, true),
    kind("syn4", Protocol::Tcp, TcpFlags::Syn, false),
    kind("syn6", Protocol::Tcp, TcpFlags::Syn, true),
    kind("ack4", Protocol::Tcp, TcpFlags::Ack, false),
    kind("ack6", Protocol::Tcp, TcpFlags::Ack, true),
    kind("psh4", Protocol::Tcp, TcpFlags::Psh, false),
    kind("psh6", Protocol::Tcp, TcpFlags::Psh, true),
    varied("udp4_to_ports", Protocol::Udp, false, Vary::DestPort),
    varied("udp6_to_ports", Protocol::Udp, true, Vary::DestPort),
    varied("syn4_to_ports", Protocol::Tcp, false, Vary::DestPort),
    varied("syn6_to_ports", Protocol::Tcp, true, Vary::DestPort),
    varied(
        "echo4_by_checksum",
        Protocol::Icmp,
        false,
        Vary::IcmpChecksum,
    ),
    varied(
        "echo6_by_checksum",
        Protocol::Icmp,
        true,
        Vary::IcmpChecksum,
    ),
    varied("udp6_by_label", Protocol::Udp, true, Vary::FlowLabel),
    varied("syn6_by_label", Protocol::Tcp, true, Vary::FlowLabel),
    varied("echo6_by_label", Protocol::Icmp, true, Vary::FlowLabel),
];

impl Kind {
    /// Our address.
    pub fn source(self) -> IpAddr {
        match self.v6 {
            false => Ipv4Addr::new(192, 0, 2, 1).into(),
            true => "2001:db8::1".parse().expect("an address"),
        }
    }

    /// The address of a target: probed where `number` is below [`TARGETS`].
    pub fn target(self, number: u32) -> IpAddr {
        match self.v6 {
            false => Ipv4Addr::from_bits(0xc633_6400 + number).into(),
            true => Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, number as u16 + 1).into(),
        }
    }

    /// Bytes of a probe's IP header.
    pub fn header(self) -> usize {
        if self.v6 { 40 } else { 20 }
    }
}

/// The live probes, by their number.
pub struct World {
    pub kind: Kind,
    pub format: ProbeFormat,
    tokens: TokenMaker,
    ledger: Ledger,
    nat: NatLearner,
    pub packets: Vec<Vec<u8>>,
    probes: Vec<Marked>,
}

impl World {
    pub fn new(kind: Kind) -> Self {
        let format = ProbeFormat {
            protocol: protocol::of(kind.protocol, kind.tcp_flags),
            vary: kind.vary,
            ..ProbeFormat::udp(FLOWS as u16)
        };
        let tokens = TokenMaker::new(RunKey::new([7; 16]));
        let total = TARGETS * FLOWS * TTLS * ATTEMPTS;
        let mut world = World {
            kind,
            format,
            tokens: tokens.clone(),
            ledger: Ledger::new(total as usize, format.shows_ttl(), ProbeId(0)),
            nat: NatLearner::default(),
            packets: Vec::new(),
            probes: Vec::new(),
        };
        for number in 0..total {
            world.send(number, &tokens);
        }
        world
    }

    fn send(&mut self, number: u32, tokens: &TokenMaker) {
        let probe = Probe {
            target: TargetId(number / TTLS / FLOWS % TARGETS),
            destination: self.kind.target(number / TTLS / FLOWS % TARGETS),
            flow: FlowId((number / TTLS % FLOWS) as u16),
            ttl: Ttl((number % TTLS) as u8 + 1),
            attempt: (number / TTLS / FLOWS / TARGETS) as u8 + 1,
            purpose: Purpose::Trace,
            size: None,
            round: 0,
        };
        let (format, serial) = (self.format, tokens.serial(u64::from(number)));
        let drawn = tokens.marks(&MarkedFields {
            destination: probe.destination,
            src_port: format.src_port(probe.flow),
            dst_port: format.dst_port(probe.flow, probe.ttl),
            ttl: probe.ttl,
            serial,
            probe_id: self.ledger.next_id(),
        });
        let marked = Marked {
            source: self.kind.source(),
            destination: probe.destination,
            flow: probe.flow,
            ttl: probe.ttl,
            serial,
            marks: format.marks(drawn, tokens, probe.destination, probe.flow),
            flow_label: format.flow_label(probe.destination, probe.flow),
            size: None,
        };
        let id = self.ledger.add(probe, &marked, Time::default());
        self.ledger.get_mut(id).expect("just added").state = State::Waiting;
        let mut batch = PacketBatch::default();
        format.encode(&marked, &mut batch);
        self.packets
            .push(batch.get(0).expect("a packet").1.to_vec());
        self.probes.push(marked);
    }

    /// Says where a probe stands.
    pub fn set_state(&mut self, number: u64, state: State) {
        let entry = self.ledger.get_mut(ProbeId(number));
        entry.expect("a live probe").state = state;
    }

    /// The number of the other attempt at the same hop.
    pub fn other_attempt(&self, number: usize) -> usize {
        (number + self.packets.len() / 2) % self.packets.len()
    }

    /// What is found for a received packet: the whole way from its bytes.
    pub fn receive(&self, packet: &[u8]) -> Result<(Reply, Finding), DiscardReason> {
        let reply = wire::decode(packet, Time::default())?;
        let finding = matcher::find(&self.ledger, &self.format, &self.tokens, &self.nat, &reply);
        Ok((reply, finding))
    }

    /// Target address, source port and destination port of a probe.
    pub fn trace(&self, probe: ProbeId) -> (IpAddr, u16, u16) {
        let Marked {
            destination,
            flow,
            ttl,
            ..
        } = self.probes[probe.0 as usize];
        let format = &self.format;
        (
            destination,
            format.src_port(flow),
            format.dst_port(flow, ttl),
        )
    }
}
