//! Errors from ordinary sockets, whose quoted packets have no headers, against a ledger of live probes.

use std::net::IpAddr;

use super::tests::tokens;
use super::*;
use crate::engine::ledger::{AnswerMark, State};
use crate::model::{FlowId, Probe, ProbeId, Purpose, ReplyKind, TargetId, Time, Ttl};
use crate::transport::PacketBatch;
use crate::wire::echo::{self, Echo};
use crate::wire::token::MarkedFields;
use crate::wire::udp;

const FORMAT: ProbeFormat = ProbeFormat {
    quotes_with_headers: false,
    ..ProbeFormat::udp(2)
};

const ECHO: ProbeFormat = ProbeFormat {
    protocol: &Echo,
    ..FORMAT
};

const TARGET: &str = "198.51.100.1";

/// Probes to one target, and their bytes that such a quote holds: those behind the UDP header, or from the ICMP header on.
struct Live {
    format: ProbeFormat,
    tokens: TokenMaker,
    ledger: Ledger,
    payloads: Vec<Vec<u8>>,
}

impl Live {
    /// Sends one probe for each flow, TTL and state.
    fn of(probes: &[(u16, u8, State)]) -> Self {
        Self::with(FORMAT, probes)
    }

    fn with(format: ProbeFormat, probes: &[(u16, u8, State)]) -> Self {
        let tokens = tokens();
        let mut live = Live {
            format,
            tokens: tokens.clone(),
            ledger: Ledger::new(16, format.shows_ttl(), ProbeId(0)),
            payloads: Vec::new(),
        };
        for (number, (flow, ttl, state)) in probes.iter().enumerate() {
            let probe = Probe {
                target: TargetId(0),
                destination: address(TARGET),
                flow: FlowId(*flow),
                ttl: Ttl(*ttl),
                attempt: 1,
                purpose: Purpose::Trace,
                size: None,
                round: 0,
            };
            let serial = tokens.serial(number as u64);
            let drawn = tokens.marks(&MarkedFields {
                destination: probe.destination,
                src_port: format.src_port(probe.flow),
                dst_port: format.dst_port(probe.flow, probe.ttl),
                ttl: probe.ttl,
                serial,
                probe_id: live.ledger.next_id(),
            });
            let marked = crate::engine::format::Marked {
                source: address("192.0.2.1"),
                destination: probe.destination,
                flow: probe.flow,
                ttl: probe.ttl,
                serial,
                marks: format.marks(drawn, &tokens, probe.destination, probe.flow),
                flow_label: 0,
                size: None,
            };
            let id = live.ledger.add(probe, &marked, Time::default());
            live.ledger.get_mut(id).expect("just added").state = *state;
            let mut batch = PacketBatch::default();
            format.encode(&marked, &mut batch);
            let stripped = if format.protocol.has_ports() { 28 } else { 20 };
            live.payloads
                .push(batch.get(0).expect("a packet").1[stripped..].to_vec());
        }
        live
    }

    /// Returns the match for an error about a datagram of flow 0 to `destination`. `returned` is the quoted payload.
    fn find(&self, destination: &str, returned: &[u8]) -> Result<(u64, Evidence), DiscardReason> {
        self.find_from("203.0.113.9", destination, returned)
    }

    fn find_from(
        &self,
        responder: &str,
        destination: &str,
        returned: &[u8],
    ) -> Result<(u64, Evidence), DiscardReason> {
        let destination = address(destination);
        let quoted = match self.format.protocol.has_ports() {
            false => echo::quoted_to_socket(destination, returned),
            true => udp::quoted_to_socket(destination, 24_000, 33_434, returned),
        };
        let reply = Reply {
            quoted: Some(quoted),
            ..exceeded(responder)
        };
        let nat = NatLearner::default();
        find(&self.ledger, &self.format, &self.tokens, &nat, &reply)
            .result
            .map(|found| (found.probe.0, found.evidence))
    }

    /// Marks a probe as answered by `responder`.
    fn answered_by(&mut self, probe: u64, responder: &str) {
        let entry = self.ledger.get_mut(ProbeId(probe)).expect("live");
        entry.state = State::Answered;
        entry.answer = Some(AnswerMark::of(&exceeded(responder)));
    }
}

fn exceeded(responder: &str) -> Reply {
    Reply::bare(address(responder), Time::default(), ReplyKind::TimeExceeded)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn all_probes_have_one_size_and_the_payload_identifies_the_probe() {
    let live = Live::of(&[
        (0, 1, State::Waiting),
        (0, 2, State::Waiting),
        (0, 32, State::TimedOut),
    ]);
    for (number, payload) in live.payloads.iter().enumerate() {
        assert_eq!(payload.len(), live.payloads[0].len());
        let found = live.find(TARGET, payload);
        assert_eq!(found, Ok((number as u64, Evidence::Full)));
        // Padding or ICMP extensions may follow.
        let padded = [&payload[..], &[0; 100]].concat();
        assert_eq!(live.find(TARGET, &padded), found);
    }
}

#[test]
fn a_short_quote_is_matched_to_the_one_pending_probe() {
    for returned in [&[][..], &[0xab, 0xcd], &[0; 100]] {
        // Probes of another flow do not count. Probes that were answered, timed out or refused do not count.
        let live = Live::of(&[
            (0, 1, State::Answered),
            (0, 2, State::TimedOut),
            (0, 3, State::Waiting),
            (1, 3, State::Waiting),
            (0, 4, State::Refused),
        ]);
        assert_eq!(live.find(TARGET, returned), Ok((2, Evidence::Weak)));
        // A probe is pending before the kernel has reported its send time.
        let live = Live::of(&[(0, 2, State::TimedOut), (0, 3, State::Unstamped)]);
        assert_eq!(live.find(TARGET, returned), Ok((1, Evidence::Weak)));
        // No probe is pending: the reply is late.
        let live = Live::of(&[(0, 2, State::TimedOut), (0, 3, State::Answered)]);
        assert_eq!(live.find(TARGET, returned), Ok((0, Evidence::Weak)));
    }
}

#[test]
fn a_quote_that_ends_within_the_tag_is_a_short_one() {
    let live = Live::of(&[(0, 1, State::Waiting), (1, 1, State::Waiting)]);
    for kept in 0..10 {
        let mut cut = live.payloads[0].clone();
        cut[kept..].fill(0);
        assert_eq!(live.find(TARGET, &cut), Ok((0, Evidence::Weak)));
        // The quote holds a part of another tag.
        let mut other = live.payloads[1].clone();
        other[kept..].fill(0);
        let expected = match kept {
            0..=2 => Ok((0, Evidence::Weak)),
            _ => Err(DiscardReason::Forged),
        };
        assert_eq!(live.find(TARGET, &other), expected, "{kept} bytes");
    }
}

#[test]
fn a_short_quote_that_fits_several_probes_is_ambiguous() {
    for states in [
        [State::Waiting, State::Waiting],
        [State::Waiting, State::Unstamped],
        [State::TimedOut, State::TimedOut],
        // No probe is pending, and no probe timed out.
        [State::Answered, State::Refused],
    ] {
        let live = Live::of(&[(0, 1, states[0]), (0, 2, states[1])]);
        assert_eq!(live.find(TARGET, &[]), Err(DiscardReason::Ambiguous));
        // The payload still tells them apart.
        let found = live.find(TARGET, &live.payloads[1]);
        assert_eq!(found, Ok((1, Evidence::Full)));
    }
}

#[test]
fn a_quote_of_a_probe_that_was_not_sent_is_not_matched() {
    let live = Live::of(&[(0, 1, State::Waiting)]);
    let elsewhere = "198.51.100.2";
    assert_eq!(live.find(elsewhere, &[]), Err(DiscardReason::Unknown));
    // Other marks: they are forged, or from another run.
    let mut forged = live.payloads[0].clone();
    (forged[5], forged[11]) = (forged[5] ^ 1, forged[11] ^ 1);
    assert_eq!(live.find(TARGET, &forged), Err(DiscardReason::Forged));
}

#[test]
fn a_rewritten_destination_is_found_by_the_payload() {
    let live = Live::of(&[(0, 1, State::Waiting), (0, 2, State::Waiting)]);
    let found = live.find("203.0.113.77", &live.payloads[1]);
    assert_eq!(found, Ok((1, Evidence::Rewritten)));
}

#[test]
fn an_echo_header_alone_identifies_its_probe_with_weak_evidence() {
    // Two attempts at one TTL, another TTL, and another flow. One probe timed out, one was answered.
    let live = Live::with(
        ECHO,
        &[
            (0, 1, State::TimedOut),
            (0, 1, State::Waiting),
            (0, 2, State::Waiting),
            (1, 2, State::Answered),
        ],
    );
    for (number, sent) in live.payloads.iter().enumerate() {
        let number = number as u64;
        assert_eq!(live.find(TARGET, sent), Ok((number, Evidence::Full)));
        // Eight bytes, with and without padding. The two attempts differ in eight bits of their tags.
        for padding in [0, 100] {
            let short = [&sent[..8], &vec![0; padding]].concat();
            assert_eq!(live.find(TARGET, &short), Ok((number, Evidence::Weak)));
        }
    }
}

#[test]
fn a_changed_echo_header_is_not_matched() {
    let live = Live::with(ECHO, &[(0, 1, State::Waiting)]);
    let sent = &live.payloads[0][..8];
    let changed = |at: usize, by: u8| {
        let mut short = sent.to_vec();
        short[at] ^= by;
        live.find(TARGET, &short)
    };
    // In order: the checksum; the byte of the tag in the sequence number; the TTL in the sequence number; the identifier of the
    // other flow; an identifier of no flow.
    assert_eq!(changed(2, 1), Err(DiscardReason::Forged));
    assert_eq!(changed(7, 1), Err(DiscardReason::Forged));
    assert_eq!(changed(6, 3), Err(DiscardReason::Unknown));
    assert_eq!(changed(5, 1), Err(DiscardReason::Unknown));
    assert_eq!(changed(4, 0x80), Err(DiscardReason::Foreign));
    // The type is not that of an echo request.
    assert_eq!(changed(0, 1), Err(DiscardReason::Truncated));
    let elsewhere = live.find("203.0.113.77", sent);
    assert_eq!(elsewhere, Err(DiscardReason::Unknown));
    // A whole quote is matched by its marks, although the destination differs.
    let elsewhere = live.find("203.0.113.77", &live.payloads[0]);
    assert_eq!(elsewhere, Ok((0, Evidence::Rewritten)));
}

#[test]
fn a_copy_of_an_answer_is_not_matched_to_the_next_hop() {
    let (near, far) = ("203.0.113.1", "203.0.113.2");
    let mut live = Live::of(&[
        (0, 1, State::Waiting),
        (0, 2, State::Waiting),
        (0, 3, State::Waiting),
    ]);
    live.answered_by(0, near);
    live.answered_by(1, far);
    // A copy is matched to the probe that had the answer. A reply from a new responder is matched to the pending probe.
    for (responder, probe) in [(near, 0), (far, 1), ("203.0.113.3", 2)] {
        let found = live.find_from(responder, TARGET, &[]);
        assert_eq!(found, Ok((probe, Evidence::Weak)), "{responder}");
    }
    // This also holds if no probe is pending. The probe that timed out stays unanswered.
    live.ledger.get_mut(ProbeId(2)).expect("live").state = State::TimedOut;
    assert_eq!(live.find_from(far, TARGET, &[]), Ok((1, Evidence::Weak)));
    // One router may answer at two TTLs: a pending second attempt gets the reply.
    let again = live.ledger.get_mut(ProbeId(2)).expect("live");
    (again.state, again.probe.attempt) = (State::Waiting, 2);
    assert_eq!(live.find_from(far, TARGET, &[]), Ok((2, Evidence::Weak)));
    // A whole payload identifies its probe, from any responder.
    let whole = live.payloads[2].clone();
    assert_eq!(live.find_from(far, TARGET, &whole), Ok((2, Evidence::Full)));
}
