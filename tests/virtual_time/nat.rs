//! One-to-one address translation before the vantage point, in each way that quotes may come back.

use std::collections::BTreeSet;

use pathsurvey::lab::{LabNetwork, Recorded};
use pathsurvey::model::{Evidence, HopRecord};

use super::experiment::{Observed, config, inline, observe};
use super::truth::Truths;
use super::{oracle, traces, truth};

/// A cloud's gateway, two routers, and targets; everyone behind the gateway quotes `quote_bytes`.
fn cloud(restore: &str, quote_bytes: Option<u16>, seed: u64) -> LabNetwork {
    let quote = quote_bytes.map_or_else(String::new, |bytes| format!("quote_bytes = {bytes}"));
    inline(&format!(
        r#"
        seed = {seed}
        vantage = "192.0.2.99"
        [[router]]
        name = "gateway"
        address = "10.0.0.1"
        next = ["core"]
        nat = {{ public = "203.0.113.7", restore = "{restore}" }}
        {quote}
        [[router]]
        name = "core"
        address = "10.0.1.1"
        next = ["last"]
        {quote}
        [[router]]
        name = "last"
        address = "10.0.2.1"
        {quote}
        [[target]]
        prefix = "198.18.0.0/24"
        at = "last"
        unlimited = true
        {quote}
        "#
    ))
}

fn behind(restore: &str, quote_bytes: Option<u16>, seed: u64) -> Observed {
    let run = observe(
        config(&["198.18.0.0/24"], seed),
        cloud(restore, quote_bytes, seed),
    );
    oracle::check(&run);
    traces::check(&run);
    truth::check(&run, &mut Truths::new(&run.network));
    // Whatever the translator does, nothing is lost and nothing is taken for something else.
    assert!(run.hops.iter().all(|row| row.status.as_str() == "replied"));
    run
}

fn evidence(run: &Observed) -> BTreeSet<&'static str> {
    run.hops
        .iter()
        .filter_map(|row| Some(row.evidence?.as_str()))
        .collect()
}

/// What the translator adds to quoted checksums, as the wire shows it; every quote that differs must agree.
fn delta_on_the_wire(run: &Observed) -> u16 {
    let deltas: BTreeSet<u16> = run.recorded.iter().filter_map(delta_of).collect();
    assert_eq!(deltas.len(), 1, "{deltas:?}");
    deltas.into_iter().next().expect("one")
}

/// Quoted minus sent, modulo 65535; `None` where nothing was changed.
fn delta_of(recorded: &Recorded) -> Option<u16> {
    let word = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let sent = word(&recorded.packet[26..]);
    let quoted = word(&recorded.deliveries.first()?.packet[28 + 26..]);
    let delta = (quoted + 65_535 - sent) % 65_535;
    (delta != 0).then(|| u16::try_from(delta).expect("below 65535"))
}

#[test]
fn a_translator_that_restores_everything_is_not_noticed() {
    for quote_bytes in [None, Some(8)] {
        let run = behind("full", quote_bytes, 1);
        assert_eq!(evidence(&run), BTreeSet::from(["full"]));
        assert_eq!(run.tally.nat_checksum_delta, None);
    }
}

#[test]
fn the_tag_is_decisive_where_it_is_quoted_and_teaches_the_constant() {
    for seed in [1, 2, 3] {
        let run = behind("address_only", None, seed);
        assert_eq!(evidence(&run), BTreeSet::from(["full"]));
        assert_eq!(run.tally.nat_checksum_delta, Some(delta_on_the_wire(&run)));
    }
}

/// Only the checksum of an 8-byte quote is wrong, by a constant: weak until 64 replies of 16 responders agree on it.
#[test]
fn the_constant_is_learned_from_short_quotes() {
    for seed in [1, 2, 3] {
        let run = behind("address_only", Some(8), seed);
        let delta = delta_on_the_wire(&run);
        assert_eq!(run.tally.nat_checksum_delta, Some(delta));
        // The gateway quotes what it has not yet translated.
        assert_eq!(
            evidence(&run),
            BTreeSet::from(["full", "rewritten", "weak"])
        );
        let mut changed: Vec<&HopRecord> = run
            .hops
            .iter()
            .filter(|row| row.evidence != Some(Evidence::Full))
            .collect();
        changed.sort_by_key(|row| row.reply.as_ref().map(|reply| reply.received_at));
        let learned_at = changed
            .iter()
            .position(|row| row.evidence == Some(Evidence::Rewritten))
            .expect("learned");
        let (before, behind) = changed.split_at(learned_at);
        let responders: BTreeSet<_> = before.iter().map(|row| row.responder()).collect();
        assert!(
            before.len() >= 64 && responders.len() >= 16,
            "{} of {}",
            before.len(),
            responders.len()
        );
        assert!(
            behind
                .iter()
                .all(|row| row.evidence == Some(Evidence::Rewritten))
        );
    }
}

#[test]
fn a_translator_that_restores_nothing_shows_its_address_in_quotes() {
    for quote_bytes in [None, Some(8)] {
        let run = behind("none", quote_bytes, 1);
        let strength = if quote_bytes.is_some() {
            "rewritten"
        } else {
            "full"
        };
        for row in &run.hops {
            let quoted = row
                .reply
                .as_ref()
                .and_then(|reply| reply.quoted.as_ref())
                .expect("a quote");
            let public = quoted.source == "203.0.113.7".parse().ok();
            assert_eq!(
                public,
                row.responder().map(|r| r.to_string()) != Some("10.0.0.1".to_owned())
            );
            let expected = if public { strength } else { "full" };
            assert_eq!(
                row.evidence.map(Evidence::as_str),
                Some(expected),
                "{row:?}"
            );
        }
    }
}

#[test]
fn short_quotes_alone_cost_no_certainty() {
    let run = observe(
        config(&["198.18.0.0/24"], 4),
        inline(
            r#"
            [[router]]
            name = "one"
            address = "10.0.0.1"
            next = ["two"]
            quote_bytes = 8
            [[router]]
            name = "two"
            address = "10.0.1.1"
            quote_bytes = 8
            [[target]]
            prefix = "198.18.0.0/24"
            at = "two"
            unlimited = true
            quote_bytes = 8
            "#,
        ),
    );
    oracle::check(&run);
    assert_eq!(evidence(&run), BTreeSet::from(["full"]));
    let quoted = |row: &HopRecord| row.reply.as_ref()?.quoted.clone();
    assert!(
        run.hops
            .iter()
            .all(|row| quoted(row).is_some_and(|quoted| quoted.tag().is_none()))
    );
}
