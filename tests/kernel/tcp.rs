//! The lab's TCP hosts and our own kernel: it connects, is refused, and resets what it knows nothing of.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pathsurvey::lab::driver::{LabHost, enter_namespace};
use pathsurvey::lab::{LabNetwork, LabStatistics};
use socket2::{Domain, Protocol, Socket, Type};

use super::namespaces::allowed;
use crate::support::{Ignored, Outcome};

/// Only a broken lab takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn connections() -> Outcome {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/labs/hosts.toml");
    let network = LabNetwork::from_file(file.as_ref()).unwrap();
    let vantage = network.vantage();
    let vantages = [IpAddr::from(vantage), network.vantage_v6().unwrap().into()];
    let network = Arc::new(Mutex::new(network));
    let namespace = allowed(enter_namespace())?;
    let host = allowed(LabHost::start(
        &namespace,
        Box::new(Arc::clone(&network)),
        vantage,
    ))?;
    if host.vantage_v6().is_none() {
        return Err(Ignored("this kernel has no IPv6".to_owned()));
    }
    let statistics = || network.lock().unwrap().statistics();
    for (source, web, prohibited) in [
        (vantages[0], "198.18.0.9", "198.18.2.9"),
        (vantages[1], "2001:db8:1000::9", "2001:db8:1002::9"),
    ] {
        let connect = |to: &str, port| {
            let to = SocketAddr::new(to.parse().unwrap(), port);
            TcpStream::connect_timeout(&to, PATIENCE)
        };
        drop(connect(web, 80).expect("an open port"));
        let refused = connect(web, 81).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let errno = connect(prohibited, 80).unwrap_err().raw_os_error();
        let expected = if source.is_ipv4() {
            libc::EHOSTUNREACH
        } else {
            libc::EACCES
        };
        assert_eq!(errno, Some(expected));
        // The host resets the connection when our kernel completes it.
        wait_until(&statistics, |now| now.half_open == 0);
        // A SYN that our kernel did not send: it resets the answer, and the host forgets.
        let before = statistics();
        send_raw(source, web.parse().unwrap());
        wait_until(&statistics, |now| now.absorbed == before.absorbed + 1);
        let after = statistics();
        assert_eq!(after.received, before.received + 2);
        assert_eq!((after.half_open, after.refused), (0, 0));
    }
    host.stop().unwrap();
    Ok(())
}

fn wait_until(statistics: &dyn Fn() -> LabStatistics, done: impl Fn(LabStatistics) -> bool) {
    let began = Instant::now();
    while !done(statistics()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", statistics());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a SYN to port 80 past our kernel's TCP.
fn send_raw(source: IpAddr, to: IpAddr) {
    let mut segment = vec![0; 20];
    segment[..4].copy_from_slice(&[0x5d, 0xc0, 0, 80]);
    segment[4..8].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
    segment[12..16].copy_from_slice(&[0x50, 2, 4, 0]);
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut summed = [octets(source), octets(to), vec![0, 6, 0, 20]].concat();
    summed.extend(&segment);
    let mut sum: u32 = summed
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    segment[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    // The kernel writes the IP header.
    let domain = Domain::for_address(SocketAddr::new(to, 0));
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::TCP)).unwrap();
    let sent = socket.send_to(&segment, &SocketAddr::new(to, 0).into());
    assert_eq!(sent.unwrap(), segment.len());
}
