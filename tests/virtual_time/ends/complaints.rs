//! Every code of Destination Unreachable, Packet Too Big and unrecognised next header: at every place of a path, to every kind of
//! probe, from routers that reject all packets and from routers that let others pass.
//!
//! What must come of it is reckoned from the description of the network alone.

use std::net::IpAddr;

use pathsurvey::model::{
    HopRecord, Protocol, Purpose, ReplyKind, StopReason, TcpFlags, Ttl, path_hash,
};

use super::{PROBES, anomalies, chain, one, responders, router, run, target};

/// A code by its name in network files, and what it is on the wire: ICMP type and code.
type Code = (&'static str, (u8, u8));

const CODES_V4: [Code; 16] = [
    ("network", (3, 0)),
    ("host", (3, 1)),
    ("protocol", (3, 2)),
    ("port", (3, 3)),
    ("fragmentation_needed", (3, 4)),
    ("source_route", (3, 5)),
    ("network_unknown", (3, 6)),
    ("host_unknown", (3, 7)),
    ("source_isolated", (3, 8)),
    ("network_prohibited", (3, 9)),
    ("host_prohibited", (3, 10)),
    ("network_tos", (3, 11)),
    ("host_tos", (3, 12)),
    ("admin_prohibited", (3, 13)),
    ("host_precedence", (3, 14)),
    ("precedence_cutoff", (3, 15)),
];

const CODES_V6: [Code; 11] = [
    ("network", (1, 0)),
    ("admin_prohibited", (1, 1)),
    ("beyond_scope", (1, 2)),
    ("host", (1, 3)),
    ("port", (1, 4)),
    ("source_policy", (1, 5)),
    ("host_precedence", (1, 6)),
    ("source_routing_header", (1, 7)),
    ("headers_too_long", (1, 8)),
    ("fragmentation_needed", (2, 0)),
    ("protocol", (4, 1)),
];

/// Where the router stands, how far away the target is, and which routers say nothing.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u8,
    distance: u8,
    silent: &'static [u8],
}

const PLACES: [Place; 7] = [
    // The first hop, one in the middle, the one before the target, the only one.
    place(1, 5, &[]),
    place(3, 6, &[]),
    place(4, 5, &[]),
    place(1, 2, &[]),
    // Behind silence, before it, and between.
    place(4, 6, &[2, 3]),
    place(2, 6, &[3, 4]),
    place(3, 6, &[2, 4]),
];

const fn place(at: u8, distance: u8, silent: &'static [u8]) -> Place {
    Place {
        at,
        distance,
        silent,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Says so where another router says Time Exceeded, and forwards all else.
    Complains,
    /// The same, and the target is silent.
    ComplainsBeforeSilence,
    /// Rejects every packet, whatever its TTL.
    Rejects,
    /// Looks at the TTL first: Time Exceeded, and a rejection at the next TTL.
    RejectsBehind,
}

const WAYS: [Way; 4] = [
    Way::Complains,
    Way::ComplainsBeforeSilence,
    Way::Rejects,
    Way::RejectsBehind,
];

/// One cell of the matrix.
#[derive(Clone, Copy, Debug)]
struct Case {
    code: Code,
    place: Place,
    way: Way,
    v6: bool,
    probe: (Protocol, TcpFlags),
}

impl Case {
    fn toml(&self) -> String {
        let routers: Vec<u8> = (1..self.place.distance).collect();
        let silent = self.way == Way::ComplainsBeforeSilence;
        // An open port for half of the codes, a closed one for the others.
        let open = if self.code.1.1.is_multiple_of(2) {
            "80"
        } else {
            ""
        };
        chain(
            &routers,
            &format!("silent = {silent}\ntcp_open = [{open}]"),
            |number| {
                let number = number as u8;
                let silent = self.place.silent.contains(&number);
                let odd = match number == self.place.at {
                    true => self.oddity(),
                    false => String::new(),
                };
                format!("silent = {silent}\n{odd}")
            },
        )
    }

    fn oddity(&self) -> String {
        let code = self.code.0;
        let rejects = |first: bool| {
            let to = target(self.v6);
            format!(
                r#"routes = [{{ to = "{to}", unreachable = "{code}", mtu = 9000, before_ttl_check = {first} }}]"#
            )
        };
        match self.way {
            Way::Complains | Way::ComplainsBeforeSilence => {
                format!(r#"complaint = {{ code = "{code}", mtu = 9000 }}"#)
            }
            Way::Rejects => rejects(true),
            Way::RejectsBehind => rejects(false),
        }
    }

    /// Why the trace ends, and at which TTL.
    fn end(&self) -> (StopReason, u8) {
        let Place { at, distance, .. } = self.place;
        let last = distance - 1;
        match self.way {
            Way::Complains => (StopReason::Completed, distance),
            Way::Rejects => (StopReason::Unreachable, at),
            Way::RejectsBehind => (StopReason::Unreachable, at + 1),
            // Nobody stands behind it who answers.
            Way::ComplainsBeforeSilence if at == last => (StopReason::Unreachable, at),
            Way::ComplainsBeforeSilence => (StopReason::GapLimit, last),
        }
    }

    /// Who answers at `ttl`, and the ICMP type and code of routers.
    fn answer(&self, ttl: u8) -> Option<(IpAddr, Option<(u8, u8)>)> {
        let Place {
            at,
            distance,
            silent,
        } = self.place;
        let expired = if self.v6 { (3, 0) } else { (11, 0) };
        let by = |number| (router(self.v6, number), Some(self.code.1));
        match self.way {
            Way::RejectsBehind if ttl == at + 1 => Some(by(at)),
            Way::RejectsBehind => {
                let heard = !silent.contains(&ttl);
                heard.then_some((router(self.v6, ttl), Some(expired)))
            }
            _ if ttl == at => Some(by(at)),
            _ if ttl == distance => Some((target(self.v6), None)),
            _ if silent.contains(&ttl) => None,
            _ => Some((router(self.v6, ttl), Some(expired))),
        }
    }

    fn anomalies(&self) -> Vec<&'static str> {
        let (_, end) = self.end();
        let port = [(3, 3), (1, 4)].contains(&self.code.1);
        let silent = (1..end).any(|ttl| self.answer(ttl).is_none());
        let shown = [
            ("silent_hop", silent),
            ("other_address", port && self.probe.0 == Protocol::Udp),
        ];
        let shown = shown.into_iter().filter(|(_, shown)| *shown);
        shown.map(|(name, _)| name).collect()
    }

    fn check(&self) {
        let run = run(one(self.v6, self.probe), &self.toml());
        let trace = &run.traces[0];
        let (reason, end) = self.end();
        let completed = reason == StopReason::Completed;
        assert_eq!(trace.stop_reason, reason, "{self:?}\n{trace:?}");
        assert_eq!(trace.reached, completed, "{self:?}");
        let length = completed.then_some(Ttl(end));
        assert_eq!(trace.path_length, length, "{self:?}");
        assert_eq!(anomalies(trace), self.anomalies(), "{self:?}");
        let seen = responders(&run);
        let expected: Vec<_> = (1..=end).map(|ttl| Some(self.answer(ttl)?.0)).collect();
        assert_eq!(seen[..usize::from(end)], expected, "{self:?}");
        for row in &run.hops {
            self.check_row(row);
        }
        // Whoever calls a probe too large is no hop of a path that goes on.
        let too_large = self.code.0 == "fragmentation_needed" && reason != StopReason::Unreachable;
        let hops = expected.iter().flatten().count() - usize::from(too_large);
        assert_eq!(usize::from(trace.hops_responding), hops, "{self:?}");
        // The distance probe told where the rejection, or the target, is: nothing is probed behind.
        if self.way != Way::ComplainsBeforeSilence {
            assert_eq!(trace.max_ttl, Some(Ttl(end)), "{self:?}");
        }
    }

    fn check_row(&self, row: &HopRecord) {
        let Some(reply) = row.reply.as_ref().filter(|_| row.purpose == Purpose::Trace) else {
            return;
        };
        let (_, icmp) = self.answer(row.ttl.expect("a TTL").0).expect("an answer");
        let said = reply.icmp_type.zip(reply.icmp_code);
        if icmp.is_some() {
            assert_eq!(said, icmp, "{self:?}");
        }
        if reply.kind.is_too_large() {
            assert_eq!(reply.next_hop_mtu, Some(9_000));
        }
        assert_ne!(reply.kind, ReplyKind::ReassemblyTimeExceeded);
    }
}

#[test]
fn a_complaint_ends_a_path_only_where_nothing_answers_behind_it() {
    let mut count = 0;
    for v6 in [false, true] {
        let codes = if v6 { &CODES_V6[..] } else { &CODES_V4 };
        for code in codes {
            for place in PLACES {
                for way in WAYS {
                    for probe in PROBES {
                        let code = *code;
                        Case {
                            code,
                            place,
                            way,
                            v6,
                            probe,
                        }
                        .check();
                        count += 1;
                    }
                }
            }
        }
    }
    println!("{count} combinations of code, place, way, protocol and family");
    assert_eq!(count, (16 + 11) * 7 * 4 * 5);
}

/// A router that complains of every packet that it passes on: each probe that gets past it brings two answers, the complaint first.
/// The path is what the others are.
#[test]
fn complaints_about_what_is_passed_on_hide_nothing() {
    let mut count = 0;
    for v6 in [false, true] {
        let codes = if v6 { &CODES_V6[..] } else { &CODES_V4 };
        for (code, _) in codes {
            for Place {
                at,
                distance,
                silent,
            } in PLACES
            {
                let routers: Vec<u8> = (1..distance).collect();
                let network = chain(&routers, "", |number| {
                    let silent = silent.contains(&(number as u8));
                    let odd = match number == usize::from(at) {
                        true => format!(
                            r#"complaint = {{ code = "{code}", mtu = 9000, about = "forwarded" }}"#
                        ),
                        false => String::new(),
                    };
                    format!("silent = {silent}\n{odd}")
                });
                // Nothing takes time: both answers are there before anything follows from one of them.
                let network = format!("line = {{ delay_ms = 0 }}\n{network}");
                for probe in PROBES {
                    let run = run(one(v6, probe), &network);
                    let trace = &run.traces[0];
                    let what =
                        format!("{code} {at} {distance} {silent:?} {v6} {probe:?}\n{trace:?}");
                    assert_eq!(trace.stop_reason, StopReason::Completed, "{what}");
                    assert_eq!(trace.path_length, Some(Ttl(distance)), "{what}");
                    assert!(trace.reached, "{what}");
                    let path = (1..=distance).map(|ttl| {
                        let who = match ttl == distance {
                            true => Some(target(v6)),
                            false => (!silent.contains(&ttl)).then(|| router(v6, ttl)),
                        };
                        (Ttl(ttl), who)
                    });
                    assert_eq!(trace.path_hash, Some(path_hash(path)), "{what}");
                    let odd = ["loop", "cycle", "per_packet_balancing"];
                    let shown = anomalies(trace);
                    assert!(!shown.iter().any(|name| odd.contains(name)), "{what}");
                    count += 1;
                }
            }
        }
    }
    println!("{count} combinations of code, place, protocol and family");
    assert_eq!(count, (16 + 11) * 7 * 5);
}
