//! Kernel filters (classic BPF) for what answers probes: what they refuse costs a busy host next to nothing.
//!
//! IPv6 extension headers are walked in the kernel, too, by one copy of the same instructions for each header. To let in everything
//! that begins with an extension header would be simpler, but would put other programs' packets into the ring and the capture file.
//! A packet without extension headers meets one instruction more than without the walk, and one that is refused five more.
//!
//! Later fragments carry no transport header: they are let in if they belong to a packet of a protocol that may answer.

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

/// Lets through IPv4 packets to this host that are ICMP of one of `icmp_types`, or of the protocol `segments` to one of `ports`
/// (either may be empty), and later fragments of these protocols.
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

/// As [`ipv4`], for IPv6 packets. Behind more extension headers than are walked everything passes, for the reader to judge, and so
/// does what ends within or just behind an extension header.
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
    // The number is that of the header behind the fragment header, which may be a further extension header.
    let others = [DESTINATION, ROUTING, AUTHENTICATION, FRAGMENT].map(Some);
    program.pass_protocols(&[&[wanted.icmp, wanted.segments][..], &others].concat());
    program.assemble()
}

/// What a filter lets through.
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

/// A program under way.
#[derive(Default)]
struct Assembler {
    steps: Vec<Step>,
    /// Where each label stands.
    places: Vec<usize>,
}

impl Assembler {
    /// New labels, which stand nowhere as yet.
    fn labels<const N: usize>(&mut self) -> [Label; N] {
        let first = self.places.len();
        self.places.resize(first + N, 0);
        std::array::from_fn(|at| Label(first + at))
    }

    /// The next instruction is where `label` stands.
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

    /// Goes to `yes` if A passes the comparison, within 255 instructions.
    fn branch(&mut self, comparison: u32, operand: u32, yes: Label) {
        let code = libc::BPF_JMP | comparison | libc::BPF_K;
        self.push(code, operand, Some(yes), None);
    }

    /// Goes to `no` if A does not pass the comparison, within 255 instructions.
    fn branch_unless(&mut self, comparison: u32, operand: u32, no: Label) {
        let code = libc::BPF_JMP | comparison | libc::BPF_K;
        self.push(code, operand, None, Some(no));
    }

    /// Goes to `label`, however far.
    fn jump(&mut self, label: Label) {
        self.push(libc::BPF_JMP | libc::BPF_JA, 0, Some(label), None);
    }

    /// Lets the packet through, whole, or refuses it.
    fn end(&mut self, pass: bool) {
        let bytes = if pass { u32::MAX } else { 0 };
        self.op(libc::BPF_RET | libc::BPF_K, bytes);
    }

    /// Refuses what is not for this host and of the IP version `version`.
    fn only_to_this_host(&mut self, version: u32, refuse: Label) {
        let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
        self.op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, packet_type);
        self.branch_unless(IS, libc::PACKET_HOST.into(), refuse);
        self.op(BYTE_AT, 0);
        self.op(AND, 0xf0);
        self.branch_unless(IS, version, refuse);
    }

    /// Goes to the look at what A, a protocol number, is the number of.
    fn branch_on_protocol(&mut self, wanted: &Wanted<'_>, icmp: Label, segment: Label) {
        for (number, label) in [(wanted.segments, segment), (wanted.icmp, icmp)] {
            if let Some(number) = number {
                self.branch(IS, number.into(), label);
            }
        }
    }

    /// As [`branch_on_protocol`](Self::branch_on_protocol), however far.
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

    /// Goes to `label` if A is the number of an extension header.
    fn branch_on_extension(&mut self, label: Label) {
        for number in [HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION] {
            self.branch(IS, number.into(), label);
        }
    }

    /// Steps over the extension header at X, whose number is A: then X is the place of the next one, and A its number. Goes to
    /// `later` behind the header of a later fragment, A being the number of what was cut.
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

    /// Lets through a packet that has less than 8 bytes at X, the least that an extension header, a message or a segment has: to
    /// read behind the end would be to refuse it. A stays what it is.
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

    /// Looks at the message or segment at X, by its type or its destination port. With `passes_cut` one that is cut passes.
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

    /// Lets through what A is one of, and refuses the rest.
    fn pass_protocols(&mut self, numbers: &[Option<u8>]) {
        let [pass] = self.labels();
        for number in numbers.iter().flatten() {
            self.branch(IS, (*number).into(), pass);
        }
        self.end(false);
        self.place(pass);
        self.end(true);
    }

    /// Turns labels into distances: instructions in between.
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
