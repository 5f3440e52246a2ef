//! Our addresses: which of them probes may leave from, and which there are.

use std::net::IpAddr;
use std::time::Duration;

use pathsurvey::lab::driver::enter_namespace;
use pathsurvey::model::{Protocol, UnsentReason};
use pathsurvey::transport::raw::RawSender;
use pathsurvey::transport::{OwnAddresses, PacketSender};

use super::namespaces::{allowed, open_dgram};
use super::neighbours::ip;
use crate::support::Outcome;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Senders of every kind, opened now.
fn senders() -> Vec<Box<dyn PacketSender>> {
    let dgram = |protocol| open_dgram(protocol, 24_000, 1).sender;
    vec![
        Box::new(RawSender::open().unwrap()),
        dgram(Protocol::Udp),
        dgram(Protocol::Icmp),
    ]
}

pub fn link_local_only() -> Outcome {
    allowed(enter_namespace())?;
    ip(&[
        "link add near0 type veth peer name far0",
        "link set far0 addrgenmode none up",
        "link set near0 addrgenmode none up",
        "-6 route add default dev near0",
    ])?;
    let towards = address("2001:db8:1::1");
    let refused = Err(UnsentReason::NoSourceAddress);
    // Without any address of the interface, the loopback address is all there is.
    for mut sender in senders() {
        assert_eq!(sender.source_for(towards), refused);
        assert_eq!(sender.source_for(address("::1")), Ok(address("::1")));
    }
    ip(&["addr add fe80::99/64 dev near0 nodad"])?;
    for mut sender in senders() {
        assert_eq!(sender.source_for(towards), refused);
        // Not a matter of this address alone: those of private networks are no better reached.
        assert_eq!(sender.source_for(address("fd00::1")), refused);
    }
    ip(&["addr add fd99::1/64 dev near0 nodad"])?;
    for mut sender in senders() {
        assert_eq!(sender.source_for(towards), Ok(address("fd99::1")));
    }
    Ok(())
}

pub fn own_addresses() -> Outcome {
    allowed(enter_namespace())?;
    ip(&[
        "link add near0 type veth peer name far0",
        "link set near0 up",
        "addr add 10.99.0.1/16 dev near0",
    ])?;
    let mut own = OwnAddresses::open();
    let mut have = |text: &str| own.have(address(text));
    assert!(have("10.99.0.1") && have("127.0.0.1") && have("::1"));
    assert!(!have("10.99.0.2") && !have("fd99::1") && !have("192.0.2.9"));
    ip(&[
        "addr add fd99::1/64 dev near0 nodad",
        "addr add 192.0.2.9 peer 192.0.2.10/32 dev far0",
        "addr del 10.99.0.1/16 dev near0",
    ])?;
    // The tables are read again only when what was read is no longer fresh.
    std::thread::sleep(Duration::from_millis(200));
    // Of an address that leads to one other host, ours is the near one.
    assert!(have("fd99::1") && have("192.0.2.9") && !have("192.0.2.10"));
    assert!(!have("10.99.0.1"));
    Ok(())
}
