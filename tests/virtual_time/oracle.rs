//! What the rows of a survey must be, from the record of what the network did with each packet.
//!
//! Written without the engine's matching: a recorded answer belongs to the probe that brought it, whatever it
//! quotes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use pathsurvey::lab::{Delivery, Recorded};
use pathsurvey::model::{DiscardReason, Evidence, HopRecord, Status, Time, TraceId};

use super::experiment::Observed;

/// A row as it must be.
struct Told<'a> {
    status: Status,
    answer: Option<&'a Delivery>,
}

/// Checks every row and every count of a survey against what the network did with its packets.
pub fn check(run: &Observed) {
    let sealed: HashMap<TraceId, Time> = run
        .traces
        .iter()
        .map(|trace| (trace.trace_id, trace.finished_at))
        .collect();
    let mut rows = rows_by_probe(run);
    let mut forgotten = 0;
    let mut matched = 0;
    for (number, (recorded, rows)) in run.recorded.iter().zip(&mut rows).enumerate() {
        rows.sort_by_key(|row| row.reply_index);
        let what = || {
            format!(
                "probe {number}, {:?}",
                rows.first().map(|row| row.destination)
            )
        };
        let trace = rows
            .first()
            .unwrap_or_else(|| panic!("{} has no row", what()))
            .trace_id;
        let arrivals = arrivals(recorded, run.ended_at);
        let lifetime = run.config.timeout + run.config.late_window;
        let (known, lost): (Vec<_>, Vec<_>) = arrivals
            .into_iter()
            .partition(|arrival| arrival.at <= recorded.sent_at + lifetime);
        forgotten += lost.len() as u64;
        matched += known.len() as u64;
        let expected = expected(run, recorded, &known, sealed.get(&trace).copied());
        let statuses: Vec<_> = rows.iter().map(|row| row.status).collect();
        let wanted: Vec<_> = expected.iter().map(|told| told.status).collect();
        assert_eq!(statuses, wanted, "statuses of {}", what());
        for (index, (row, told)) in rows.iter().zip(&expected).enumerate() {
            assert_eq!(usize::from(row.reply_index), index, "index in {}", what());
            check_probe(row, recorded);
            check_answer(row, recorded, told.answer);
        }
    }
    check_counts(run, matched, forgotten);
}

/// The rows of each probe, by its number. Every probe that was sent has one at least.
fn rows_by_probe(run: &Observed) -> Vec<Vec<&HopRecord>> {
    let mut rows = vec![Vec::new(); run.recorded.len()];
    for row in &run.hops {
        let of_probe = rows.get_mut(row.probe_id.expect("a probe").0 as usize);
        of_probe
            .unwrap_or_else(|| panic!("a row of a probe that was not sent: {row:?}"))
            .push(row);
    }
    rows
}

/// What came back before the survey ended, in the order of arrival.
fn arrivals(recorded: &Recorded, ended_at: Time) -> Vec<&Delivery> {
    let mut arrivals: Vec<_> = recorded
        .deliveries
        .iter()
        .filter(|delivery| delivery.at <= ended_at)
        .collect();
    arrivals.sort_by_key(|delivery| delivery.at);
    arrivals
}

/// The rows of a probe in the order of their index.
fn expected<'a>(
    run: &Observed,
    recorded: &Recorded,
    arrivals: &[&'a Delivery],
    sealed_at: Option<Time>,
) -> Vec<Told<'a>> {
    let silent = Told {
        status: Status::Timeout,
        answer: None,
    };
    let Some((first, further)) = arrivals.split_first() else {
        return vec![silent];
    };
    let in_time = first.at <= recorded.sent_at + run.config.timeout;
    let mut rows = Vec::new();
    // A late answer stands in its probe's own row only while the trace was open.
    if !in_time && sealed_at.is_none_or(|sealed_at| first.at > sealed_at) {
        rows.push(silent);
    }
    rows.push(Told {
        status: if in_time {
            Status::Replied
        } else {
            Status::Late
        },
        answer: Some(first),
    });
    rows.extend(further.iter().map(|answer| Told {
        status: Status::Duplicate,
        answer: Some(answer),
    }));
    rows
}

/// What a row says of the probe is what was on the wire.
fn check_probe(row: &HopRecord, recorded: &Recorded) {
    let packet = &recorded.packet;
    assert_eq!(row.source, Some(address(packet, 12)));
    assert_eq!(row.destination, address(packet, 16));
    assert_eq!(row.ttl.map(|ttl| ttl.0), Some(packet[8]));
    assert_eq!(row.probe_ip_id, Some(word(packet, 4)));
    assert_eq!(row.src_port, Some(word(packet, 20)));
    assert_eq!(row.dst_port, Some(word(packet, 22)));
    assert_eq!(row.probe_checksum, Some(word(packet, 26)));
    assert_eq!(usize::from(row.probe_size), packet.len());
    assert_eq!(row.sent_at, Some(recorded.sent_at));
    assert_eq!(row.reason, None);
}

/// What a row says of the answer is what was on the wire.
fn check_answer(row: &HopRecord, recorded: &Recorded, answer: Option<&Delivery>) {
    let Some(Delivery { at, packet }) = answer else {
        assert_eq!((&row.reply, row.rtt_us, row.evidence), (&None, None, None));
        return;
    };
    let reply = row.reply.as_ref().expect("an answer");
    let micros = at.since(recorded.sent_at).as_micros();
    assert_eq!(row.rtt_us.map(i128::from), i128::try_from(micros).ok());
    assert_eq!(reply.received_at, *at);
    assert_eq!(reply.responder, address(packet, 12));
    assert_eq!(reply.destination, Some(address(packet, 16)));
    assert_eq!(reply.ttl, Some(packet[8]));
    assert_eq!(reply.ip_id, Some(word(packet, 4)));
    assert_eq!(reply.size, u32::try_from(packet.len()).ok());
    assert_eq!(
        (reply.icmp_type, reply.icmp_code),
        (Some(packet[20]), Some(packet[21]))
    );
    let quote = &packet[28..];
    let quoted = reply.quoted.as_ref().expect("an error message quotes");
    assert_eq!(quoted.ttl, Some(quote[8]));
    assert_eq!(quoted.ip_id, Some(word(quote, 4)));
    assert_eq!(quoted.length, Some(word(quote, 2).into()));
    assert_eq!(quoted.source, Some(address(quote, 12)));
    assert_eq!(quoted.destination, address(quote, 16));
    assert_eq!(quoted.src_port(), Some(word(quote, 20)));
    assert_eq!(quoted.dst_port(), Some(word(quote, 22)));
    assert_eq!(quoted.checksum(), Some(word(quote, 26)));
    let unchanged =
        quote[12..28] == recorded.packet[12..28] && quote[4..6] == recorded.packet[4..6];
    assert!(
        !unchanged || row.evidence == Some(Evidence::Full),
        "all came back and yet {:?}",
        row.evidence
    );
}

fn check_counts(run: &Observed, matched: u64, forgotten: u64) {
    let counts = &run.tally.statistics;
    let probes: u64 = Status::ALL
        .iter()
        .map(|status| counts.probes(*status))
        .sum();
    assert_eq!(probes, run.recorded.len() as u64, "a status for each probe");
    assert_eq!(counts.probes_sent(), probes);
    for status in Status::ALL {
        let rows = |own: bool| {
            let of_kind = |row: &&HopRecord| row.status == status && (row.reply_index == 0) == own;
            run.hops.iter().filter(of_kind).count() as u64
        };
        assert_eq!(counts.probes(status), rows(true), "probes {status:?}");
        assert_eq!(
            counts.extra_replies(status),
            rows(false),
            "extra {status:?}"
        );
    }
    let discarded: u64 = DiscardReason::ALL
        .iter()
        .map(|reason| counts.discarded(*reason))
        .sum();
    let with_reply = run.hops.iter().filter(|row| row.reply.is_some()).count() as u64;
    assert_eq!(counts.packets_received, matched + forgotten);
    assert_eq!(
        with_reply, matched,
        "every answer that could be known has a row"
    );
    assert_eq!(discarded, forgotten, "and all others are counted");
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn address(bytes: &[u8], at: usize) -> IpAddr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]).into()
}
