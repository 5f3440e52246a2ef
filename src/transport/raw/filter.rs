//! Kernel filters (classic BPF) for the packets that answer probes. A refused packet costs a busy host next to nothing.
//!
//! The filter walks IPv6 extension headers in the kernel, with one copy of the same instructions for each header. To accept every
//! packet with an extension header would be simpler, but would put other programs' packets into the ring and the capture file.
//! The walk costs one more instruction for a packet without extension headers, and five more for a refused packet.
//!
//! Fragments other than the first carry no transport header. They are accepted if their packet is of a protocol that may answer.

use std::ops::RangeInclusive;

use socket2::SockFilter;

use crate::model::Protocol;
use crate::model::ipv6::{
    AUTHENTICATION, DESTINATION, FRAGMENT, HOP_BY_HOP, MOST_HEADERS, ROUTING,
};

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
    /// The protocol of the probes. Echo replies, TCP segments or UDP datagrams are then received, too. `None`: ICMP errors only.
    pub protocol: Option<Protocol>,
    /// The source ports of the probes, if the protocol has ports.
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

const BYTE_AT: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const HALF_AT: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const BYTE_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
const HALF_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const ADD: u32 = libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K;
const ADD_X: u32 = libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X;
const SHIFT: u32 = libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K;
const A_IS: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_IMM;
const X_IS: u32 = libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM;
const X_FROM_A: u32 = libc::BPF_MISC | libc::BPF_TAX;
const X_BEHIND_HEADER: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const LENGTH: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_LEN;
const SUBTRACT: u32 = libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K;
const AT_LEAST_X: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_X;
const STORE: u32 = libc::BPF_ST;
const RECALL: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_MEM;
const IS: u32 = libc::BPF_JEQ;
const ANY_BIT: u32 = libc::BPF_JSET;
const AT_LEAST: u32 = libc::BPF_JGE;
const OVER: u32 = libc::BPF_JGT;

/// Accepts IPv4 packets to this host: ICMP of one of `icmp_types`, packets of the protocol `segments` to one of `ports`, and later
/// fragments of these protocols. Types or protocol may be absent.
pub(super) fn ipv4(
    icmp_types: &[u8],
    segments: Option<u8>,
    ports: &RangeInclusive<u16>,
) -> Vec<SockFilter> {
    let wanted = Wanted {
        icmp: (!icmp_types.is_empty()).then_some(libc::IPPROTO_ICMP as u8),
        icmp_types,
        segments,
        ports,
    };
    let mut program = Assembler::default();
    let [refuse, later, icmp, segment] = program.labels();
    program.only_to_this_host(0x40, refuse);
    program.op(HALF_AT, 6);
    program.branch(ANY_BIT, 0x1fff, later);
    program.op(X_BEHIND_HEADER, 0);
    program.op(BYTE_AT, 9);
    program.branch_on_protocol(&wanted, icmp, segment);
    program.place(refuse);
    program.end(false);
    program.look(&wanted, icmp, segment, false);
    program.place(later);
    program.op(BYTE_AT, 9);
    program.pass_protocols(&[wanted.icmp, wanted.segments]);
    program.assemble()
}

/// As [`ipv4`], for IPv6 packets. Also accepts packets with more extension headers than the filter walks, and packets that end
/// within or just after an extension header: the decoder decides about them.
pub(super) fn ipv6(answers: &Answers) -> Vec<SockFilter> {
    const HEADER: u32 = 40;
    let types = answers.icmpv6_types();
    let wanted = Wanted {
        icmp: Some(libc::IPPROTO_ICMPV6 as u8),
        icmp_types: &types,
        segments: answers.segments(),
        ports: &answers.ports,
    };
    let mut program = Assembler::default();
    let [refuse, later, icmp, segment, near_icmp, near_segment] = program.labels();
    let [mut header] = program.labels();
    program.only_to_this_host(0x60, refuse);
    program.op(X_IS, HEADER);
    program.op(BYTE_AT, 6);
    program.branch_on_protocol(&wanted, near_icmp, near_segment);
    program.branch_on_extension(header);
    program.place(refuse);
    program.end(false);
    program.look(&wanted, near_icmp, near_segment, false);
    for _ in 0..MOST_HEADERS {
        program.place(header);
        program.pass_what_is_cut();
        program.walk_header(later);
        program.far_branch_on_protocol(&wanted, icmp, segment);
        [header] = program.labels();
        program.branch_on_extension(header);
        program.end(false);
    }
    program.place(header);
    program.end(true);
    program.look(&wanted, icmp, segment, true);
    program.place(later);
    // The number is of the header after the fragment header, which may be another extension header.
    let others = [DESTINATION, ROUTING, AUTHENTICATION, FRAGMENT].map(Some);
    program.pass_protocols(&[&[wanted.icmp, wanted.segments][..], &others].concat());
    program.assemble()
}

/// What a filter accepts.
struct Wanted<'a> {
    icmp: Option<u8>,
    icmp_types: &'a [u8],
    segments: Option<u8>,
    ports: &'a RangeInclusive<u16>,
}

/// A place in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label(usize);

/// An instruction. Jumps go to labels further down; `None` is the next instruction.
struct Step {
    code: u32,
    operand: u32,
    yes: Option<Label>,
    no: Option<Label>,
}

/// A program that is being assembled.
#[derive(Default)]
struct Assembler {
    steps: Vec<Step>,
    /// The place of each label.
    places: Vec<usize>,
}

impl Assembler {
    /// Makes labels without a place.
    fn labels<const N: usize>(&mut self) -> [Label; N] {
        let first = self.places.len();
        self.places.resize(first + N, 0);
        std::array::from_fn(|at| Label(first + at))
    }

    /// Places `label` at the next instruction.
    fn place(&mut self, label: Label) {
        self.places[label.0] = self.steps.len();
    }

    fn push(&mut self, code: u32, operand: u32, yes: Option<Label>, no: Option<Label>) {
        self.steps.push(Step {
            code,
            operand,
            yes,
            no,
        });
    }

    fn op(&mut self, code: u32, operand: u32) {
        self.push(code, operand, None, None);
    }

    /// Jumps to `yes` if A passes the comparison; at most 255 instructions far.
    fn branch(&mut self, comparison: u32, operand: u32, yes: Label) {
        let code = libc::BPF_JMP | comparison | libc::BPF_K;
        self.push(code, operand, Some(yes), None);
    }

    /// Jumps to `no` if A does not pass the comparison; at most 255 instructions far.
    fn branch_unless(&mut self, comparison: u32, operand: u32, no: Label) {
        let code = libc::BPF_JMP | comparison | libc::BPF_K;
        self.push(code, operand, None, Some(no));
    }

    /// Jumps to `label`, at any distance.
    fn jump(&mut self, label: Label) {
        self.push(libc::BPF_JMP | libc::BPF_JA, 0, Some(label), None);
    }

    /// Accepts the whole packet, or refuses it.
    fn end(&mut self, pass: bool) {
        let bytes = if pass { u32::MAX } else { 0 };
        self.op(libc::BPF_RET | libc::BPF_K, bytes);
    }

    /// Refuses a packet that is not for this host or not of the IP version `version`.
    fn only_to_this_host(&mut self, version: u32, refuse: Label) {
        let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
        self.op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, packet_type);
        self.branch_unless(IS, libc::PACKET_HOST.into(), refuse);
        self.op(BYTE_AT, 0);
        self.op(AND, 0xf0);
        self.branch_unless(IS, version, refuse);
    }

    /// Jumps to the check of the protocol whose number is A.
    fn branch_on_protocol(&mut self, wanted: &Wanted<'_>, icmp: Label, segment: Label) {
        for (number, label) in [(wanted.segments, segment), (wanted.icmp, icmp)] {
            if let Some(number) = number {
                self.branch(IS, number.into(), label);
            }
        }
    }

    /// As [`branch_on_protocol`](Self::branch_on_protocol), at any distance.
    fn far_branch_on_protocol(&mut self, wanted: &Wanted<'_>, icmp: Label, segment: Label) {
        for (number, label) in [(wanted.segments, segment), (wanted.icmp, icmp)] {
            if let Some(number) = number {
                let [other] = self.labels();
                self.branch_unless(IS, number.into(), other);
                self.jump(label);
                self.place(other);
            }
        }
    }

    /// Jumps to `label` if A is the number of an extension header.
    fn branch_on_extension(&mut self, label: Label) {
        for number in [HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION] {
            self.branch(IS, number.into(), label);
        }
    }

    /// Skips the extension header at X, whose number is A. Then X is the offset of the next header, and A its number. For a
    /// fragment other than the first, jumps to `later`, with the number of the fragmented header in A.
    fn walk_header(&mut self, later: Label) {
        const NEXT: u32 = 0;
        let [authentication, fragment, first, step] = self.labels();
        self.branch(IS, AUTHENTICATION.into(), authentication);
        self.branch(IS, FRAGMENT.into(), fragment);
        for (label, least, unit) in [(None, 1, 3), (Some(authentication), 2, 2)] {
            if let Some(label) = label {
                self.place(label);
            }
            self.op(BYTE_BEHIND_X, 0);
            self.op(STORE, NEXT);
            self.op(BYTE_BEHIND_X, 1);
            self.op(ADD, least);
            self.op(SHIFT, unit);
            self.jump(step);
        }
        self.place(fragment);
        self.op(HALF_BEHIND_X, 2);
        self.op(AND, 0xfff8);
        self.branch(IS, 0, first);
        self.op(BYTE_BEHIND_X, 0);
        self.jump(later);
        self.place(first);
        self.op(BYTE_BEHIND_X, 0);
        self.op(STORE, NEXT);
        self.op(A_IS, 8);
        self.place(step);
        self.op(ADD_X, 0);
        self.op(X_FROM_A, 0);
        self.op(RECALL, NEXT);
    }

    /// Accepts a packet with less than 8 bytes at X, the smallest size of an extension header, a message or a segment. (The kernel
    /// refuses a packet if the program reads beyond its end.) Keeps A.
    fn pass_what_is_cut(&mut self) {
        const NUMBER: u32 = 1;
        let [whole] = self.labels();
        self.op(STORE, NUMBER);
        self.op(LENGTH, 0);
        self.op(SUBTRACT, 8);
        self.push(AT_LEAST_X, 0, Some(whole), None);
        self.end(true);
        self.place(whole);
        self.op(RECALL, NUMBER);
    }

    /// Checks the type of the ICMP message, or the destination port of the segment, at X. With `passes_cut` accepts truncated ones.
    fn look(&mut self, wanted: &Wanted<'_>, icmp: Label, segment: Label, passes_cut: bool) {
        let [pass] = self.labels();
        self.place(icmp);
        if passes_cut {
            self.pass_what_is_cut();
        }
        self.op(BYTE_BEHIND_X, 0);
        for kind in wanted.icmp_types {
            self.branch(IS, (*kind).into(), pass);
        }
        self.end(false);
        self.place(segment);
        if passes_cut {
            self.pass_what_is_cut();
        }
        let (first, last) = (*wanted.ports.start(), *wanted.ports.end());
        let [outside] = self.labels();
        self.op(HALF_BEHIND_X, 2);
        self.branch_unless(AT_LEAST, first.into(), outside);
        self.branch(OVER, last.into(), outside);
        self.place(pass);
        self.end(true);
        self.place(outside);
        self.end(false);
    }

    /// Accepts a packet if A is one of `numbers`, and refuses it otherwise.
    fn pass_protocols(&mut self, numbers: &[Option<u8>]) {
        let [pass] = self.labels();
        for number in numbers.iter().flatten() {
            self.branch(IS, (*number).into(), pass);
        }
        self.end(false);
        self.place(pass);
        self.end(true);
    }

    /// Replaces labels by distances, counted in instructions.
    fn assemble(self) -> Vec<SockFilter> {
        let distance = |from: usize, to: Option<Label>| match to {
            Some(label) => self.places[label.0] - from - 1,
            None => 0,
        };
        let instructions = self.steps.iter().enumerate().map(|(at, step)| {
            let (yes, no) = (distance(at, step.yes), distance(at, step.no));
            if step.code == libc::BPF_JMP | libc::BPF_JA {
                return SockFilter::new(step.code as u16, 0, 0, yes as u32);
            }
            debug_assert!(
                yes.max(no) <= 255,
                "a branch of {} instructions",
                yes.max(no)
            );
            SockFilter::new(step.code as u16, yes as u8, no as u8, step.operand)
        });
        instructions.collect()
    }
}

#[cfg(test)]
mod tests;
