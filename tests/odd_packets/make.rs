//! Makes packets from the RFCs' pictures. Checksums are reckoned here, 16 bits at a time.

/// A quoted probe or an answer: what is put in, and what must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Udp,
    Echo,
    Tcp,
}

pub const PROTOCOLS: [Carried; 3] = [Carried::Udp, Carried::Echo, Carried::Tcp];

pub const OUR_PORT: u16 = 24_001;
pub const THEIR_PORT: u16 = 33_435;
pub const IDENTIFIER: u16 = 0x5dc1;
pub const SEQUENCE: u16 = 0x0311;
pub const TCP_SEQUENCE: u32 = 0xa1b2_c3d4;
pub const ACKNOWLEDGEMENT: u32 = 0x1122_3344;
pub const TAG: u64 = 0x0102_0304_0506_0708;
pub const SERIAL: u16 = 0xfeed;
/// Of the transport header of a probe: whatever it is, it comes back.
pub const PROBE_CHECKSUM: u16 = 0x4321;

/// Addresses: the router or target that answers, the vantage point, the target.
pub const ROUTER6: [u8; 16] = *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09";
pub const HERE6: [u8; 16] = *b"\x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x01";
pub const TARGET6: [u8; 16] = *b"\x20\x01\x0d\xb8\0\x05\0\0\0\0\0\0\0\0\0\x07";
pub const ROUTER4: [u8; 4] = [203, 0, 113, 9];
pub const HERE4: [u8; 4] = [192, 0, 2, 1];
pub const TARGET4: [u8; 4] = [198, 51, 100, 7];

pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

pub fn marks() -> Vec<u8> {
    let mut marks = vec![0xaa, 0xbb];
    marks.extend(TAG.to_be_bytes());
    marks.extend(SERIAL.to_be_bytes());
    marks
}

/// Transport header and payload of a probe.
pub fn probe(carried: Carried, v6: bool, payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    match carried {
        Carried::Udp => {
            bytes.extend(OUR_PORT.to_be_bytes());
            bytes.extend(THEIR_PORT.to_be_bytes());
            bytes.extend((8 + payload as u16).to_be_bytes());
            bytes.extend(PROBE_CHECKSUM.to_be_bytes());
        }
        Carried::Echo => {
            bytes.extend([if v6 { 128 } else { 8 }, 0]);
            bytes.extend(PROBE_CHECKSUM.to_be_bytes());
            bytes.extend(IDENTIFIER.to_be_bytes());
            bytes.extend(SEQUENCE.to_be_bytes());
        }
        Carried::Tcp => {
            bytes.extend(OUR_PORT.to_be_bytes());
            bytes.extend(THEIR_PORT.to_be_bytes());
            bytes.extend(TCP_SEQUENCE.to_be_bytes());
            bytes.extend([0, 0, 0, 0, 0x50, 2, 0x20, 0]);
            bytes.extend(PROBE_CHECKSUM.to_be_bytes());
            bytes.extend([0, 0]);
            return bytes;
        }
    }
    let marks = marks();
    bytes.extend(&marks[..payload.min(marks.len())]);
    bytes.resize(8 + payload, 0);
    bytes
}

/// What a target itself answers: an echo reply, a reset, a datagram that repeats the payload.
pub fn answer(carried: Carried, v6: bool, payload: usize) -> Vec<u8> {
    let mut bytes = probe(carried, v6, payload);
    match carried {
        Carried::Udp => {
            bytes[..2].copy_from_slice(&THEIR_PORT.to_be_bytes());
            bytes[2..4].copy_from_slice(&OUR_PORT.to_be_bytes());
        }
        Carried::Echo => {
            bytes[..4].copy_from_slice(&[if v6 { 129 } else { 0 }, 0, 0, 0]);
            seal(&mut bytes, v6, &TARGET6);
        }
        Carried::Tcp => {
            bytes[..2].copy_from_slice(&THEIR_PORT.to_be_bytes());
            bytes[2..4].copy_from_slice(&OUR_PORT.to_be_bytes());
            bytes[4..8].copy_from_slice(&[0; 4]);
            bytes[8..12].copy_from_slice(&ACKNOWLEDGEMENT.to_be_bytes());
            bytes[13] = 0x14;
        }
    }
    bytes
}

/// An ICMP error's message around `body`; `rest` are the four bytes behind the checksum.
pub fn error(v6: bool, code: [u8; 2], rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![code[0], code[1], 0, 0];
    bytes.extend(rest);
    bytes.extend(body);
    seal(&mut bytes, v6, &ROUTER6);
    bytes
}

/// Writes an ICMP message's checksum.
fn seal(bytes: &mut [u8], v6: bool, source: &[u8; 16]) {
    let mut covered = Vec::new();
    if v6 {
        covered.extend(source);
        covered.extend(HERE6);
        covered.extend((bytes.len() as u32).to_be_bytes());
        covered.extend([0, 0, 0, 58]);
    }
    covered.extend(&*bytes);
    let sum = checksum(&covered);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
}

pub fn number(carried: Carried, v6: bool) -> u8 {
    match carried {
        Carried::Udp => 17,
        Carried::Tcp => 6,
        Carried::Echo if v6 => 58,
        Carried::Echo => 1,
    }
}

/// An IPv6 packet with traffic class 0xb8 and flow label 0x12345; `chain` are the numbers of its extension headers.
pub fn ipv6(
    source: [u8; 16],
    destination: [u8; 16],
    hop_limit: u8,
    chain: &[Header],
    protocol: u8,
    carried: &[u8],
) -> Vec<u8> {
    let mut behind = Vec::new();
    for (at, header) in chain.iter().enumerate() {
        let next = chain.get(at + 1).map_or(protocol, |next| next.number);
        behind.extend(header.bytes(next));
    }
    behind.extend(carried);
    let mut packet = vec![0x6b, 0x81, 0x23, 0x45];
    packet.extend((behind.len() as u16).to_be_bytes());
    packet.push(chain.first().map_or(protocol, |first| first.number));
    packet.push(hop_limit);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(behind);
    packet
}

/// An IPv4 packet with identification 0xabcd; `options` are padded to whole words.
pub fn ipv4(
    source: [u8; 4],
    destination: [u8; 4],
    ttl: u8,
    options: &[u8],
    protocol: u8,
    carried: &[u8],
) -> Vec<u8> {
    let words = options.len().div_ceil(4);
    let header = 20 + words * 4;
    let mut packet = vec![0x45 + words as u8, 0xb8];
    packet.extend(((header + carried.len()) as u16).to_be_bytes());
    packet.extend([0xab, 0xcd, 0, 0, ttl, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(options);
    packet.resize(header, 0);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(carried);
    packet
}

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub number: u8,
    /// Units of its length beyond the least.
    pub longer: u8,
}

impl Header {
    pub fn bytes(self, next: u8) -> Vec<u8> {
        let long = usize::from(self.longer);
        match self.number {
            // Fragment: whole, with an identification.
            44 => vec![next, 0, 0, 0, 9, 9, 9, 9],
            // Authentication: 24 bytes, in units of 4, two of which do not count.
            51 => sized(next, 4 + 2 * self.longer, 24 + long * 8, 0x77),
            // Routing: no segments left.
            43 => {
                let mut header = sized(next, 2 + self.longer, 24 + long * 8, 0x20);
                header[2..4].copy_from_slice(&[0, 0]);
                header
            }
            // Options: PadN over all of it.
            _ => {
                let size = 8 + long * 8;
                let mut header = sized(next, self.longer, size, 0);
                header[2..4].copy_from_slice(&[1, size as u8 - 4]);
                header
            }
        }
    }

    pub fn size(self) -> usize {
        self.bytes(0).len()
    }
}

fn sized(next: u8, length: u8, size: usize, filler: u8) -> Vec<u8> {
    let mut header = vec![next, length];
    header.resize(size, filler);
    header
}

/// Every sequence without repetition of hop-by-hop (first only), destination options, routing, fragment and authentication headers, and
/// each of them with destination options once more at its end; each with short headers and with long ones.
pub fn chains() -> Vec<Vec<Header>> {
    let mut orders = vec![Vec::new()];
    let mut at = 0;
    while at < orders.len() {
        let order: Vec<u8> = orders[at].clone();
        for number in [0, 60, 43, 44, 51] {
            if !order.contains(&number) && (number != 0 || order.is_empty()) {
                orders.push([&order[..], &[number]].concat());
            }
        }
        at += 1;
    }
    let again: Vec<Vec<u8>> = orders
        .iter()
        .filter(|order| order.contains(&60) && order.last() != Some(&60))
        .map(|order| [&order[..], &[60]].concat())
        .collect();
    orders.extend(again);
    let mut chains = Vec::new();
    for order in orders {
        for longer in [0, 3] {
            let chain = order.iter().map(|number| Header {
                number: *number,
                longer,
            });
            chains.push(chain.collect());
        }
    }
    chains
}

/// IPv4 options: none, routers' alert, record route, timestamp, an end with anything behind it, one of unknown kind, an impossible length,
/// as many as there may be.
pub fn options() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0x94, 4, 0, 0],
        vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x44, 12, 5, 0, 1, 2, 3, 4, 0, 0, 0, 0],
        vec![0, 0xff, 0xff, 0xff],
        vec![0x9e, 8, 1, 2, 3, 4, 5, 6],
        vec![7, 0, 4, 1],
        vec![1; 40],
    ]
}

/// Cuts an IPv6 packet behind its first `kept` bytes of extension headers into pieces of `size` bytes.
pub fn cut_ipv6(packet: &[u8], kept: &[Header], size: usize) -> Vec<Vec<u8>> {
    let before: usize = 40 + kept.iter().map(|header| header.size()).sum::<usize>();
    let named_at = match kept.last() {
        Some(last) => before - last.size(),
        None => 6,
    };
    let next = packet[named_at];
    let data = &packet[before..];
    (0..data.len())
        .step_by(size)
        .map(|from| {
            let until = data.len().min(from + size);
            let more = u16::from(until < data.len());
            let mut piece = packet[..before].to_vec();
            piece[named_at] = 44;
            piece.extend([next, 0]);
            piece.extend((from as u16 | more).to_be_bytes());
            piece.extend([0xde, 0xad, 0xbe, 0xef]);
            piece.extend(&data[from..until]);
            let length = (piece.len() - 40) as u16;
            piece[4..6].copy_from_slice(&length.to_be_bytes());
            piece
        })
        .collect()
}

/// Cuts an IPv4 packet into pieces of `size` bytes. Only the first has the options.
pub fn cut_ipv4(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let header = usize::from(packet[0] & 15) * 4;
    let data = &packet[header..];
    (0..data.len())
        .step_by(size)
        .map(|from| {
            let until = data.len().min(from + size);
            let more = if until < data.len() { 0x2000 } else { 0 };
            let mut piece = packet[..if from == 0 { header } else { 20 }].to_vec();
            piece[0] = 0x40 | (piece.len() / 4) as u8;
            let length = (piece.len() + until - from) as u16;
            piece[2..4].copy_from_slice(&length.to_be_bytes());
            piece[6..8].copy_from_slice(&(more | (from / 8) as u16).to_be_bytes());
            piece[10..12].fill(0);
            let sum = checksum(&piece);
            piece[10..12].copy_from_slice(&sum.to_be_bytes());
            piece.extend(&data[from..until]);
            piece
        })
        .collect()
}
