//! Where probes leave from, as far as somebody asked for it.

use serde_json::Value;

use super::program::{pathsurvey, run};
use crate::support::{Ignored, Outcome};

/// Our addresses in the lab.
const SOURCES: [&str; 4] = ["--source", "192.0.2.1", "--source", "2001:db8::1"];

/// Exit code, rows and messages of a survey of one target of each family.
fn survey(options: &[&str]) -> Result<(Option<i32>, Vec<Value>, String), Ignored> {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hops.jsonl");
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/labs/dual-stack.toml");
    let mut arguments = vec!["survey", "--lab", network, "198.18.0.9", "2001:db8:1000::9"];
    arguments.extend(["-o", out.to_str().unwrap(), "--cooldown", "1"]);
    arguments.extend(options);
    let (code, _, errors) = run(pathsurvey(&arguments));
    if code == Some(1) && errors.contains("namespace") {
        return Err(Ignored(errors));
    }
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    let rows = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Ok((code, rows, errors))
}

pub fn our_own_addresses() -> Outcome {
    let (code, rows, errors) = survey(&[&SOURCES[..], &["--interface", "lab0"]].concat())?;
    assert_eq!(code, Some(0), "{errors}");
    // The test of the receiver takes loopback, not that interface.
    assert!(!errors.contains("warning"), "{errors}");
    for row in &rows {
        let six = row["ip_version"] == 6;
        let source = if six { "2001:db8::1" } else { "192.0.2.1" };
        assert_eq!(row["source"], source, "{row}");
    }
    let reached = |version: i64| {
        let end = |row: &&Value| row["ip_version"] == version && row["ttl"] == 7;
        rows.iter()
            .filter(end)
            .any(|row| row["responder"] == row["destination"])
    };
    assert!(reached(4) && reached(6));
    Ok(())
}

/// Of a family for which none is asked for, the kernel's choice is told; a list without it needs none.
pub fn the_other_family_is_told() -> Outcome {
    let [_, four, _, six] = SOURCES;
    for (named, chosen, family, only) in [(four, six, "IPv6", "-4"), (six, four, "IPv4", "-6")] {
        for transport in ["raw", "dgram"] {
            let options = [
                "--transport",
                transport,
                "--source",
                named,
                "-w",
                "1",
                "-q",
                "1",
            ];
            let (code, rows, errors) = survey(&options)?;
            assert_eq!(code, Some(0), "{errors}");
            let told: Vec<&str> = errors
                .lines()
                .filter(|line| line.contains("--source"))
                .collect();
            let [line] = told[..] else { panic!("{errors}") };
            for part in [
                format!("--source {named}"),
                format!("{family} probes would leave from {chosen}"),
                format!("--source once more for {family}, or {only} "),
            ] {
                assert!(line.contains(&part), "{part}: {line}");
            }
            let others = |row: &Value| row["source"] == chosen;
            assert!(rows.iter().any(others), "{errors}");
            let (code, rows, errors) = survey(&[&options[..], &[only]].concat())?;
            assert_eq!(code, Some(0), "{errors}");
            assert!(!errors.contains("--source"), "{errors}");
            assert!(!rows.iter().any(others));
        }
    }
    let (code, _, errors) = survey(&SOURCES)?;
    assert_eq!(code, Some(0), "{errors}");
    assert!(!errors.contains("--source"), "{errors}");
    Ok(())
}

pub fn refusals_are_named() -> Outcome {
    for (options, parts) in [
        (
            &["--source", "203.0.113.9"][..],
            ["--source 203.0.113.9", "not an address of this machine"],
        ),
        (
            &["--source", "2001:db8::99"],
            ["--source 2001:db8::99", "ip address"],
        ),
        (
            &["--interface", "nosuch0"],
            ["--interface nosuch0", "ip link"],
        ),
    ] {
        let (code, rows, errors) = survey(options)?;
        assert_eq!(code, Some(1), "{options:?}: {errors}");
        assert!(rows.is_empty());
        for part in parts {
            assert!(errors.contains(part), "{options:?}: {errors}");
        }
    }
    Ok(())
}

/// Larger than the device takes: no probe leaves, and every target says why.
pub fn too_large_is_a_send_error() -> Outcome {
    let (code, rows, errors) = survey(&["--packet-size", "3000"])?;
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row["status"], "send_error", "{row}");
        assert_eq!(row["reason"], "too_large", "{row}");
    }
    Ok(())
}
