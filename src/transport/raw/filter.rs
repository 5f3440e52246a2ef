//! Kernel filters (classic BPF) for what answers probes: what they refuse costs a busy host next to nothing.

use std::ops::RangeInclusive;

use socket2::SockFilter;

use crate::model::Protocol;

/// ICMPv4 errors that answer probes: destination unreachable, time exceeded, parameter problem.
const ERRORS_V4: [u8; 3] = [3, 11, 12];
const ECHO_REPLY_V4: u8 = 0;
/// ICMPv6 errors: destination unreachable, packet too big, time exceeded, parameter problem.
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];
const ECHO_REPLY_V6: u8 = 129;

/// Which packets answer the probes of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Whether there are IPv4 probes.
    pub ipv4: bool,
    /// Whether there are IPv6 probes.
    pub ipv6: bool,
    /// What probes are, where more than ICMP errors is to be heard: echo replies, segments and datagrams answer those of their kind.
    pub protocol: Option<Protocol>,
    /// The source ports of the probes, where the protocol has any.
    pub ports: RangeInclusive<u16>,
}

impl Answers {
    /// ICMPv4 errors alone.
    pub const fn errors() -> Self {
        Answers {
            ipv4: true,
            ipv6: false,
            protocol: None,
            ports: 0..=0,
        }
    }

    /// The IP protocol number of answers that are not ICMP.
    pub(super) fn segments(&self) -> Option<u8> {
        match self.protocol {
            Some(Protocol::Udp) => Some(libc::IPPROTO_UDP as u8),
            Some(Protocol::Tcp) => Some(libc::IPPROTO_TCP as u8),
            Some(Protocol::Icmp) | None => None,
        }
    }

    /// The ICMPv4 types wanted.
    pub(super) fn icmpv4_types(&self) -> Vec<u8> {
        with_reply(&ERRORS_V4, ECHO_REPLY_V4, self.protocol)
    }

    fn icmpv6_types(&self) -> Vec<u8> {
        with_reply(&ERRORS_V6, ECHO_REPLY_V6, self.protocol)
    }
}

fn with_reply(errors: &[u8], reply: u8, protocol: Option<Protocol>) -> Vec<u8> {
    let mut types = errors.to_vec();
    if protocol == Some(Protocol::Icmp) {
        types.push(reply);
    }
    types
}

/// Where a jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Next,
    Segment,
    Accept,
    Refuse,
}

/// An instruction whose jumps are still names.
struct Step {
    code: u32,
    operand: u32,
    yes: Target,
    no: Target,
}

const fn load(code: u32, operand: u32) -> Step {
    Step {
        code,
        operand,
        yes: Target::Next,
        no: Target::Next,
    }
}

const fn test(code: u32, operand: u32, yes: Target, no: Target) -> Step {
    Step {
        code: libc::BPF_JMP | code | libc::BPF_K,
        operand,
        yes,
        no,
    }
}

const BYTE_AT: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const HALF_AT: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const BYTE_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
const HALF_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const IS: u32 = libc::BPF_JEQ;

/// Lets through IPv4 packets (whole ones or first fragments) to this host that are ICMP of one of `icmp_types`, or of the
/// protocol `segments` to one of `ports`. Either may be empty.
pub(super) fn ipv4(
    icmp_types: &[u8],
    segments: Option<u8>,
    ports: &RangeInclusive<u16>,
) -> Vec<SockFilter> {
    let mut steps = to_this_host();
    steps.extend([
        load(BYTE_AT, 0),
        load(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0xf0),
        test(IS, 0x40, Target::Next, Target::Refuse),
        load(HALF_AT, 6),
        test(libc::BPF_JSET, 0x1fff, Target::Refuse, Target::Next),
        load(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0),
        load(BYTE_AT, 9),
    ]);
    let branches = Branches {
        icmp: libc::IPPROTO_ICMP as u32,
        icmp_types,
        icmp_type: load(BYTE_BEHIND_X, 0),
        segments,
        destination_port: load(HALF_BEHIND_X, 2),
    };
    branches.finish(steps, ports)
}

/// As [`ipv4`], for IPv6 packets without extension headers.
pub(super) fn ipv6(answers: &Answers) -> Vec<SockFilter> {
    const HEADER: u32 = 40;
    let mut steps = to_this_host();
    steps.extend([
        load(BYTE_AT, 0),
        load(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0xf0),
        test(IS, 0x60, Target::Next, Target::Refuse),
        load(BYTE_AT, 6),
    ]);
    let branches = Branches {
        icmp: libc::IPPROTO_ICMPV6 as u32,
        icmp_types: &answers.icmpv6_types(),
        icmp_type: load(BYTE_AT, HEADER),
        segments: answers.segments(),
        destination_port: load(HALF_AT, HEADER + 2),
    };
    branches.finish(steps, &answers.ports)
}

fn to_this_host() -> Vec<Step> {
    let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    vec![
        load(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, packet_type),
        test(IS, libc::PACKET_HOST.into(), Target::Next, Target::Refuse),
    ]
}

/// What follows once the protocol number is loaded.
struct Branches<'a> {
    icmp: u32,
    icmp_types: &'a [u8],
    icmp_type: Step,
    segments: Option<u8>,
    destination_port: Step,
}

impl Branches<'_> {
    fn finish(self, mut steps: Vec<Step>, ports: &RangeInclusive<u16>) -> Vec<SockFilter> {
        if let Some(protocol) = self.segments {
            steps.push(test(IS, protocol.into(), Target::Segment, Target::Next));
        }
        steps.push(test(IS, self.icmp, Target::Next, Target::Refuse));
        steps.push(self.icmp_type);
        let (last, others) = match self.icmp_types.split_last() {
            Some((last, others)) => (Some(*last), others),
            None => (None, &[][..]),
        };
        for kind in others {
            steps.push(test(IS, (*kind).into(), Target::Accept, Target::Next));
        }
        // No type is 256: without types everything is refused here.
        let last = last.map_or(256, u32::from);
        steps.push(test(IS, last, Target::Accept, Target::Refuse));
        let segment = steps.len();
        if self.segments.is_some() {
            let (first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
            steps.push(self.destination_port);
            steps.push(test(libc::BPF_JGE, first, Target::Next, Target::Refuse));
            steps.push(test(libc::BPF_JGT, last, Target::Refuse, Target::Accept));
        }
        assemble(&steps, segment)
    }
}

/// Turns names into distances: steps in between. "Refuse" and "accept" are the last two instructions.
fn assemble(steps: &[Step], segment: usize) -> Vec<SockFilter> {
    let refuse = steps.len();
    let mut program: Vec<SockFilter> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let distance = |target: Target| {
                let to = match target {
                    Target::Next => at + 1,
                    Target::Segment => segment,
                    Target::Refuse => refuse,
                    Target::Accept => refuse + 1,
                };
                (to - at - 1) as u8
            };
            SockFilter::new(
                step.code as u16,
                distance(step.yes),
                distance(step.no),
                step.operand,
            )
        })
        .collect();
    let give = libc::BPF_RET | libc::BPF_K;
    program.push(SockFilter::new(give as u16, 0, 0, 0));
    program.push(SockFilter::new(give as u16, 0, 0, u32::MAX));
    program
}
