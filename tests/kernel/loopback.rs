//! What the test of the receiver before a survey finds.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use pathsurvey::lab::driver::enter_namespace;
use pathsurvey::model::{Protocol, TcpFlags};
use pathsurvey::survey::HeardKind::{
    self, Datagram, EchoReply, Segment, TimeExceeded, Unreachable,
};
use pathsurvey::survey::{Heard, LoopbackProbe, LoopbackTest};
use pathsurvey::transport::raw::{Answers, RawReceiver, RawSender};
use pathsurvey::transport::{PacketReceiver, PortBlock, Received};

use crate::support::{Ignored, Outcome};

/// IP protocol number and, of ICMP alone, type of a packet.
type Sort = (u8, Option<u8>);

/// A receiver that a firewall keeps packets of some sorts from.
struct Behind<'a>(RawReceiver, &'a [Sort]);

fn sort(packet: &[u8]) -> Sort {
    let (protocol, header) = match packet[0] >> 4 {
        4 => (packet[9], 20),
        _ => (packet[6], 40),
    };
    let icmp = matches!(protocol, 1 | 58);
    (protocol, icmp.then(|| packet[header]))
}

impl PacketReceiver for Behind<'_> {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> io::Result<Received> {
        let dropped = self.1;
        self.0.receive(timeout, &mut |packet, stamp| {
            if !dropped.contains(&sort(packet)) {
                visit(packet, stamp);
            }
        })
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}

const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Makes the test behind a firewall.
fn test(
    (protocol, tcp_flags): (Protocol, TcpFlags),
    addresses: &[IpAddr],
    dropped: &[Sort],
    patience: Duration,
) -> Vec<Heard> {
    let ports = PortBlock::bind(protocol, 24_000, 2).unwrap();
    let answers = Answers {
        ipv4: true,
        ipv6: true,
        protocol: Some(protocol),
        ports: ports.ports(),
    };
    let mut receiver = Behind(RawReceiver::open_for(&answers, 1 << 20).unwrap(), dropped);
    let probe = LoopbackProbe {
        protocol,
        tcp_flags,
        tos: 0,
        source_port: ports.base(),
        destination_port: 33_434,
        mark: 1,
    };
    let mut sender = RawSender::open().unwrap();
    let test = LoopbackTest::begin(&mut sender, &probe, addresses).unwrap();
    test.finish(&mut sender, &mut receiver, patience).unwrap()
}

const SYN: (Protocol, TcpFlags) = (Protocol::Tcp, TcpFlags::Syn);
const ECHO: (Protocol, TcpFlags) = (Protocol::Icmp, TcpFlags::Syn);
const UDP: (Protocol, TcpFlags) = (Protocol::Udp, TcpFlags::Syn);

pub fn tells_what_is_heard() -> Outcome {
    match enter_namespace() {
        Err(error) if error.is_refusal() => return Err(Ignored(error.to_string())),
        entered => drop(entered.unwrap()),
    }
    let icmp = |kind| (1, Some(kind));
    let icmpv6 = |kind| (58, Some(kind));
    let ack = (Protocol::Tcp, TcpFlags::Ack);
    let psh = (Protocol::Tcp, TcpFlags::Psh);
    for (probe, dropped, missing) in [
        (UDP, &[][..], &[][..]),
        (ECHO, &[], &[]),
        (SYN, &[], &[]),
        (ack, &[], &[]),
        (psh, &[], &[]),
        (UDP, &[icmp(11)], &[(false, TimeExceeded)]),
        (UDP, &[icmp(3)], &[(false, Unreachable)]),
        (UDP, &[icmpv6(3)], &[(true, TimeExceeded)]),
        (UDP, &[icmpv6(1)], &[(true, Unreachable)]),
        (UDP, &[(17, None)], &[(false, Datagram), (true, Datagram)]),
        (ECHO, &[icmp(0)], &[(false, EchoReply)]),
        (ECHO, &[icmpv6(129)], &[(true, EchoReply)]),
        // Not what answers them.
        (ECHO, &[icmp(8), icmpv6(128), (17, None)], &[]),
        (psh, &[(6, None)], &[(false, Segment), (true, Segment)]),
        (
            SYN,
            &[icmp(3), icmp(11), (6, None)],
            &[
                (false, Unreachable),
                (false, TimeExceeded),
                (false, Segment),
                (true, Segment),
            ],
        ),
    ] {
        // What is not dropped is there when the send returns: only for the others is it waited.
        let patience = Duration::from_secs(if missing.is_empty() { 60 } else { 1 });
        let heard = test(probe, &ADDRESSES, dropped, patience);
        assert_eq!(heard.len(), 6, "{probe:?}");
        let unheard: Vec<(bool, HeardKind)> = heard
            .iter()
            .filter(|heard| !heard.heard)
            .map(|heard| (heard.ipv6, heard.kind))
            .collect();
        assert_eq!(unheard, missing, "{probe:?} without {dropped:?}");
    }
    Ok(())
}

/// Addresses that are not ours are not tested with, and nothing is waited for in vain.
pub fn is_made_with_our_own_addresses() -> Outcome {
    match enter_namespace() {
        Err(error) if error.is_refusal() => return Err(Ignored(error.to_string())),
        entered => drop(entered.unwrap()),
    }
    let foreign: [IpAddr; 2] = [
        "198.51.100.9".parse().unwrap(),
        "2001:db8::9".parse().unwrap(),
    ];
    let began = Instant::now();
    assert_eq!(test(UDP, &foreign, &[], Duration::from_secs(60)), []);
    let both = [foreign[0], ADDRESSES[1]];
    let heard = test(SYN, &both, &[], Duration::from_secs(60));
    assert!(
        heard.len() == 3 && heard.iter().all(|heard| heard.ipv6 && heard.heard),
        "{heard:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    Ok(())
}
