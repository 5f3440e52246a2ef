//! What is told of next hops that do not answer: hosts that are not there, on a link that leads to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use pathsurvey::lab::driver::enter_namespace;
use pathsurvey::model::{Protocol, UnsentReason};
use pathsurvey::transport::raw::RawSender;
use pathsurvey::transport::{PacketBatch, PacketSender, SendProgress, Stopped};

use super::namespaces::{allowed, open_dgram};
use crate::support::{Ignored, Outcome};

/// Our port in the packets.
const PORT: u16 = 24_000;

/// Runs `ip` with the words of each line.
pub fn ip(lines: &[&str]) -> Outcome {
    for line in lines {
        let status = Command::new("ip")
            .args(line.split_whitespace())
            .status()
            .map_err(|error| Ignored(format!("ip cannot be run: {error}")))?;
        assert!(status.success(), "ip {line}");
    }
    Ok(())
}

/// A link on which hosts are asked for and none answers, and a gateway on it that everybody knows. The kernel's table is the
/// machine's: whoever comes next must find it empty, not as a namespace left it that is not yet cleaned up.
struct Link;

impl Drop for Link {
    fn drop(&mut self) {
        // Its neighbours go with it. What fails here shows in the next case.
        let _ = ip(&["link del near0"]);
    }
}

fn furnish() -> Result<Link, Ignored> {
    allowed(enter_namespace())?;
    ip(&[
        "link add near0 type veth peer name far0",
        "link set far0 up",
        "link set near0 up",
        "addr add 10.99.0.1/16 dev near0",
        "addr add fd99::1/64 dev near0 nodad",
        "neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev near0",
        "neigh add fd99::2 lladdr 02:00:00:00:00:02 dev near0",
        "route add default via 10.99.0.2",
        "-6 route add default via fd99::2",
    ])?;
    Ok(Link)
}

/// The nth host of the link; it is not there.
fn absent(ipv6: bool, nth: u16) -> IpAddr {
    match ipv6 {
        false => Ipv4Addr::from_bits(0x0A63_0100 + u32::from(nth)).into(),
        true => Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 1, nth).into(),
    }
}

/// Somebody behind the gateway.
fn routed(ipv6: bool) -> IpAddr {
    match ipv6 {
        false => Ipv4Addr::new(198, 18, 0, 1).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// A UDP datagram without a checksum, which nobody will read.
fn push(batch: &mut PacketBatch, destination: IpAddr) {
    let payload = 20;
    let transport = match destination {
        IpAddr::V4(to) => {
            let packet = batch.push(destination, 20 + 8 + payload);
            (packet[0], packet[8], packet[9]) = (0x45, 9, 17);
            packet[12..16].copy_from_slice(&[10, 99, 0, 1]);
            packet[16..20].copy_from_slice(&to.octets());
            &mut packet[20..]
        }
        IpAddr::V6(to) => {
            let packet = batch.push(destination, 40 + 8 + payload);
            (packet[0], packet[5], packet[6], packet[7]) = (0x60, 8 + payload as u8, 17, 9);
            let source = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);
            packet[8..24].copy_from_slice(&source.octets());
            packet[24..40].copy_from_slice(&to.octets());
            &mut packet[40..]
        }
    };
    transport[..2].copy_from_slice(&PORT.to_be_bytes());
    transport[2..4].copy_from_slice(&33_434_u16.to_be_bytes());
    transport[5] = 8 + payload as u8;
}

fn senders() -> [(&'static str, Box<dyn PacketSender>); 2] {
    let dgram = open_dgram(Protocol::Udp, PORT, 1);
    assert_eq!(dgram.ports.base(), PORT);
    [
        ("raw", Box::new(RawSender::open().unwrap())),
        ("dgram", dgram.sender),
    ]
}

/// Offers one packet.
fn offer(sender: &mut dyn PacketSender, destination: IpAddr) -> SendProgress {
    let mut batch = PacketBatch::default();
    push(&mut batch, destination);
    sender.send(&batch, 0).unwrap()
}

const TAKEN: SendProgress = SendProgress {
    taken: 1,
    stopped: None,
};

/// What the first `most` absent hosts come to, each offered `copies` packets at a time: how many packets were taken before one was
/// held back, and why.
fn until_crowded(
    sender: &mut dyn PacketSender,
    ipv6: bool,
    hosts: u16,
    copies: usize,
) -> (usize, Option<UnsentReason>) {
    let mut taken = 0;
    for nth in 0..hosts {
        for _ in 0..copies {
            match offer(sender, absent(ipv6, nth)).stopped {
                None => taken += 1,
                Some(Stopped::Crowded(reason)) => return (taken, Some(reason)),
                other => panic!("after {taken}: {other:?}"),
            }
        }
    }
    (taken, None)
}

/// The size of this machine's table, which all of its namespaces share; only the first of them shows it.
fn table_size(ipv6: bool) -> u16 {
    let version = if ipv6 { "ipv6" } else { "ipv4" };
    let path = format!("/proc/sys/net/{version}/neigh/default/gc_thresh3");
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1_024)
}

pub fn table_full() -> Outcome {
    let sizes = [table_size(false), table_size(true)];
    let _link = furnish()?;
    for ipv6 in [false, true] {
        let size = sizes[usize::from(ipv6)];
        if size > 20_000 {
            return Err(Ignored(format!(
                "gc_thresh3 is {size}: more hosts than this test has"
            )));
        }
        for (name, mut sender) in senders() {
            let (taken, reason) = until_crowded(&mut *sender, ipv6, 3 * size, 1);
            assert_eq!(
                reason,
                Some(UnsentReason::NeighbourTableFull),
                "{name} {ipv6}: after {taken}"
            );
            assert!(taken <= usize::from(size), "{name} {ipv6}: {taken}");
            // In one batch with others: those in front and behind are taken.
            let mut batch = PacketBatch::default();
            for destination in [routed(ipv6), absent(ipv6, 30_000), routed(ipv6)] {
                push(&mut batch, destination);
            }
            let progress = sender.send(&batch, 0).unwrap();
            let crowded = Stopped::Crowded(UnsentReason::NeighbourTableFull);
            assert_eq!(
                progress,
                SendProgress {
                    taken: 1,
                    stopped: Some(crowded)
                }
            );
            assert_eq!(sender.send(&batch, 2).unwrap(), TAKEN, "{name} {ipv6}");
            // Nor is a gateway that the kernel has forgotten, as it does in a crowd.
            let gateway = if ipv6 { "fd99::2" } else { "10.99.0.2" };
            ip(&[&format!("neigh del {gateway} dev near0")])?;
            assert_eq!(offer(&mut *sender, routed(ipv6)), TAKEN, "{name} {ipv6}");
            ip(&[&format!(
                "neigh replace {gateway} lladdr 02:00:00:00:00:02 dev near0"
            )])?;
            // A host that is known needs no new place.
            let known = format!(
                "neigh replace {} lladdr 02:00:00:00:00:03 dev near0",
                absent(ipv6, 30_001)
            );
            ip(&[&known])?;
            let host = absent(ipv6, 30_001);
            assert_eq!(offer(&mut *sender, host), TAKEN, "{name} {ipv6}");
        }
    }
    Ok(())
}

pub fn buffer_full() -> Outcome {
    let _link = furnish()?;
    for ipv6 in [false, true] {
        for (name, mut sender) in senders() {
            // Few hosts, so that the table is not what is full; the kernel keeps some 250 packets for each.
            let (taken, reason) = until_crowded(&mut *sender, ipv6, 400, 200);
            assert_eq!(
                reason,
                Some(UnsentReason::NeighbourQueueFull),
                "{name} {ipv6}: after {taken}"
            );
            assert!(taken > 50, "{name} {ipv6}: {taken}");
            for _ in 0..50 {
                assert_eq!(offer(&mut *sender, routed(ipv6)), TAKEN, "{name} {ipv6}");
            }
            let progress = offer(&mut *sender, absent(ipv6, 500));
            let crowded = Stopped::Crowded(UnsentReason::NeighbourQueueFull);
            assert_eq!(progress.stopped, Some(crowded), "{name} {ipv6}");
        }
    }
    Ok(())
}

/// A device that takes a packet now and then: its queue fills, and that is told as such.
pub fn device_full() -> Outcome {
    let _link = furnish()?;
    let limited = Command::new("tc")
        .args("qdisc add dev near0 root tbf rate 1kbit burst 2kb limit 3000".split(' '))
        .output();
    match limited {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Ignored(format!("tc cannot limit a device: {told}")));
        }
        Err(error) => return Err(Ignored(format!("tc cannot be run: {error}"))),
    }
    for ipv6 in [false, true] {
        for (name, mut sender) in senders() {
            let stopped = (0..200).find_map(|_| offer(&mut *sender, routed(ipv6)).stopped);
            assert_eq!(stopped, Some(Stopped::Full), "{name} {ipv6}");
            // Nor are hosts on the link that are being asked for.
            let host = absent(ipv6, 1);
            let stopped = offer(&mut *sender, host).stopped;
            assert!(
                matches!(stopped, None | Some(Stopped::Full)),
                "{name} {ipv6}: {stopped:?}"
            );
        }
    }
    Ok(())
}
