//! `pathsurvey datasets compact` over sweeps: the traces that they gain.

use std::net::IpAddr;

use pathsurvey::dataset::read::{Checks, Dataset, Row, Trace};
use pathsurvey::lab::{LabNetwork, TruthFlow};
use pathsurvey::model::Ttl;

use super::*;

const MAX_TTL: u8 = 12;

/// Surveys a network of `labs` into `out`, with labels and two flows per target.
fn surveyed(place: &Place, network: &str, strategy: &str, further: &[&str]) -> String {
    let prefixes = match network {
        "dual-stack" => "198.18.0.0/29,north\n2001:db8:1000::/125,south\n",
        "hosts" => "198.18.0.0/30,north\n198.18.1.0/30,south\n198.18.2.0/30,\n",
        _ => "198.18.0.0/29,north\n198.18.1.0/30,south\n198.18.9.9,\n",
    };
    let list = place.file("list.csv", format!("target,region\n{prefixes}"));
    let out = place.text(&format!("{network}-{strategy}"));
    let lab = format!("--lab=labs/{network}.toml");
    let max_ttl = MAX_TTL.to_string();
    let mut arguments = vec!["survey", "--virtual-time", "-e", "1", &lab];
    arguments.extend(["--strategy", strategy, "-m", &max_ttl, "--flows", "2"]);
    arguments.extend(["-i", &list, "-o", &out]);
    arguments.extend(further);
    let ended = run(&arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", errors(&ended));
    out
}

/// Compacts, and returns what was printed.
fn compacted(arguments: &[&str]) -> String {
    let ended = run(&[&["datasets", "compact"], arguments].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", errors(&ended));
    assert_eq!(errors(&ended), "");
    text(&ended.stdout)
}

fn whole(root: &str) -> Dataset {
    let dataset = Dataset::open(root).expect("a dataset");
    let faults = dataset.verify(Checks::ALL, |_| ()).expect("a directory");
    assert!(faults.is_empty(), "{faults:?}");
    dataset
}

/// The columns that do not depend on the order and number of the probes.
fn facts(row: Row<'_>) -> Value {
    let mut facts = row.to_json();
    let members = facts.as_object_mut().expect("an object");
    for name in [
        "run_id",
        "survey_id",
        "method",
        "started_at",
        "finished_at",
        "attempts",
        "gap_limit",
        "max_ttl",
        "probes_sent",
        "replies",
    ] {
        members.remove(name).expect(name);
    }
    // A sweep has no gap limit.
    if members["stop_reason"] == "gap_limit" {
        members["stop_reason"] = "max_ttl".into();
    }
    facts
}

fn traces(dataset: &Dataset) -> Vec<Trace<'_>> {
    let traces = dataset.traces().iter().expect("traces");
    let mut traces: Vec<_> = traces.map(|trace| trace.expect("a trace")).collect();
    traces.sort_by_key(Trace::id);
    traces
}

/// The rows with `on_path`, joined by `trace_id`, are the path.
fn check_join(trace: &Trace<'_>) {
    let row = trace.row();
    let on_path = trace.hops().iter();
    let on_path = on_path.filter(|hop| hop.bool("on_path").expect("a flag") == Some(true));
    let hops: Vec<(i64, Option<IpAddr>)> = on_path
        .map(|hop| {
            let ttl = hop.int("ttl").expect("a column").expect("a TTL");
            (ttl, hop.address("responder").expect("an address"))
        })
        .collect();
    let first = row.int("first_ttl").expect("a column");
    let path = row.addresses("path").expect("a column").unwrap_or_default();
    let path: Vec<_> = (first.unwrap_or_default()..).zip(path).collect();
    assert_eq!(hops, path, "{row:?}");
}

#[test]
fn a_compacted_sweep_has_the_traces_that_a_trace_has() {
    let place = Place::new();
    let mut compared = 0;
    for (network, protocol) in [
        ("clean", "udp"),
        ("clean", "icmp"),
        ("clean", "tcp"),
        ("diamond", "udp"),
        ("dual-stack", "icmp"),
        ("mpls", "icmp"),
        ("nat", "icmp"),
        ("zero-ttl", "icmp"),
        ("silence", "icmp"),
        ("hosts", "icmp"),
        ("unreachable", "icmp"),
        ("loop", "icmp"),
        ("other-address", "icmp"),
    ] {
        let protocol = ["--protocol", protocol];
        let sweep = surveyed(&place, network, "sweep", &protocol);
        let trace = surveyed(&place, network, "trace", &protocol);
        let told = compacted(&[&sweep]);
        assert!(told.contains("traces added"), "{told}");
        let (swept, traced) = (whole(&sweep), whole(&trace));
        let (swept, traced) = (traces(&swept), traces(&traced));
        assert_eq!(swept.len(), traced.len(), "{network}");
        for (swept, traced) in swept.iter().zip(&traced) {
            assert_eq!(
                facts(swept.row()),
                facts(traced.row()),
                "{network} {protocol:?}"
            );
            check_join(swept);
            compared += 1;
        }
        for root in [&sweep, &trace] {
            fs::remove_dir_all(root).expect("a directory");
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn the_paths_of_a_compacted_sweep_are_those_of_the_lab() {
    let place = Place::new();
    for network in ["clean", "diamond", "silence", "generated-clean"] {
        let out = surveyed(&place, network, "sweep", &["--seal-rows", "100"]);
        compacted(&[&out]);
        let file = format!("labs/{network}.toml");
        let lab = LabNetwork::from_file(Path::new(&file)).expect("a network");
        let dataset = whole(&out);
        let mut silent = 0;
        for trace in traces(&dataset) {
            let row = trace.row();
            let port = |name| row.int(name).expect("a column").expect("a port") as u16;
            let destination = row.address("destination").expect("a column");
            let destination = destination.expect("an address");
            let flow = TruthFlow::udp(destination, port("src_port"), port("dst_port"));
            let truth = lab.truth(flow, Ttl(MAX_TTL));
            let mut expected: Vec<_> = truth.hops.iter().map(|hop| hop.responder()).collect();
            while expected.last() == Some(&None) {
                expected.pop();
            }
            let path = row.addresses("path").expect("a column");
            assert_eq!(path, Some(expected), "{network} {row:?}");
            let reached = row.bool("reached").expect("a column");
            assert_eq!(reached, Some(truth.reached()), "{network} {row:?}");
            silent += u32::from(!truth.reached());
        }
        assert!(network != "silence" || silent > 0, "every target answers");
    }
}

#[test]
fn a_sweep_is_compacted_once_and_a_copy_leaves_it_as_it_is() {
    let place = Place::new();
    let out = surveyed(&place, "clean", "sweep", &["--seal-rows", "100"]);
    let copy = place.text("copy");
    let told = compacted(&[&out, "--to", &copy]);
    assert!(told.contains("; 26 traces added"), "{told}");
    assert_eq!(traces(&whole(&out)).len(), 0);
    let dataset = whole(&copy);
    let copied = traces(&dataset);
    assert_eq!(copied.len(), 26);
    let region = |trace: &Trace<'_>| trace.row().map("labels").expect("a column");
    let north = Some(vec![("region".to_owned(), "north".to_owned())]);
    assert_eq!(
        copied.iter().filter(|trace| region(trace) == north).count(),
        16
    );
    compacted(&[&out]);
    let again = compacted(&[&out]);
    assert!(again.contains("stays as it is"), "{again}");
    let manifest = json_file(&place.path("clean-sweep").join("manifest.json"));
    assert_eq!(manifest["run"]["traces_ended"], 26);
}

/// A lock of a night, as another process has it.
fn locked(out: &str) -> fs::File {
    let night = Path::new(out).join("runs/date=2026-01-01/vp=id-night-1");
    let lock = fs::File::options();
    let lock = { lock }.write(true).open(night.join(".lock"));
    let lock = lock.expect("the lock of the night");
    lock.lock().expect("the lock");
    lock
}

#[test]
fn a_locked_night_is_named_and_the_exit_code_says_that_runs_are_left() {
    let place = Place::new();
    let night = ["--vantage", "night-1", "--seal-rows", "100"];
    let out = surveyed(&place, "clean", "sweep", &night);
    // Another seed, because in virtual time the id of a run comes from it.
    let other = [
        "survey",
        "--virtual-time",
        "-e",
        "2",
        "--lab=labs/clean.toml",
    ];
    let sweep = [
        "--strategy",
        "sweep",
        "-m",
        "12",
        "--seal-rows",
        "100",
        "-o",
        &out,
    ];
    let vantage = ["--vantage", "night-2", "198.18.0.0/29"];
    check(&run(&[&other[..], &sweep, &vantage].concat()), 0, &[]);
    let lock = locked(&out);
    let ended = run(&["datasets", "compact", &out]);
    check(&ended, 4, &["1 run was left out", "compact again"]);
    let told = text(&ended.stdout);
    assert!(told.contains("a process writes into its night"), "{told}");
    assert!(told.contains("traces added"), "{told}");
    drop(lock);
    let told = compacted(&[&out]);
    assert!(told.contains("26 traces added"), "{told}");
}
