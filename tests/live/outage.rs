//! Interfaces that go while a survey runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use pathsurvey::lab::driver::enter_namespace;
use serde_json::Value;

use super::host::allowed;
use super::program::{Started, pathsurvey};
use crate::rows::manifest;
use crate::support::{Ignored, Outcome};

/// Runs `ip` with the words of `arguments`.
fn ip(arguments: &str) -> Outcome {
    match Command::new("ip").args(arguments.split(' ')).output() {
        Err(error) => Err(Ignored(format!("ip cannot be run: {error}"))),
        Ok(done) => {
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success(), "ip {arguments}: {told}");
            Ok(())
        }
    }
}

/// Two interfaces that lead nowhere: one for 198.18.0.0/24, one for 198.18.1.0/24. 198.18.2.0/24 has no route.
pub fn network() -> Outcome {
    for number in 0..2 {
        let (device, gateway) = (format!("up{number}"), format!("10.9.{number}.2"));
        ip(&format!(
            "link add {device} type veth peer name far{number}"
        ))?;
        ip(&format!("address add 10.9.{number}.1/24 dev {device}"))?;
        ip(&format!("link set far{number} up"))?;
        ip(&format!("link set {device} up"))?;
        let address = "lladdr 02:00:00:00:00:09";
        ip(&format!("neigh add {gateway} {address} dev {device}"))?;
        ip(&format!("route add 198.18.{number}.0/24 via {gateway}"))?;
    }
    Ok(())
}

/// The state, the exit code and what was not sent, by reason.
struct Ended {
    state: String,
    code: Option<i32>,
    not_sent: BTreeMap<String, u64>,
    probes: u64,
    told: String,
    warnings: String,
}

/// Surveys with `options`. When some probes have been sent, runs `ip` with each of `changes`.
fn survey(options: &[&str], changes: &[&str]) -> Result<Ended, Ignored> {
    let directory = tempfile::tempdir().unwrap();
    let (night, told) = (
        directory.path().join("night"),
        directory.path().join("told"),
    );
    let mut command = pathsurvey(&["survey", "--allow-special"]);
    // Ordinary UDP sockets send no sweep.
    if !options.contains(&"dgram") {
        command.args(["--strategy", "sweep"]);
    }
    command.args([
        "-m",
        "4",
        "--rate",
        "400",
        "-w",
        "0.2",
        "--seal-interval",
        "0.1",
    ]);
    command.args(options).arg("-o").arg(&night);
    let mut survey = Started::telling(command, &told);
    survey.until("a part was sealed", || sealed(&night));
    for change in changes {
        ip(change)?;
    }
    let code = survey.wait().code();
    let manifest = manifest(&night).unwrap();
    let count = |entry: &Value| {
        let reason = entry["reason"].as_str().unwrap().to_owned();
        (reason, entry["probes"].as_u64().unwrap())
    };
    Ok(Ended {
        state: manifest["state"].as_str().unwrap().to_owned(),
        code,
        not_sent: manifest["run"]["not_sent"]
            .as_array()
            .unwrap()
            .iter()
            .map(count)
            .collect(),
        probes: manifest["probes"]["total"].as_u64().unwrap(),
        told: std::fs::read_to_string(&told).unwrap(),
        warnings: manifest["warnings"].to_string(),
    })
}

fn sealed(night: &Path) -> Option<()> {
    let parts = manifest(night)?["tables"]["hops"]["parts"]
        .as_array()?
        .len();
    (parts > 0).then_some(())
}

/// A named reason, a warning, the state and the exit code.
fn is_incomplete(ended: &Ended, reason: &str) {
    let told = &ended.told;
    assert_eq!(
        (ended.state.as_str(), ended.code),
        ("incomplete", Some(4)),
        "{told}"
    );
    let count = ended.not_sent.get(reason).copied().unwrap_or_default();
    assert!(count * 100 > ended.probes, "{:?}", ended.not_sent);
    assert!(told.contains("survey incomplete"), "{told}");
    for text in [told, &ended.warnings] {
        assert!(text.contains("could not be sent ("), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(
        !ended
            .not_sent
            .keys()
            .any(|reason| reason.starts_with("errno"))
    );
}

/// Its routes go with it.
pub fn down() -> Outcome {
    for transport in ["raw", "dgram"] {
        let _namespace = allowed(enter_namespace())?;
        network()?;
        let options = ["198.18.0.0/24", "198.18.1.0/24", "--transport", transport];
        is_incomplete(&survey(&options, &["link set up0 down"])?, "no_route");
    }
    Ok(())
}

/// Its number leads nowhere.
pub fn deleted() -> Outcome {
    for transport in ["raw", "dgram"] {
        let _namespace = allowed(enter_namespace())?;
        network()?;
        let options = [
            "198.18.0.0/24",
            "--interface",
            "up0",
            "--transport",
            transport,
        ];
        is_incomplete(&survey(&options, &["link del up0"])?, "no_interface");
    }
    Ok(())
}

/// It is the default route's, and so leaves the other's targets alone.
pub fn half_of_the_targets() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    network()?;
    let options = ["198.18.0.0/24", "198.18.1.0/24", "--source", "10.9.1.1"];
    let ended = survey(&options, &["route del 198.18.0.0/24"])?;
    is_incomplete(&ended, "no_route");
    Ok(())
}

/// Targets that had no route at the start do not count, whatever the source.
pub fn no_route_at_the_start() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    network()?;
    for more in [&[][..], &["--source", "10.9.0.1"]] {
        let targets = ["198.18.0.0/24", "198.18.2.0/25"];
        let ended = survey(&[&targets[..], more].concat(), &[])?;
        let told = &ended.told;
        assert_eq!(
            (ended.state.as_str(), ended.code),
            ("complete", Some(0)),
            "{told}"
        );
        assert_eq!(
            ended.not_sent,
            BTreeMap::from([("no_route".to_owned(), 4 * 128)])
        );
    }
    // Few probes do not make a run incomplete.
    let ended = survey(&["198.18.0.0/24", "198.18.1.9"], &["link set up1 down"])?;
    assert_eq!(
        (ended.state.as_str(), ended.code),
        ("complete", Some(0)),
        "{}",
        ended.told
    );
    Ok(())
}
