//! Manifests as text and back.

use super::*;
use crate::dataset::directory::Sessions;
use crate::dataset::tables;
use crate::dataset::{Counted, Ending, RunFigures, RunMeta, Totals};
use crate::model::{Protocol, Vary};

/// A run with every member set to something that is not its default.
fn sample() -> (RunMeta, RunFigures, Vec<TableParts>) {
    let meta = RunMeta {
        run_id: "run é 1".to_owned(),
        survey_id: "survey".to_owned(),
        shard: Some(2),
        cycle: None,
        vantage: Vantage {
            id: "fra/1".to_owned(),
            source_ipv4: Some([192, 0, 2, 7].into()),
            asn: Some(64_500),
            clock_synchronised: Some(true),
            clock_error_us: Some(-3),
            ..Vantage::default()
        },
        seed: u64::MAX,
        started_at: Time::from_nanos(1_772_323_200_000_001_000),
        date: None,
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: Some(24_000),
        vary: Vary::SourcePort,
        dst_port: None,
        attempts: 2,
        gap_limit: Some(5),
        probe_sizes: [None; 2],
        config: serde_json::json!({"rate": 0.1, "third": 1.0 / 3.0, "list": [1, null]}),
    };
    let mut facts = RunFigures {
        rate_requested: Rate::new(1234.5),
        rate_achieved: Some(0.3),
        kernel_drops: KernelDrops {
            receive_buffer: Some(7),
            lab_device: None,
        },
        rtt_error_us_p99: Some(1.5e-7),
        nat_checksum_delta: Some(65_535),
        targets: serde_json::json!({"loaded": 3}),
        warnings: vec!["the clock \"stepped\"".to_owned()],
        ..RunFigures::default()
    };
    facts.statistics.packets_received = 11;
    let mut hops = TableParts::new(tables::hops());
    hops.parts.push(Part {
        path: "hops/date=2026-03-01/vp=id-fra%2F1/part-run-00000.parquet".to_owned(),
        sealing: Some(0),
        interrupted: false,
        rows: 3,
        bytes: 4,
        sha256: "00ff".to_owned(),
    });
    (meta, facts, vec![hops, TableParts::new(tables::traces())])
}

fn sample_text() -> Vec<u8> {
    let (meta, facts, tables) = sample();
    let ended = Ending::Interrupted("SIGINT".to_owned());
    let at = Time::from_nanos(1_772_323_260_000_000_000);
    let counted = Counted::default();
    render(&Facts {
        meta: &meta,
        figures: &facts,
        counted: &Totals::from(&counted),
        progress: &Progress::ended(&ended, at),
        tables: &tables,
        sessions: &Sessions::first(meta.started_at),
        night: NaiveDate::from_ymd_opt(2026, 2, 28),
        replaces: vec!["older".to_owned()],
    })
}

/// `sample.json` with changes.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Manifest, ManifestError> {
    let mut value: Value = serde_json::from_slice(&sample_text()).unwrap();
    change(&mut value);
    Manifest::parse(value.to_string().as_bytes())
}

#[test]
fn the_text_of_a_manifest_does_not_change() {
    let version = format!("version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let expected = include_str!("sample.json").replace("version\": \"0.1.0\"", &version);
    assert_eq!(String::from_utf8(sample_text()).unwrap(), expected);
}

#[test]
fn a_manifest_read_and_written_again_has_the_same_bytes() {
    let text = sample_text();
    let manifest = Manifest::parse(&text).unwrap();
    assert_eq!(manifest.state, RunState::Interrupted);
    assert_eq!(
        manifest.started_at.unwrap().as_micros(),
        1_772_323_200_000_001
    );
    assert_eq!(manifest.tables.get("hops").unwrap().parts[0].rows, 3);
    assert_eq!(config_sha256(&manifest.config), manifest.config_sha256);
    assert_eq!(
        String::from_utf8(manifest.to_text()).unwrap(),
        String::from_utf8(text).unwrap()
    );
}

/// Without `float_roundtrip`, serde_json reads some of these as a neighbouring number.
#[test]
fn every_float_of_a_configuration_keeps_its_digest() {
    let mut number = 1u64;
    for _ in 0..2_000 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let config = serde_json::json!({"a": (number >> 11) as f64 * 1e-17});
        let again: Value = serde_json::from_str(&config.to_string()).unwrap();
        assert_eq!(config_sha256(&again), config_sha256(&config), "{config}");
    }
}

#[test]
fn members_may_be_missing_and_unknown_ones_are_ignored() {
    let bare = Manifest::parse(br#"{"tool": {"name": "pathsurvey"}, "run_id": "x"}"#).unwrap();
    assert_eq!((bare.run_id.as_str(), bare.tables.len()), ("x", 0));
    assert_eq!(bare.probes.by_status.get("replied"), None);
    let later = changed(|value| {
        value["checkpoint"] = serde_json::json!({"place": 7});
        value["state"] = "paused".into();
        value["vantage"]["altitude"] = 3.into();
        value["tables"]["links"] = serde_json::json!({"parts": []});
        value["evidence"]["stronger"] = 5.into();
    })
    .unwrap();
    assert_eq!(later.state, RunState::Other("paused".to_owned()));
    assert_eq!(later.state.as_str(), "paused");
    assert_eq!(later.evidence.get("stronger"), Some(&5));
    assert!(later.tables.get("links").unwrap().parts.is_empty());
}

#[test]
fn what_is_no_manifest_is_named_with_a_remedy() {
    let text = sample_text();
    for length in 0..text.len() - 2 {
        let error = Manifest::parse(&text[..length]).unwrap_err();
        assert!(matches!(error, ManifestError::Json(_)), "{length}: {error}");
    }
    let error = Manifest::parse(&text[..text.len() / 2]).unwrap_err();
    assert!(error.to_string().contains("line"), "{error}");
    let foreign = |value: &[u8]| Manifest::parse(value).unwrap_err().to_string();
    assert!(foreign(b"[1]").contains("is not a manifest of pathsurvey:"));
    assert!(foreign(br#"{"tool": {"name": "yarrp"}}"#).contains("but of yarrp"));
    let newer = changed(|value| value["manifest_version"] = 2.into()).unwrap_err();
    assert!(newer.to_string().contains("install a newer"), "{newer}");
    let wrong = [
        changed(|value| value["started_at"] = "yesterday".into()),
        changed(|value| value["tables"]["hops"]["parts"][0]["rows"] = (-1).into()),
        changed(|value| value["rate"]["requested_per_second"] = (-1.0).into()),
        changed(|value| {
            value["tables"]["hops"]["parts"][0]
                .as_object_mut()
                .unwrap()
                .remove("path");
        }),
    ];
    for wrong in wrong {
        assert!(matches!(wrong, Err(ManifestError::Json(_))), "{wrong:?}");
    }
}

#[test]
fn only_our_manifests_are_recognised() {
    assert_eq!(run_id_of(b"{"), None);
    assert_eq!(run_id_of(br#"{"run_id": "x"}"#), None);
    assert_eq!(
        run_id_of(br#"{"tool": {"name": "pathsurvey"}, "run_id": "x"}"#),
        Some("x".to_owned())
    );
}
