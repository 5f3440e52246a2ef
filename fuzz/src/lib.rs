//! What the fuzz targets do with arbitrary bytes: each function reads them as one reader of the program does, and panics
//! where what comes out cannot be.
//!
//! The fuzzer finds the bytes; `tests/corpus/` runs the same functions over those it has found before.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use pathsurvey::model::{
    Datagram, DiscardReason, EchoMessage, QuotedProbe, QuotedTransport, Reply, SentBySocket,
    SocketError, TargetId, Targets, Time,
};
use pathsurvey::targets::{Families, LoadReport, Loader, TargetError, TargetSet, TargetSpec};
use pathsurvey::wire::checksum::Sum;
use pathsurvey::wire::ip::Ends;
use pathsurvey::wire::{
    Reassembler, Taken, decode, decode_datagram, decode_echo, decode_error, extensions, quote,
};

/// Targets of a list that are looked at one by one.
const LOOKED_AT: u32 = 256;

/// A received packet, from its IP header on. Where only the ICMP checksum is in the way it is put right, so that what lies
/// behind it is reached.
pub fn reply(bytes: &[u8]) -> Result<Reply, DiscardReason> {
    let read = decode(bytes, Time::default());
    let read = match (&read, with_right_checksum(bytes)) {
        (Err(DiscardReason::BadChecksum), Some(repaired)) => {
            let read = decode(&repaired, Time::default());
            assert_ne!(read, Err(DiscardReason::BadChecksum));
            read
        }
        _ => read,
    };
    if let Ok(reply) = &read {
        check_reply(reply, bytes);
    }
    read
}

fn check_reply(reply: &Reply, bytes: &[u8]) {
    assert_eq!(reply.responder.is_ipv4(), bytes[0] >> 4 == 4);
    let size = reply.size.expect("every packet has a size") as usize;
    assert!(size <= bytes.len());
    assert!(reply.quoted.is_some() != reply.echoed.is_some());
    if let Some(quoted) = &reply.quoted {
        check_quote(quoted, size);
    }
    let structure = reply.icmp_extensions.as_deref().map_or(0, <[u8]>::len);
    assert!(reply.mpls.len() * 4 <= structure);
    assert!(reply.interface_info.len() * 4 <= structure);
}

/// The packet with the checksum that its ICMP message should have; `None` if there is no such message.
fn with_right_checksum(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| {
        Some(usize::from(u16::from_be_bytes([
            *bytes.get(at)?,
            *bytes.get(at + 1)?,
        ])))
    };
    let mut packet = bytes.to_vec();
    let (message, pseudo_header) = match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 0x0f) * 4;
            (packet.get_mut(header..word(2)?)?, Sum::default())
        }
        _ => {
            let address = |at: usize| Some(IpAddr::from(*bytes.get(at..)?.first_chunk::<16>()?));
            let ends = Ends::new(address(8)?, address(24)?)?;
            let end = 40 + word(4)?;
            let message = packet.get_mut(behind_extensions(bytes)?..end)?;
            let length = message.len();
            (
                message,
                ends.pseudo_header(pathsurvey::wire::ip::ICMPV6, length),
            )
        }
    };
    message.get_mut(2..4)?.fill(0);
    let checksum = pseudo_header.bytes(message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(packet)
}

/// Where the message of an IPv6 packet begins.
fn behind_extensions(bytes: &[u8]) -> Option<usize> {
    let (mut next, mut at) = (*bytes.get(6)?, 40);
    loop {
        let units = |least: usize| Some(usize::from(*bytes.get(at + 1)?) + least);
        let size = match next {
            0 | 43 | 60 => units(1)? * 8,
            44 => 8,
            51 => units(2)? * 4,
            _ => return Some(at),
        };
        next = *bytes.get(at)?;
        at += size;
    }
}

/// Packets one after another, each behind two bytes that say how long it is. Gives how many came out whole, as they were or put together.
pub fn fragments(bytes: &[u8]) -> usize {
    let mut fragments = Reassembler::default();
    let (mut rest, mut count, mut whole, mut at) = (bytes, 0, 0, 0);
    while let Some(([high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (packet, behind) = behind.split_at(length);
        rest = behind;
        count += 1;
        at += 1;
        if let Taken::Whole(read) = fragments.take(packet, Time::from_nanos(at * 100_000_000)) {
            whole += 1;
            assert!(read.len() <= packet.len() || read.len() <= 40 + 0xffff);
            let _ = reply(read);
            // Put together, it is no fragment of itself any more.
            if read != packet && read[0] >> 4 == 4 {
                assert_ne!(decode(read, Time::default()), Err(DiscardReason::Fragment));
            }
        }
    }
    fragments.give_up();
    let dropped = fragments.take_dropped().len();
    assert!(dropped + whole <= count);
    whole
}

/// A quoted packet, as either family and as what its first byte says.
pub fn quote(bytes: &[u8]) -> Result<QuotedProbe, DiscardReason> {
    let read = quote::parse(bytes);
    let families = [quote::parse_ipv4(bytes), quote::parse_ipv6(bytes)];
    for quoted in families.iter().chain([&read]).flatten() {
        check_quote(quoted, bytes.len());
    }
    read
}

fn check_quote(quoted: &QuotedProbe, at_most: usize) {
    assert!(
        quoted
            .quote_size
            .is_some_and(|size| usize::from(size) <= at_most)
    );
    assert!(quoted.ip_id.is_none() || quoted.flow_label.is_none());
    // What is read later in the packet is there only if all before it is.
    assert!(quoted.dst_port().is_none() || quoted.src_port().is_some());
    match &quoted.transport {
        QuotedTransport::Udp(udp) => {
            assert!(udp.length.is_none() || udp.dst_port.is_some());
            assert!(udp.checksum.is_none() || udp.length.is_some());
        }
        QuotedTransport::Echo(echo) => {
            assert!(echo.identifier.is_none() || echo.checksum.is_some());
            assert!(echo.sequence.is_none() || echo.identifier.is_some());
        }
        QuotedTransport::Tcp(tcp) => {
            assert!(tcp.sequence.is_none() || tcp.dst_port.is_some());
            assert!(tcp.checksum.is_none() || tcp.sequence.is_some());
        }
        QuotedTransport::Other(bytes) => assert!(bytes.len() <= at_most),
    }
    assert!(quoted.tag().is_none() || quoted.checksum().is_some());
    assert!(quoted.serial().is_none() || quoted.tag().is_some());
}

/// What a kernel tells an ordinary socket. The first byte says what: its lowest bit the family, the next whether of a ping socket, the
/// third whether it is an error; then type and code, two bytes for where extensions are said to begin (0: nowhere), and what
/// the kernel has left of the message.
pub fn socket(bytes: &[u8]) -> Result<Reply, DiscardReason> {
    let ([what, icmp_type, icmp_code, at @ ..], left) = bytes
        .split_first_chunk::<5>()
        .ok_or(DiscardReason::Truncated)?;
    let is = |bit: u8| what & bit != 0;
    let [router, target]: [IpAddr; 2] = match is(1) {
        false => [[203, 0, 113, 9].into(), [198, 51, 100, 1].into()],
        true => [
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, 9].into(),
            [0x2001, 0xdb8, 5, 0, 0, 0, 0, 1].into(),
        ],
    };
    let at = usize::from(u16::from_be_bytes(*at));
    let (ttl, tos) = (Some(61), None);
    let read = match (is(4), is(2)) {
        (true, echo) => decode_error(
            &SocketError {
                offender: router,
                icmp_type: *icmp_type,
                icmp_code: *icmp_code,
                destination: target,
                about: match echo {
                    true => SentBySocket::Echo,
                    false => SentBySocket::Datagram {
                        src_port: 24_000,
                        dst_port: 33_434,
                    },
                },
                returned: left,
                extensions_at: (at > 0).then_some(at),
                info: 1_400,
                ttl,
                tos,
            },
            Time::default(),
        ),
        (false, true) => decode_echo(
            &EchoMessage {
                source: target,
                message: left,
                ttl,
                tos,
            },
            Time::default(),
        ),
        (false, false) => Ok(decode_datagram(
            &Datagram {
                source: target,
                src_port: 33_434,
                dst_port: 24_000,
                payload: left,
                ttl,
                tos,
            },
            Time::default(),
        )),
    };
    if let Ok(reply) = &read {
        assert_eq!(reply.quoted.is_some(), is(4));
        assert_eq!(reply.echoed.is_some(), !is(4));
        assert_eq!(reply.responder, if is(4) { router } else { target });
        let structure = reply.icmp_extensions.as_deref().map_or(0, <[u8]>::len);
        assert!(structure <= left.len() && reply.mpls.len() * 4 <= structure);
        if let Some(quoted) = &reply.quoted {
            assert_eq!(quoted.destination, target);
            assert_eq!(quoted.src_port().is_some(), !is(2));
            // No header that the kernel has taken off.
            assert!(quoted.ttl.is_none() && quoted.ip_id.is_none() && quoted.quote_size.is_none());
            if let QuotedTransport::Echo(echo) = &quoted.transport {
                assert!(echo.sequence.is_none() || echo.identifier.is_some());
            }
            assert!(quoted.tag() != Some(0));
            assert!(quoted.serial().is_none() || quoted.tag().is_some());
        }
    }
    read
}

/// What follows the header of an ICMP error. The first byte is the length that the message announces for its quote, in
/// 32-bit words. Gives whether an extension structure was found.
pub fn extensions(bytes: &[u8]) -> bool {
    let Some((announced, body)) = bytes.split_first() else {
        return false;
    };
    let (quote, structure) = extensions::split(body, usize::from(*announced) * 4);
    assert!(body.starts_with(quote));
    if let Some(structure) = structure {
        assert!(body.ends_with(structure));
        assert_eq!(quote.len() + structure.len(), body.len());
    }
    // A structure is read as it is; the bytes as they are stand for one whose checksum the fuzzer did not hit.
    for structure in structure.into_iter().chain([body]) {
        let labels = extensions::mpls_stack(structure);
        assert!(labels.len() * 4 <= structure.len());
        assert!(
            labels
                .iter()
                .all(|entry| entry.label < 1 << 20 && entry.traffic_class < 8)
        );
        let interfaces = extensions::interface_info(structure);
        assert!(interfaces.len() * 4 <= structure.len());
        for name in interfaces
            .iter()
            .filter_map(|interface| interface.name.as_deref())
        {
            assert!(!name.is_empty() && name.len() < 255);
        }
    }
    structure.is_some()
}

/// A list of targets, plain or CSV, compressed or not; no name has an address.
pub fn targets(bytes: &[u8]) -> Result<LoadReport, TargetError> {
    let spec = TargetSpec {
        families: Families::Both,
        resolve_targets: Families::Both,
        allow_large: true,
        ..TargetSpec::default()
    };
    let nobody = |_: &str| -> io::Result<Vec<IpAddr>> { Err(io::ErrorKind::NotFound.into()) };
    let mut bad_lines = 0;
    let mut on_bad = |_: &_| bad_lines += 1;
    let mut loader = Loader::new(&spec, &nobody, &mut on_bad)?;
    loader.input(Path::new("list"), bytes)?;
    let (set, report) = loader.finish()?;
    assert_eq!(bad_lines, report.bad_lines);
    check_targets(&set, &report);
    Ok(report)
}

fn check_targets(set: &TargetSet, report: &LoadReport) {
    let LoadReport {
        inputs,
        accepted,
        bad_lines,
        other_family,
        ..
    } = *report;
    assert_eq!(inputs, accepted + bad_lines + other_family);
    // Every row has a line of its own.
    assert!(report.lines >= inputs);
    assert!(report.unused_labels <= accepted && report.host_bits <= accepted);
    let left_out = report.duplicates + report.special + report.blocked;
    assert_eq!(report.expanded, report.targets + left_out);
    assert_eq!(u64::from(set.len()), report.targets);
    let mut before = None;
    for id in (0..set.len())
        .take(LOOKED_AT as usize)
        .chain(set.len().checked_sub(1))
    {
        let address = set.address(TargetId(id));
        assert_eq!(address.is_ipv4(), id < set.ipv4_len());
        assert!(!(address.is_unspecified() || address.is_loopback() || address.is_multicast()));
        assert_ne!(
            before.replace(address).filter(|_| id + 1 < set.len()),
            Some(address)
        );
        let info = set.info(TargetId(id));
        assert!(!info.input.is_empty());
    }
}
