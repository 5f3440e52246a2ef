//! Errors as ordinary sockets give them, without headers, against a ledger of live probes.

use std::net::IpAddr;

use super::*;
use crate::engine::ledger::State;
use crate::model::{FlowId, Probe, Purpose, TargetId, Time, Ttl};
use crate::transport::PacketBatch;
use crate::wire::quote;
use crate::wire::token::{Facts, RunKey, TokenMaker};

const FORMAT: ProbeFormat = ProbeFormat {
    headless: true,
    ..ProbeFormat::udp(2)
};

const TARGET: &str = "198.51.100.1";

/// Probes of one target, and what each carried behind its UDP header.
struct Live {
    ledger: Ledger,
    payloads: Vec<Vec<u8>>,
}

impl Live {
    /// Sends a probe a state, of the flow and TTL given.
    fn of(probes: &[(u16, u8, State)]) -> Self {
        let tokens = TokenMaker::new(RunKey::new([7; 16]));
        let mut live = Live {
            ledger: Ledger::new(16, FORMAT.shows_ttl()),
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
            };
            let serial = tokens.serial(number as u64);
            let marked = crate::engine::format::Marked {
                source: address("192.0.2.1"),
                destination: probe.destination,
                flow: probe.flow,
                ttl: probe.ttl,
                serial,
                marks: tokens.marks(&Facts {
                    destination: probe.destination,
                    src_port: FORMAT.src_port(probe.flow),
                    dst_port: FORMAT.dst_port(probe.ttl),
                    ttl: probe.ttl,
                    serial,
                    probe_id: live.ledger.next_id(),
                }),
                flow_label: 0,
                size: None,
            };
            let id = live.ledger.add(probe, &marked, Time::default());
            live.ledger.get_mut(id).expect("just added").state = *state;
            let mut batch = PacketBatch::default();
            FORMAT.encode(&marked, &mut batch);
            live.payloads
                .push(batch.get(0).expect("a packet").1[28..].to_vec());
        }
        live
    }

    /// What is found for an error about a datagram to `destination` by flow 0, of which `returned` came back.
    fn find(&self, destination: &str, returned: &[u8]) -> Result<(u64, Evidence), DiscardReason> {
        let quoted = quote::of_datagram(address(destination), 24_000, 33_434, returned);
        quoted::find(&self.ledger, &FORMAT, &NatLearner::default(), &quoted)
            .result
            .map(|found| (found.probe.0, found.evidence))
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn every_probe_has_one_size_and_its_payload_names_it() {
    let live = Live::of(&[
        (0, 1, State::Waiting),
        (0, 2, State::Waiting),
        (0, 32, State::TimedOut),
    ]);
    for (number, payload) in live.payloads.iter().enumerate() {
        assert_eq!(payload.len(), live.payloads[0].len());
        let found = live.find(TARGET, payload);
        assert_eq!(found, Ok((number as u64, Evidence::Full)));
        // Padding or extensions may follow.
        let padded = [&payload[..], &[0; 100]].concat();
        assert_eq!(live.find(TARGET, &padded), found);
    }
}

#[test]
fn a_short_quote_is_of_the_one_probe_that_waits() {
    for returned in [&[][..], &[0xab, 0xcd], &[0; 100]] {
        // Answered ones, those whose time is up, and another flow's do not count.
        let live = Live::of(&[
            (0, 1, State::Answered),
            (0, 2, State::TimedOut),
            (0, 3, State::Waiting),
            (1, 3, State::Waiting),
            (0, 4, State::Refused),
        ]);
        assert_eq!(live.find(TARGET, returned), Ok((2, Evidence::Weak)));
        // The kernel may not have told yet when it was sent.
        let live = Live::of(&[(0, 2, State::TimedOut), (0, 3, State::Unstamped)]);
        assert_eq!(live.find(TARGET, returned), Ok((1, Evidence::Weak)));
        // Nobody waits: it is late.
        let live = Live::of(&[(0, 2, State::TimedOut), (0, 3, State::Answered)]);
        assert_eq!(live.find(TARGET, returned), Ok((0, Evidence::Weak)));
    }
}

#[test]
fn a_short_quote_that_may_be_of_several_probes_is_ambiguous() {
    for states in [
        [State::Waiting, State::Waiting],
        [State::Waiting, State::Unstamped],
        [State::TimedOut, State::TimedOut],
        // Nothing is open.
        [State::Answered, State::Refused],
    ] {
        let live = Live::of(&[(0, 1, states[0]), (0, 2, states[1])]);
        assert_eq!(live.find(TARGET, &[]), Err(DiscardReason::Ambiguous));
        // The payload tells them apart all the same.
        let found = live.find(TARGET, &live.payloads[1]);
        assert_eq!(found, Ok((1, Evidence::Full)));
    }
}

#[test]
fn what_was_not_sent_is_not_found() {
    let live = Live::of(&[(0, 1, State::Waiting)]);
    let elsewhere = "198.51.100.2";
    assert_eq!(live.find(elsewhere, &[]), Err(DiscardReason::Unknown));
    // Other marks: somebody made them up, or another run's.
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
