//! The filters in the kernel: a datagram socket of the machine's own takes filters, too, and passes on what they let through.

use std::os::unix::net::UnixDatagram;

use socket2::SockRef;

use super::*;

const PORTS: RangeInclusive<u16> = 24_000..=24_003;

/// What the kernel makes of a program.
struct Filtered {
    to: UnixDatagram,
    behind: UnixDatagram,
}

impl Filtered {
    fn new(program: &[SockFilter]) -> Self {
        let (to, behind) = UnixDatagram::pair().unwrap();
        SockRef::from(&behind).attach_filter(program).unwrap();
        behind.set_nonblocking(true).unwrap();
        Filtered { to, behind }
    }

    /// Whether the packet passes, which it then does whole.
    fn passes(&self, packet: &[u8]) -> bool {
        self.to.send(packet).unwrap();
        let mut bytes = [0; 4096];
        match self.behind.recv(&mut bytes) {
            Ok(size) => {
                assert_eq!(&bytes[..size], packet);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                false
            }
        }
    }
}

fn answers(protocol: Option<Protocol>) -> Answers {
    Answers {
        ipv4: true,
        ipv6: true,
        protocol,
        ports: PORTS,
    }
}

const RUNS: [Option<Protocol>; 4] = [
    None,
    Some(Protocol::Udp),
    Some(Protocol::Icmp),
    Some(Protocol::Tcp),
];

fn v4_filter(protocol: Option<Protocol>) -> Filtered {
    let answers = answers(protocol);
    let (types, segments) = (answers.icmpv4_types(), answers.segments());
    Filtered::new(&ipv4(&types, segments, &answers.ports))
}

fn v4(protocol: u8, place: u16, options: usize, carried: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45 + options as u8, 0, 0, 0, 0, 7];
    packet.extend(place.to_be_bytes());
    packet.extend([60, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(vec![1; options * 4]);
    packet.extend(carried);
    packet
}

/// `chain` are extension headers: their numbers and bytes, whose first is filled in.
fn v6(chain: &[(u8, Vec<u8>)], protocol: u8, carried: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = chain.iter().map(|it| it.0).chain([protocol]).collect();
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, numbers[0], 60];
    packet.extend([0x20; 32]);
    for ((_, header), next) in chain.iter().zip(&numbers[1..]) {
        packet.push(*next);
        packet.extend(&header[1..]);
    }
    packet.extend(carried);
    packet
}

/// Each extension header with lengths that it may have.
fn headers() -> Vec<(u8, Vec<u8>)> {
    let sized = |number, length: u8, size: usize| {
        let mut header = vec![0, length];
        header.resize(size, 0);
        (number, header)
    };
    vec![
        sized(0, 0, 8),
        sized(0, 3, 32),
        sized(60, 0, 8),
        sized(60, 31, 256),
        sized(43, 2, 24),
        sized(51, 4, 24),
        sized(51, 1, 12),
        (44, vec![0, 0xff, 0, 0, 1, 2, 3, 4]),
        (44, vec![0, 0, 0, 1, 1, 2, 3, 4]),
    ]
}

/// What a target or router says: its protocol number, its start, and to which runs it may be an answer.
type Case = (u8, Vec<u8>, fn(Option<Protocol>) -> bool);

fn carried(v6: bool) -> Vec<Case> {
    let segment = |port: u16| [&[0, 80][..], &port.to_be_bytes(), &[0; 16]].concat();
    let message = |kind: u8| vec![kind, 0, 0, 0, 0, 0, 0, 0];
    let (icmp, error, echo, other) = match v6 {
        false => (1, 11, 0, 8),
        true => (58, 3, 129, 128),
    };
    vec![
        (icmp, message(error), |_| true),
        (icmp, message(echo), |run| run == Some(Protocol::Icmp)),
        (icmp, message(other), |_| false),
        (17, segment(24_000), |run| run == Some(Protocol::Udp)),
        (17, segment(24_003), |run| run == Some(Protocol::Udp)),
        (17, segment(24_004), |_| false),
        (17, segment(23_999), |_| false),
        (6, segment(24_001), |run| run == Some(Protocol::Tcp)),
        (6, segment(80), |_| false),
        (50, segment(24_001), |_| false),
        (59, Vec::new(), |_| false),
    ]
}

#[test]
fn answers_pass_in_ipv4_with_options_and_without() {
    for run in RUNS {
        let filter = v4_filter(run);
        for (protocol, bytes, wanted) in carried(false) {
            for options in [0, 1, 10] {
                for place in [0, 0x2000, 0x4000] {
                    let packet = v4(protocol, place, options, &bytes);
                    assert_eq!(filter.passes(&packet), wanted(run), "{run:?} {packet:?}");
                }
            }
        }
        assert!(!filter.passes(&v6(&[], 58, &[3, 0, 0, 0])));
    }
}

#[test]
fn answers_pass_in_ipv6_behind_any_chain_of_extension_headers() {
    let mut count = 0;
    let headers = headers();
    let mut chains: Vec<Vec<(u8, Vec<u8>)>> = vec![Vec::new()];
    for first in &headers {
        chains.push(vec![first.clone()]);
        for second in &headers {
            chains.push(vec![first.clone(), second.clone()]);
            for third in &headers {
                chains.push(vec![first.clone(), second.clone(), third.clone()]);
            }
        }
        chains.push(vec![first.clone(); MOST_HEADERS]);
    }
    for run in RUNS {
        let filter = Filtered::new(&ipv6(&answers(run)));
        for chain in &chains {
            for (protocol, bytes, wanted) in carried(true) {
                let packet = v6(chain, protocol, &bytes);
                assert_eq!(filter.passes(&packet), wanted(run), "{run:?} {packet:?}");
                count += 1;
            }
        }
        assert!(!filter.passes(&v4(1, 0, 0, &[11, 0, 0, 0])));
    }
    println!("{count} packets behind {} chains", chains.len());
}

#[test]
fn later_fragments_pass_with_the_protocols_that_may_answer() {
    let may = |run: Option<Protocol>, protocol: u8| match protocol {
        1 | 58 => true,
        17 => run == Some(Protocol::Udp),
        6 => run == Some(Protocol::Tcp),
        // A further extension header: the first fragment says what is behind it.
        60 => true,
        _ => false,
    };
    for run in RUNS {
        let filter = v4_filter(run);
        for protocol in [1, 6, 17, 50] {
            for place in [1, 0x2001, 0x1fff] {
                let packet = v4(protocol, place, 0, &[0; 8]);
                assert_eq!(filter.passes(&packet), may(run, protocol), "{packet:?}");
            }
        }
        let filter = Filtered::new(&ipv6(&answers(run)));
        let hop_by_hop = headers()[0].clone();
        for protocol in [58, 6, 17, 50, 60] {
            for place in [8_u16, 9, 0xfff8] {
                let [high, low] = place.to_be_bytes();
                let fragment = (44, vec![0, 0, high, low, 1, 2, 3, 4]);
                for chain in [vec![fragment.clone()], vec![hop_by_hop.clone(), fragment]] {
                    let packet = v6(&chain, protocol, &[0; 8]);
                    assert_eq!(filter.passes(&packet), may(run, protocol), "{packet:?}");
                }
            }
        }
    }
}

#[test]
fn behind_more_headers_than_are_walked_everything_passes_to_be_counted() {
    let filter = Filtered::new(&ipv6(&answers(None)));
    let chain = vec![headers()[2].clone(); MOST_HEADERS + 1];
    assert!(filter.passes(&v6(&chain, 50, &[0; 8])));
    assert!(!filter.passes(&v6(&chain[1..], 50, &[0; 8])));
}

#[test]
fn what_is_cut_behind_extension_headers_passes_to_be_counted() {
    let filter = Filtered::new(&ipv6(&answers(Some(Protocol::Tcp))));
    let headers = headers();
    for (protocol, passes) in [(58, true), (6, true), (17, false), (59, false)] {
        let whole = v6(&[headers[1].clone(), headers[6].clone()], protocol, &[3; 7]);
        // Within the first header, the second, and what they lead to.
        for size in [41, 47, 71, 72, 79] {
            assert!(filter.passes(&whole[..size]), "{protocol} {size}");
        }
        for size in 84..=whole.len() {
            assert_eq!(filter.passes(&whole[..size]), passes, "{protocol} {size}");
        }
        // A header that claims to reach behind the packet.
        let mut longer = whole.clone();
        longer[41] = 255;
        assert!(filter.passes(&longer), "{protocol}");
    }
    let without = v6(&[], 58, &[]);
    assert!(!filter.passes(&without));
}
