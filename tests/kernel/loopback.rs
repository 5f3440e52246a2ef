//! What the test of the receiver before a survey finds.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use pathsurvey::lab::driver::enter_namespace;
use pathsurvey::model::{Protocol, TcpFlags};
use pathsurvey::survey::TestReplyKind::{
    self, Datagram, EchoReply, Reset, TimeExceeded, Unreachable,
};
use pathsurvey::survey::{LoopbackProbe, LoopbackTest, TestReply};
use pathsurvey::transport::raw::{Answers, RawReceiver, RawSender};
use pathsurvey::transport::{Arrival, PacketReceiver, PortBlock, Received};

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
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let dropped = self.1;
        self.0.receive(timeout, &mut |arrival, stamp| {
            if !dropped.contains(&sort(arrival.bytes())) {
                visit(arrival, stamp);
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
) -> Vec<TestReply> {
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

pub fn shows_which_replies_are_received() -> Outcome {
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
        (psh, &[(6, None)], &[(false, Reset), (true, Reset)]),
        (
            SYN,
            &[icmp(3), icmp(11), (6, None)],
            &[
                (false, Unreachable),
                (false, TimeExceeded),
                (false, Reset),
                (true, Reset),
            ],
        ),
    ] {
        // What is not dropped is there when the send returns: only for the others is it waited.
        let patience = Duration::from_secs(if missing.is_empty() { 60 } else { 1 });
        let replies = test(probe, &ADDRESSES, dropped, patience);
        assert_eq!(replies.len(), 6, "{probe:?}");
        let not_received: Vec<(bool, TestReplyKind)> = replies
            .iter()
            .filter(|reply| !reply.received)
            .map(|reply| (reply.ipv6, reply.kind))
            .collect();
        assert_eq!(not_received, missing, "{probe:?} without {dropped:?}");
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
    let replies = test(SYN, &both, &[], Duration::from_secs(60));
    assert!(
        replies.len() == 3 && replies.iter().all(|reply| reply.ipv6 && reply.received),
        "{replies:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    Ok(())
}
