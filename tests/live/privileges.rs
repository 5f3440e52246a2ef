//! What a survey may still do while it goes on: nothing that any user could not.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use pathsurvey::dataset::Output;
use pathsurvey::engine::stop::Stop;
use pathsurvey::lab::driver::NamespaceError;
use pathsurvey::survey::{Observer, Progress, Simulation, SurveyError, run_over};

use super::lab::{config, network, repository};
use super::program::{pathsurvey, run};
use crate::rows::Dataset;
use crate::support::{Ignored, Outcome, is_root};

const NOBODY: u32 = 65534;

const OURS: &str = "/proc/self/task";

/// Every set of a thread, and whether it can gain privileges.
const LINES: [&str; 6] = [
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
];

/// A thread's name and [`LINES`].
#[derive(Debug)]
pub struct Thread {
    name: String,
    values: Vec<u64>,
}

fn thread(status: &str) -> Thread {
    let value = |wanted: &str| {
        let line = |line: &str| {
            line.strip_prefix(wanted)?
                .strip_prefix(':')
                .map(str::to_owned)
        };
        status.lines().find_map(line).unwrap().trim().to_owned()
    };
    Thread {
        name: value("Name"),
        values: LINES
            .map(|line| u64::from_str_radix(&value(line), 16).unwrap())
            .into(),
    }
}

/// Whether a thread of an ordinary user gave up all that it could: everything but the bounding set.
pub fn without_privileges(thread: &Thread) -> bool {
    let [inheritable, permitted, effective, _, ambient, no_new] = thread.values[..] else {
        return false;
    };
    [inheritable, permitted, effective, ambient, no_new] == [0, 0, 0, 0, 1]
}

/// The threads in `tasks`, a process's directory of them.
pub fn threads(tasks: &str) -> Vec<Thread> {
    let status = |entry: std::io::Result<fs::DirEntry>| {
        // One that has ended meanwhile has none.
        fs::read_to_string(entry.unwrap().path().join("status")).ok()
    };
    fs::read_dir(tasks)
        .unwrap()
        .filter_map(status)
        .map(|status| thread(&status))
        .collect()
}

/// Looks at all threads each time that it is called while probes are being sent.
#[derive(Default)]
struct Looking {
    before: Vec<Thread>,
    sending: Vec<Vec<Thread>>,
}

impl Observer for Looking {
    fn started(&mut self, _plan: &pathsurvey::survey::Plan) {
        // As parsing and sorting long lists does.
        rayon::broadcast(|_| ());
        self.before = threads(OURS);
    }

    fn progress(&mut self, progress: Progress) {
        if progress.sent > 0 {
            self.sending.push(threads(OURS));
        }
    }
}

/// A survey in the lab with names among its targets, so that threads of every kind have been there.
fn look() -> Outcome {
    let network = network("generated-clean.toml");
    let mut config = config(&[
        "198.18.0.0/24",
        "198.18.1.0/24",
        "one.example",
        "two.example",
    ]);
    config.cooldown = Duration::from_millis(300);
    // In the lab names are asked for only where a server was named; here the closure below stands for it.
    config.targets.resolvers = vec!["127.0.0.1:53".parse().unwrap()];
    let directory = tempfile::tempdir().unwrap();
    let mut looking = Looking::default();
    let end = run_over(
        Simulation::from(network),
        &config.validate().unwrap(),
        &Output::Directory(directory.path().join("night")),
        &|name: &str| {
            // Already here: what answers is the network.
            let status = fs::read_to_string("/proc/thread-self/status")?;
            assert_eq!(thread(&status).values, [0, 0, 0, 0, 0, 1], "{name}");
            Ok(vec![[198, 18, 7, name.len() as u8].into()])
        },
        &Stop::default(),
        &mut looking,
    );
    match end {
        Err(SurveyError::Namespace(error)) if NamespaceError::is_refusal(&error) => {
            return Err(Ignored(error.to_string()));
        }
        end => assert_eq!(end.unwrap().lab.unwrap().device_dropped, Some(0)),
    }
    // There was something to give up.
    assert!(looking.before.iter().any(|thread| thread.values[1] != 0));
    assert!(!looking.sending.is_empty());
    for threads in &looking.sending {
        for thread in threads {
            assert_eq!(thread.values, [0, 0, 0, 0, 0, 1], "{thread:?}");
        }
    }
    assert!(looking.sending.iter().any(|threads| {
        // Main, lab, sender, receiver, collector at least.
        threads.len() >= 5 && threads.iter().any(|thread| thread.name == "lab")
    }));
    let dataset = Dataset::read(&directory.path().join("night"));
    assert_eq!(dataset.manifest["state"], "complete");
    assert_eq!(dataset.traces.len(), 512 + 1);
    // Before the start, the receiver heard what was sent over loopback, and no thread kept anything.
    assert_eq!(dataset.manifest["warnings"], serde_json::json!([]));
    let vantage = &dataset.manifest["vantage"];
    assert_eq!(vantage["interface"], "lab0");
    assert_eq!(vantage["conntrack"], false);
    assert!(vantage["clock_synchronised"].is_boolean() && vantage["clock_error_us"].is_i64());
    Ok(())
}

pub fn given_up() -> Outcome {
    look()
}

pub fn given_up_in_a_user_namespace() -> Outcome {
    look()
}

/// A directory that is `nobody`'s alone.
fn private() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    directory
}

fn lab_survey(output: &Path) -> (Option<i32>, String, String) {
    let mut command = pathsurvey(&["survey", "--lab", "198.18.0.0/28", "-w", "1", "-o"]);
    command.arg(output);
    run(command)
}

/// Root may not write into others' directories once it is nothing but a number: the survey goes on as their owner.
pub fn root_writes_as_the_owner() -> Outcome {
    assert!(is_root());
    let home = private();
    let night = home.path().join("nights/one");
    let (code, _, told) = lab_survey(&night);
    assert_eq!(code, Some(0), "{told}");
    let dataset = Dataset::read(&night);
    assert_eq!(dataset.manifest["state"], "complete");
    assert_eq!(
        dataset.count("/run/setup/went_on_as_user"),
        u64::from(NOBODY)
    );
    for path in [
        &night,
        &night.join("manifest.json"),
        &home.path().join("nights"),
    ] {
        assert_eq!(fs::metadata(path).unwrap().uid(), NOBODY, "{path:?}");
    }
    Ok(())
}

/// Neither root nor the owner may write there: said before the first probe.
pub fn a_closed_place_is_refused_at_once() -> Outcome {
    let home = private();
    let night = home.path().join("night");
    fs::create_dir(&night).unwrap();
    let (code, _, told) = lab_survey(&night);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("night") && told.contains("continues as user 0") && told.contains("chown"),
        "{told}"
    );
    assert_eq!(fs::read_dir(&night).unwrap().count(), 0);
    Ok(())
}

/// Programs in the lab keep what they need.
pub fn lab_exec_keeps_them() -> Outcome {
    let mut command = pathsurvey(&["lab", "exec", "--", "cat", "/proc/self/status"]);
    command.current_dir(repository());
    let (code, status, told) = run(command);
    if told.contains("namespace") && code == Some(1) {
        return Err(Ignored(told));
    }
    assert_eq!(code, Some(0), "{told}");
    let thread = thread(&status);
    // CAP_NET_RAW is number 13 (capabilities(7)).
    assert_ne!(thread.values[2] & 1 << 13, 0, "{thread:?}");
    assert_eq!(thread.values[5], 0);
    Ok(())
}
