//! The order of the hops of a trace.

use pathsurvey::dataset::read::Trace;
use pathsurvey::model::{Inferred, Status, TraceId};

use super::*;

/// The trace of a target with further rows.
fn trace_with(target: u32, further: Vec<HopRecord>) -> (tempfile::TempDir, Dataset) {
    let directory = tempfile::tempdir().unwrap();
    let output = Output::Directory(directory.path().to_owned());
    let mut writer = create(&output, meta("run-1", "fra-1"), SMALL);
    for hop in further {
        writer.hop(hop, rows::START).unwrap();
    }
    feed(&mut writer, &traces_of([target]));
    finish(writer);
    let dataset = Dataset::open(directory.path()).unwrap();
    (directory, dataset)
}

/// Round, attempt and probe of the hops with a TTL.
fn order(trace: &Trace, ttl: i64) -> Vec<(i64, i64, Option<i64>)> {
    let hops = trace.hops().iter();
    let hops = hops.filter(|hop| hop.int("ttl").unwrap() == Some(ttl));
    let number = |name: &str, hop: &pathsurvey::dataset::read::Row| hop.int(name).unwrap();
    hops.map(|hop| {
        (
            number("round", &hop).unwrap(),
            number("attempt", &hop).unwrap(),
            number("probe_id", &hop),
        )
    })
    .collect()
}

fn both_ways(dataset: &Dataset) -> Vec<Trace<'_>> {
    let mut traces: Vec<Trace> = dataset
        .traces()
        .iter()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    traces.extend(dataset.traces_to(address(7)).unwrap());
    assert_eq!(traces.len(), 2);
    traces
}

#[test]
fn an_inferred_hop_comes_after_the_probes_of_its_attempt() {
    let mut inferred = rows::trace(7).0.remove(15);
    inferred.probe_id = None;
    inferred.sent_at = None;
    inferred.reply = None;
    inferred.rtt_us = None;
    inferred.evidence = None;
    inferred.status = Status::Inferred;
    inferred.inferred = Some(Box::new(Inferred {
        responder: None,
        from: Some(TraceId(3)),
    }));
    let (_directory, dataset) = trace_with(7, vec![inferred]);
    for trace in both_ways(&dataset) {
        assert_eq!(order(&trace, 16), [(0, 1, Some(7 * 16 + 15)), (0, 1, None)]);
    }
}

#[test]
fn a_further_round_comes_after_all_attempts_of_the_first() {
    let probe = |round: u32, attempt: u8, id: u64| {
        let mut hop = rows::trace(7).0.remove(4);
        hop.round = round;
        hop.attempt = attempt;
        hop.probe_id = Some(model::ProbeId(id));
        hop
    };
    let further = vec![probe(1, 1, 900), probe(0, 2, 901), probe(1, 2, 902)];
    let (_directory, dataset) = trace_with(7, further);
    let first = 7 * 16 + 4;
    for trace in both_ways(&dataset) {
        let expected = [
            (0, 1, Some(first)),
            (0, 2, Some(901)),
            (1, 1, Some(900)),
            (1, 2, Some(902)),
        ];
        assert_eq!(order(&trace, 5), expected);
    }
}

#[test]
fn a_silent_hop_is_null_in_the_path() {
    let (_directory, dataset) = dataset(10);
    let mut silent = 0;
    for trace in dataset.traces().iter().unwrap() {
        let trace = trace.unwrap();
        let hops = trace.hops().iter();
        let responders: Vec<_> = hops.map(|hop| hop.address("responder").unwrap()).collect();
        assert_eq!(
            trace.row().addresses("path").unwrap(),
            Some(responders.clone())
        );
        let texts = trace.row().texts("path").unwrap().unwrap();
        let expected = responders.iter().map(|hop| hop.map(|hop| hop.to_string()));
        assert_eq!(texts, expected.collect::<Vec<_>>());
        silent += responders.iter().filter(|hop| hop.is_none()).count();
    }
    assert!(silent > 0);
}
