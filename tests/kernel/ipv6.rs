//! IPv6 in the lab: both kinds of device, as ordinary sockets see it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use pathsurvey::lab::driver::{DeviceKind, LabHost, enter_namespace};
use pathsurvey::lab::{LabNetwork, Recording};

use super::namespaces::allowed;
use crate::support::{Ignored, Outcome};

/// More than the kernel keeps neighbours (net.ipv6.neigh.default.gc_thresh3 is 1,024).
const TARGETS: u16 = 1_500;

const NETWORK: &str = r#"
line = { delay_ms = 0.01 }
[[router]]
name = "only"
address = "10.0.0.1"
address6 = "2001:db8:f000::1"
[[target]]
prefix = "198.18.0.0/24"
at = "only"
unlimited = true
[[target]]
prefix = "2001:db8:1000::/48"
at = "only"
unlimited = true
"#;

pub fn over_tun() -> Outcome {
    every_target_answers(DeviceKind::Tun)
}

pub fn over_veth() -> Outcome {
    every_target_answers(DeviceKind::Veth)
}

/// Each of many targets says "port unreachable" to the first datagram, right after the start; and the network was given our
/// packets alone.
fn every_target_answers(kind: DeviceKind) -> Outcome {
    let network = LabNetwork::from_toml(NETWORK, "inline").unwrap();
    let vantage = network.vantage_v6().unwrap();
    let namespace = allowed(enter_namespace())?;
    let (recording, log) = Recording::new(network.clone());
    let host = allowed(LabHost::start_on(
        &namespace,
        Box::new(recording),
        network.vantage(),
        Some(kind),
    ))?;
    if host.vantage_v6().is_none() {
        return Err(Ignored("this kernel has no IPv6".to_owned()));
    }
    assert_eq!(host.vantage_v6(), Some(vantage));
    for number in 1..=TARGETS {
        let target = Ipv6Addr::new(0x2001, 0xdb8, 0x1000, 0, 0, 0, 0, number);
        let socket = UdpSocket::bind("[::]:0").unwrap();
        socket.connect((target, 33_434)).unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), vantage);
        assert!(refused(&socket), "{target}");
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .connect((Ipv4Addr::new(198, 18, 0, 1), 33_434))
        .unwrap();
    assert!(refused(&socket), "IPv4 works beside it");
    let counts = host.stop().unwrap();
    let probes = u64::from(TARGETS) + 1;
    assert_eq!((counts.read, counts.delivered), (probes, probes));
    assert_eq!(counts.device_dropped, Some(0));
    let seen = log.take();
    assert_eq!(seen.len() as u64, probes);
    assert!(seen.iter().all(|probe| probe.deliveries.len() == 1));
    Ok(())
}

/// Sends a datagram; whether the answer is that nobody listens.
fn refused(socket: &UdpSocket) -> bool {
    // Only a broken lab takes that long.
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    socket.send(b"anyone").unwrap();
    socket
        .recv(&mut [0; 64])
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
