//! Surveys that are ended from outside.

use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::account::{account, counts_agree};
use super::host::World;
use super::lab::{network, repository};
use super::program::{Started, pathsurvey, run};
use super::truth::rows_agree;
use crate::rows::{Dataset, batches, manifest, run_folder, verified_parts};
use crate::support::Outcome;

/// Options of a survey that goes on for many seconds and seals a part several times in each.
fn long_survey() -> Vec<String> {
    let list = repository().join("sample-targets/lab.csv");
    let options = [
        "--rate",
        "3k",
        "--window",
        "300",
        "--seal-interval",
        "0.2",
        "-i",
    ];
    let mut options: Vec<String> = options.map(str::to_owned).into();
    options.push(list.to_str().unwrap().to_owned());
    options
}

fn options(more: &[&str]) -> Vec<String> {
    long_survey()
        .into_iter()
        .chain(more.iter().map(|option| (*option).to_owned()))
        .collect()
}

/// Waits until a survey has sealed parts of both tables.
fn sealed_some(survey: &mut Started, directory: &Path) {
    survey.until("two parts were sealed", || {
        let manifest = manifest(directory)?;
        let parts = |table| manifest["tables"][table]["parts"].as_array().map(Vec::len);
        (parts("hops")? >= 2 && parts("traces")? >= 2).then_some(())
    });
}

/// Everything in `directory` that looks like data is whole, whether or not the manifest knows of it yet.
fn all_whole(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "parquet") {
                assert!(
                    batches(&path)
                        .iter()
                        .map(|batch| batch.num_rows())
                        .sum::<usize>()
                        > 0
                );
                found.push(path);
            }
        }
    }
    found
}

pub fn killed() -> Outcome {
    let world = World::start(&network("generated-clean.toml"))?;
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    let options = options(&[]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut survey = Started::new(world.survey(&night, &options));
    sealed_some(&mut survey, &night);
    survey.signal("KILL");
    assert_eq!(survey.wait().code(), None);

    let left = manifest(&night).unwrap();
    assert_eq!(
        (&left["state"], &left["ended_at"]),
        (&"running".into(), &serde_json::Value::Null)
    );
    let listed: Vec<PathBuf> = ["hops", "traces"]
        .iter()
        .flat_map(|table| verified_parts(&night, &left, table))
        .collect();
    let whole = all_whole(&night);
    assert!(listed.iter().all(|path| whole.contains(path)));
    // At most what was sealed after the last manifest.
    assert!(whole.len() - listed.len() <= 2, "{whole:?}");
    let dataset = Dataset::read(&night);
    rows_agree(&network("generated-clean.toml"), &dataset, true);
    let probes: HashSet<i64> = dataset.hops.iter().map(|row| row.probe_id).collect();
    assert_eq!(probes.len(), dataset.hops.len());

    // The next night in the same directory: the dead run's parts stay, its manifest says that it is dead, its unfinished files go.
    let of_run = run_folder(&night, &left);
    let torn = of_run.join(".partial/hops-part-x-00000.parquet.tmp");
    std::fs::write(&torn, "torn").unwrap();
    let (code, _, told) = run(world.survey(&night, &["198.18.0.0/28", "-c", "0"]));
    assert_eq!(code, Some(0), "{told}");
    let second = Dataset::read(&night);
    assert_eq!(second.manifest["state"], "complete");
    assert_eq!(second.traces.len(), 16);
    assert!(!torn.exists());
    let run_id = left["run_id"].as_str().unwrap();
    let kept = std::fs::read(of_run.join("manifest.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    assert!(told.contains(&format!("run {run_id} was killed")), "{told}");
    assert_eq!(kept["state"], "killed");
    assert!(kept["exit_reason"].is_string());
    assert_eq!(kept["config"], left["config"]);
    for table in ["hops", "traces"] {
        verified_parts(&night, &left, table);
    }
    world.stop();
    Ok(())
}

/// How the end of a survey is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// The signal is sent to the program so many times, 3 ms apart.
    Program(usize),
    /// Two signals are sent to the program's process group, 3 ms apart.
    Group,
    /// The time of timeout(1) is over. It sends the signal to the program, and then to its process group.
    Timeout,
}

/// Between two signals of one Ctrl-C.
const TOGETHER: Duration = Duration::from_millis(3);

/// What a survey leaves that `signal` ended. Where its messages can be read, they say once that it stops.
fn interrupted(signal: &str, asking: Asking, exit_code: i32) -> Outcome {
    let world = World::start(&network("generated-clean.toml"))?;
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    let options = options(&["-w", "1"]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut command = world.survey(&night, &options);
    let told = directory.path().join("told");
    if asking == Asking::Timeout {
        // Far longer than the survey takes; its alarm is sent by this test.
        let timeout = ["timeout", "-s", signal, "--preserve-status", "1000"];
        command = by_way_of(&timeout, &command);
    }
    command.process_group(0);
    let mut survey = match signal {
        // As when a connection drops: nobody reads messages any more.
        "HUP" => Started::unheard(heeding_sighup(&command)),
        _ => Started::telling(command, &told),
    };
    sealed_some(&mut survey, &night);
    match asking {
        Asking::Program(times) => {
            for _ in 0..times {
                survey.signal(signal);
                std::thread::sleep(TOGETHER);
            }
        }
        Asking::Group => {
            for _ in 0..2 {
                survey.signal_group(signal);
                std::thread::sleep(TOGETHER);
            }
        }
        Asking::Timeout => survey.signal("ALRM"),
    }
    assert_eq!(survey.wait().code(), Some(exit_code));
    if signal != "HUP" {
        let told = std::fs::read_to_string(&told).unwrap();
        let stopping =
            "stopping: waiting up to 1 s for pending replies; press Ctrl-C again to end at once\n";
        assert_eq!(told.matches(stopping).count(), 1, "{told}");
        assert!(told.contains("survey interrupted"), "{told}");
        assert!(!told.contains("at once:"), "{told}");
    }

    let (log, counts) = world.stop();
    assert_eq!((counts.device_dropped, counts.overflowed), (Some(0), 0));
    let dataset = Dataset::read(&night);
    assert_eq!(dataset.manifest["state"], "interrupted");
    assert_eq!(dataset.manifest["exit_reason"], format!("SIG{signal}"));
    assert!(dataset.manifest["ended_at"].is_string());
    // One row for each packet that left, and one packet for each row.
    assert_eq!(account(&dataset, &log).len(), log.len());
    assert_eq!(dataset.count("/probes/sent"), log.len() as u64);
    counts_agree(&dataset);
    rows_agree(&network("generated-clean.toml"), &dataset, true);
    all_whole(&night);
    // What was on its way was waited for; traces that would have gone on say so.
    assert!(dataset.probes().all(|row| row.status == "replied"));
    let ended = |reason| {
        dataset
            .traces
            .iter()
            .filter(|trace| trace.stop_reason == reason)
            .count()
    };
    let (completed, open) = (ended("completed"), ended("interrupted"));
    assert!(
        completed > 0 && open > 0,
        "{completed} completed, {open} open"
    );
    assert_eq!(completed + open, dataset.traces.len());
    assert!(dataset.traces.len() < 6_144);
    let traces: HashSet<i64> = dataset.traces.iter().map(|trace| trace.trace_id).collect();
    assert!(
        dataset
            .hops
            .iter()
            .all(|row| traces.contains(&row.trace_id))
    );
    Ok(())
}

pub fn by_sigint() -> Outcome {
    interrupted("INT", Asking::Program(1), 130)
}

pub fn by_sigterm() -> Outcome {
    interrupted("TERM", Asking::Program(1), 143)
}

/// A Ctrl-C that arrives several times is one.
pub fn by_several_sigints_together() -> Outcome {
    interrupted("INT", Asking::Program(5), 130)
}

pub fn by_two_signals_to_the_group() -> Outcome {
    interrupted("INT", Asking::Group, 130)
}

pub fn by_timeout() -> Outcome {
    interrupted("INT", Asking::Timeout, 130)
}

/// The shell and the terminal of a dropped connection send one each: the second must not end the survey at once.
pub fn by_sighup() -> Outcome {
    interrupted("HUP", Asking::Program(2), 129)
}

/// At the end of its time a survey stops as after a signal, with a code of its own.
pub fn by_its_longest_duration() -> Outcome {
    let world = World::start(&network("generated-clean.toml"))?;
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    let options = options(&["--max-duration", "700ms", "-w", "1", "-c", "1"]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (code, _, told) = run(world.survey(&night, &options));
    assert_eq!(code, Some(5), "{told}");
    assert!(told.contains("stopping at --max-duration"), "{told}");
    let (log, _) = world.stop();
    let dataset = Dataset::read(&night);
    assert_eq!(dataset.manifest["state"], "interrupted");
    assert_eq!(dataset.manifest["exit_reason"], "max_duration");
    assert_eq!(account(&dataset, &log).len(), log.len());
    counts_agree(&dataset);
    rows_agree(&network("generated-clean.toml"), &dataset, true);
    // Nothing is sent after the limit. The last batch may take its time.
    let times = || dataset.probes().filter_map(|row| row.sent_at);
    let (first, last) = (times().min().unwrap(), times().max().unwrap());
    assert!(last - first < 800_000, "{} us", last - first);
    assert!(dataset.probes().all(|row| row.status == "replied"));
    Ok(())
}

/// Under nohup a survey goes on to its end.
pub fn ignoring_sighup() -> Outcome {
    let world = World::start(&network("clean.toml"))?;
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    let command = world.survey(&night, &["198.18.0.0/26", "--rate", "200", "-c", "1"]);
    let mut survey = Started::new(by_way_of(
        &["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"],
        &command,
    ));
    survey.until("the manifest is there", || manifest(&night));
    survey.signal("HUP");
    assert_eq!(survey.wait().code(), Some(0));
    world.stop();
    let dataset = Dataset::read(&night);
    assert_eq!(dataset.manifest["state"], "complete");
    assert_eq!(dataset.traces.len(), 64);
    Ok(())
}

/// Started so that it heeds SIGHUP, whatever the tests themselves were started with.
fn heeding_sighup(command: &Command) -> Command {
    by_way_of(&["env", "--default-signal=HUP"], command)
}

/// `command` started by another program, whose place it takes.
fn by_way_of(starter: &[&str], command: &Command) -> Command {
    let mut started = Command::new(starter[0]);
    started.args(&starter[1..]).arg(command.get_program());
    started.args(command.get_args());
    started
}

/// Signals that are this far apart are two.
const APART: Duration = Duration::from_millis(600);

/// Silent targets with a long timeout make the orderly end take minutes; a second signal does not wait for it.
pub fn at_once() -> Outcome {
    ended_at_once(&[], 130, "SIGINT")
}

/// The end of the time is no signal: of two signals after it, the second one ends the survey at once.
pub fn at_once_after_its_longest_duration() -> Outcome {
    ended_at_once(&["--max-duration", "2"], 5, "max_duration")
}

/// Ends a survey with two signals. If `options` limit its duration, they come after that.
fn ended_at_once(options: &[&str], exit_code: i32, reason: &str) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    let network = repository().join("labs/silence.toml");
    let list = directory.path().join("list");
    // A hundred silent targets first, then those that answer and fill parts.
    std::fs::write(&list, "198.18.1.0/25\n198.18.0.0/24\n").unwrap();
    let mut command = pathsurvey(&["survey", "--lab"]);
    command
        .arg(&network)
        .arg("-i")
        .arg(&list)
        .arg("-o")
        .arg(&night);
    command.args([
        "-w",
        "600",
        "--rate",
        "200",
        "--strategy",
        "sweep",
        "--seal-interval",
        "0.2",
    ]);
    command.args(options);
    let told = directory.path().join("told");
    let mut survey = Started::telling(command, &told);
    survey.until("a part was sealed", || {
        let manifest = manifest(&night)?;
        let parts = manifest["tables"]["hops"]["parts"].as_array()?.len();
        (parts >= 2).then_some(())
    });
    let stopping = |told: &Path| {
        let told = std::fs::read_to_string(told).unwrap();
        told.contains("stopping at --max-duration")
    };
    if !options.is_empty() {
        survey.until("its time was over", || stopping(&told).then_some(()));
    }
    survey.signal("INT");
    std::thread::sleep(APART);
    assert!(survey.ended().is_none());
    survey.signal("TERM");
    assert_eq!(survey.wait().code(), Some(exit_code));
    let told = std::fs::read_to_string(&told).unwrap();
    let stops = match options {
        [] => ["stopping: ", "survey interrupted"],
        _ => [
            "stopping at --max-duration: ",
            "survey ended by --max-duration",
        ],
    };
    for part in stops.into_iter().chain(["ending at once: "]) {
        assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
    }
    let left = manifest(&night).unwrap();
    assert_eq!(left["state"], "interrupted");
    assert_eq!(left["exit_reason"], reason);
    let pending = left["run"]["pending_at_end"].as_u64().unwrap();
    assert!(pending > 0);
    let warning = format!("the run ended while {pending} probes were pending");
    assert!(left["warnings"][0].as_str().unwrap().starts_with(&warning));
    // All that is settled is there, and nothing else.
    let listed = verified_parts(&night, &left, "hops");
    assert_eq!(listed.len(), all_whole(&night.join("hops")).len());
    let dataset = Dataset::read(&night);
    counts_agree(&dataset);
    assert_eq!(dataset.count("/probes/by_status/timeout"), 0);
    Ok(())
}

/// Writing hangs, because nobody reads the rows. The third signal, or ten seconds, end the program.
pub fn in_spite_of_a_hanging_writer() -> Outcome {
    for signals in [3, 2] {
        let targets = ["survey", "--lab", "198.18.0.0/18", "--rate", "20k"];
        let mut command = pathsurvey(&targets);
        command.args(["-o", "-", "--format", "csv"]);
        let mut survey = Started::unread(command);
        // The pipe holds 64 KiB, and nobody empties it.
        survey.until_writing_hangs();
        for _ in 0..signals {
            assert!(survey.ended().is_none());
            survey.signal("INT");
            std::thread::sleep(APART);
        }
        if signals == 2 {
            assert!(survey.ended().is_none());
        }
        assert_eq!(survey.wait().code(), Some(130));
    }
    Ok(())
}
