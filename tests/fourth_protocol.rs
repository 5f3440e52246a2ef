//! A protocol that the program does not know, UDP-Lite (RFC 3828), is one file: it surveys the lab through the public API of the
//! engine, and what it finds is the lab's truth.
//!
//! | field | holds |
//! |---|---|
//! | ports | as in UDP: the source port names the flow |
//! | checksum coverage | 20 + TTL: the size of the whole datagram, so that 8 quoted bytes show the TTL |
//! | checksum | the check |
//! | payload | the marks, and zeros |

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use pathsurvey::config::{Network, SurveyConfig};
use pathsurvey::engine::assembler::{Assembled, TargetRows};
use pathsurvey::engine::format::{Marked, ProbeFormat};
use pathsurvey::engine::report::Tally;
use pathsurvey::engine::sink::{RecordSink, SinkError};
use pathsurvey::engine::stop::Stop;
use pathsurvey::engine::virtual_time::VirtualRun;
use pathsurvey::lab::{LabNetwork, TruthFlow, VirtualNetwork};
use pathsurvey::model::{
    Evidence, HopRecord, ProbeId, ProtocolName, QuotedTransport, ReplyKind, StopReason, Time,
    TraceRecord, Ttl,
};
use pathsurvey::survey::{VIRTUAL_START, parts};
use pathsurvey::targets::{Families, TargetSpec};
use pathsurvey::wire::ip::Ends;
use pathsurvey::wire::payload::{self, MARKS};
use pathsurvey::wire::protocol::{ProbeProtocol, Shown};
use pathsurvey::wire::token::{RunKey, TokenMaker};

/// The protocol number of UDP-Lite.
const NUMBER: u8 = 136;
const HEADER: usize = 8;
/// The least that a probe is behind its IP header, bytes.
const LEAST: usize = HEADER + MARKS;

#[derive(Debug)]
struct UdpLite;

impl ProbeProtocol for UdpLite {
    fn name(&self) -> ProtocolName {
        ProtocolName::new("udplite")
    }

    fn number(&self, _ipv6: bool) -> u8 {
        NUMBER
    }

    fn size(&self, _run: &ProbeFormat, ttl: Ttl, _wanted: Option<usize>) -> usize {
        LEAST + usize::from(ttl.0)
    }

    fn encode(&self, run: &ProbeFormat, probe: &Marked, ends: &Ends, transport: &mut [u8]) {
        let coverage = transport.len() as u16;
        let words = [
            run.src_port(probe.flow),
            run.port_at(probe.flow, probe.ttl),
            coverage,
            probe.marks.check,
        ];
        let mut rest = ends.pseudo_header(NUMBER, transport.len());
        for (field, word) in transport.chunks_mut(2).zip(words) {
            field.copy_from_slice(&word.to_be_bytes());
            rest = rest.word(word);
        }
        payload::encode(&mut transport[HEADER..], &probe.marks, probe.serial, rest);
    }

    fn checksum_offset(&self) -> usize {
        6
    }

    fn shows_ttl(&self, _run: &ProbeFormat) -> bool {
        true
    }

    fn read_quote(&self, transport: &[u8], _ipv6: bool) -> QuotedTransport {
        QuotedTransport::Other(transport.into())
    }

    fn shown(&self, _run: &ProbeFormat, quoted: &QuotedTransport) -> Option<Shown> {
        let QuotedTransport::Other(bytes) = quoted else {
            return None;
        };
        let (header, carried) = bytes.split_first_chunk::<HEADER>()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let ttl = usize::from(word(4)).checked_sub(LEAST)?;
        Some(Shown {
            source_number: Some(word(0)),
            dst_port: Some(word(2)),
            ttl: u8::try_from(ttl).ok().map(Ttl),
            checksum: Some(word(6)),
            tag: payload::tag(carried),
            serial: payload::serial(carried),
        })
    }

    fn check_covers_addresses(&self, _ipv6: bool) -> bool {
        true
    }
}

/// Traces `targets` with UDP-Lite, over `flows` flows a target.
fn trace(network: &LabNetwork, targets: &[&str], flows: u16) -> TargetRows {
    let config = SurveyConfig {
        targets: TargetSpec {
            arguments: targets.iter().map(|text| (*text).to_owned()).collect(),
            allow_special: true,
            families: Families::Both,
            ..TargetSpec::default()
        },
        flows,
        seed: 5,
        network: Network::VirtualLab { file: None },
        ..SurveyConfig::default()
    }
    .validate()
    .expect("a sound configuration");
    let no_names = |name: &str| panic!("{name} is not to be resolved");
    let (set, _) = pathsurvey::targets::load(&config.targets, &no_names, &mut |bad| {
        panic!("{bad}");
    })
    .expect("targets");
    let format = ProbeFormat {
        protocol: &UdpLite,
        ..parts::format(&config, config.source_port)
    };
    let mut rows = Rows::default();
    let run = VirtualRun {
        core: parts::core(
            &config,
            parts::strategy(&config, Arc::new(set)),
            parts::tracker(&config, format, RunKey::new([7; 16]), ProbeId(0)),
            VIRTUAL_START,
        ),
        assembler: parts::assembler(&config),
        network: &mut VirtualNetwork::new(network.clone()),
        sink: &mut rows,
        writer_speed: None,
        start: VIRTUAL_START,
        stop: &Stop::default(),
        progress: &mut |_| None,
    };
    let end = run.run();
    assert!(end.error.is_none(), "nothing can fail to be written");
    rows.0
}

/// Every trace reaches its target, and every TTL on the way shows who the lab has there. Returns the routers, each with its TTL.
fn check(network: &LabNetwork, records: &TargetRows) -> BTreeSet<(Ttl, IpAddr)> {
    let mut routers = BTreeSet::new();
    for trace in &records.traces {
        assert_eq!(trace.stop_reason, StopReason::Completed, "{trace:?}");
        let rows: Vec<&HopRecord> = records
            .hops
            .iter()
            .filter(|row| row.trace_id == trace.trace_id)
            .collect();
        let truth = network.truth_of_every_ttl(flow_of(trace), Ttl(32));
        let at = |row: &HopRecord| truth.hop(row.ttl.expect("a quoted probe")).expect("a hop");
        for row in &rows {
            assert_eq!(row.responder(), at(row).responder(), "{row:?}");
            check_row(row);
        }
        let shown: BTreeSet<Ttl> = rows.iter().filter_map(|row| row.ttl).collect();
        let length = truth.path_length().expect("a target that answers");
        assert!(
            (1..=length.0).all(|ttl| shown.contains(&Ttl(ttl))),
            "{shown:?}"
        );
        routers.extend(rows.iter().filter_map(|row| router(row)));
    }
    routers
}

/// What every row must show.
fn check_row(row: &HopRecord) {
    assert_eq!(row.protocol.as_str(), "udplite");
    assert_eq!(row.dst_port, Some(33_434));
    let Some(reply) = &row.reply else {
        assert_eq!(row.evidence, None);
        return;
    };
    assert_eq!(row.evidence, Some(Evidence::Full), "{row:?}");
    let at_target = match row.destination {
        IpAddr::V4(_) => ReplyKind::ProtocolUnreachable,
        IpAddr::V6(_) => ReplyKind::ParameterProblem,
    };
    let expected = match reply.responder == row.destination {
        true => at_target,
        false => ReplyKind::TimeExceeded,
    };
    assert_eq!(reply.kind, expected, "{row:?}");
}

/// A router on the way: TTL and address.
fn router(row: &HopRecord) -> Option<(Ttl, IpAddr)> {
    let responder = row.responder().filter(|from| *from != row.destination)?;
    Some((row.ttl?, responder))
}

fn flow_of(trace: &TraceRecord) -> TruthFlow {
    let label = match trace.destination {
        IpAddr::V4(_) => None,
        IpAddr::V6(_) => Some(TokenMaker::flow_label(trace.destination, 0)),
    };
    TruthFlow {
        protocol: NUMBER,
        flow_label: label,
        ..TruthFlow::udp(
            trace.destination,
            24_000 + trace.flow.expect("a flow").0,
            33_434,
        )
    }
}

#[derive(Default)]
struct Rows(TargetRows);

impl RecordSink for Rows {
    fn write(&mut self, records: &mut Assembled, _now: Time) -> Result<(), SinkError> {
        self.0.append(&mut records.take_all());
        Ok(())
    }

    fn tick(&mut self, _now: Time, _tally: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

fn lab(name: &str) -> LabNetwork {
    let path = format!("{}/labs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("an example network");
    LabNetwork::from_toml(&text, name).expect("a network")
}

#[test]
fn its_flows_show_both_sides_of_a_diamond() {
    let network = lab("diamond");
    let records = trace(&network, &["198.18.0.0/29"], 4);
    assert_eq!(records.traces.len(), 8 * 4);
    let routers = check(&network, &records);
    for side in ["10.0.2.1", "10.0.3.1"] {
        let side: IpAddr = side.parse().expect("an address");
        assert!(routers.contains(&(Ttl(3), side)), "{routers:?}");
    }
}

#[test]
fn it_is_traced_over_ipv6_too() {
    let network = lab("dual-stack");
    let records = trace(&network, &["198.18.0.1", "2001:db8:1000::1"], 2);
    assert_eq!(records.traces.len(), 2 * 2);
    let routers = check(&network, &records);
    assert!(routers.iter().any(|(_, address)| address.is_ipv6()));
}

#[test]
fn quotes_of_eight_bytes_are_proof_enough() {
    let network = lab("quoting");
    let records = trace(&network, &["198.18.0.0/30"], 1);
    assert_eq!(check(&network, &records).len(), 5);
    let is_short = |row: &HopRecord| {
        let quoted = row.reply.as_ref().and_then(|reply| reply.quoted.as_ref());
        quoted.is_some_and(|quoted| quoted.quote_size == Some(28))
    };
    assert!(records.hops.iter().any(is_short));
}
