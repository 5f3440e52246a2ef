//! A test harness whose every case runs in a process of its own.
//!
//! Namespaces belong to threads and processes, and a user namespace can only be entered before a second thread starts: the
//! standard harness, with its threads, cannot do that. A test target with `harness = false` calls [`main`] with its cases; each
//! is run by starting the same program again with the case's name in the environment. Its output is shown only if it fails.
//!
//! A case passes by returning, fails by panicking (or taking longer than [`LIMIT`]), and is ignored, never passed, where it
//! lacks a privilege. With `CI=true` in the environment an ignored case counts as failed, so that nothing is left out unseen; but
//! for the few that are named in [`MAY_LACK`].

#![allow(
    clippy::disallowed_methods,
    reason = "tests may read clocks and open sockets"
)]
// Every test target uses a part of it.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The longest that a case may take: far more than any does, for machines that do much else beside.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Names the case that this process is to run.
const CASE: &str = "PATHSURVEY_TEST_CASE";

/// Exit code of an ignored case.
const IGNORED: u8 = 77;

/// Marks the line that says why a case is ignored.
const REASON: &str = "ignored because ";

/// Marks a line that is shown beside the name of a case that passes.
const NOTE: &str = "note: ";

/// Cases that CI, too, may ignore, each for this reason alone: they need what not every kernel is built with.
const MAY_LACK: [(&str, &str); 1] = [("a_routing_domain_is_left_by_its_devices", "no VRF")];

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// What a case comes to unless it panics: all that it asserts holds, or it could not be run here.
pub type Outcome = Result<(), Ignored>;

/// Why a case could not be run: the privilege or the program that is missing.
pub struct Ignored(pub String);

/// Who runs a case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Caller,
    /// A user without privilege: nobody, where root runs the tests.
    Ordinary,
    /// Root; ignored for others.
    Root,
}

/// A test.
pub struct Case {
    /// As shown, and as filters on the command line name it.
    pub name: &'static str,
    /// Who runs it.
    pub user: User,
    /// The test itself.
    pub run: fn() -> Outcome,
}

/// Runs the cases that the command line asks for, as the standard harness would, and says how they went.
pub fn main(cases: &[Case]) -> ExitCode {
    if let Ok(name) = std::env::var(CASE) {
        return run_here(cases, &name);
    }
    let arguments = Arguments::from_command_line();
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|case| arguments.choose(case.name))
        .collect();
    if arguments.list {
        for case in &chosen {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    report(&chosen, cases.len() - chosen.len())
}

/// What of the standard harness's command line matters here; its other flags are accepted and left aside.
#[derive(Default)]
struct Arguments {
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
    only_ignored: bool,
}

impl Arguments {
    fn from_command_line() -> Self {
        let mut parsed = Arguments::default();
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--exact" => parsed.exact = true,
                "--list" => parsed.list = true,
                "--ignored" => parsed.only_ignored = true,
                "--skip" => parsed.skipped.extend(given.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => {
                    drop(given.next())
                }
                flag if flag.starts_with('-') => {}
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        parsed
    }

    fn choose(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !self.only_ignored
            && (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skipped.iter().any(matches)
    }
}

fn report(cases: &[&Case], filtered: usize) -> ExitCode {
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    println!("\nrunning {} tests", cases.len());
    let (mut passed, mut ignored) = (0, 0);
    let mut failures = Vec::new();
    let began = Instant::now();
    for case in cases {
        print!("test {} ... ", case.name);
        // Before a case that may be long; a closed terminal is no reason to fail it.
        let _ = std::io::stdout().flush();
        match run_in_child(case) {
            Verdict::Passed(notes) => {
                passed += 1;
                println!("ok{notes}");
            }
            Verdict::Ignored(reason) if strict && !MAY_LACK.contains(&(case.name, &reason)) => {
                println!("FAILED");
                failures.push((
                    case.name,
                    format!("ignored, which CI does not allow: {reason}"),
                ));
            }
            Verdict::Ignored(reason) => {
                ignored += 1;
                println!("ignored, {reason}");
            }
            Verdict::Failed(output) => {
                println!("FAILED");
                failures.push((case.name, output));
            }
        }
    }
    for (name, output) in &failures {
        println!("\n---- {name} ----\n{output}");
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {filtered} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        failures.len(),
        began.elapsed().as_secs_f64(),
    );
    ExitCode::from(if failures.is_empty() { 0 } else { 101 })
}

enum Verdict {
    /// With what it noted.
    Passed(String),
    Ignored(String),
    /// With what the case printed.
    Failed(String),
}

fn run_in_child(case: &Case) -> Verdict {
    let root = is_root();
    if case.user == User::Root && !root {
        return Verdict::Ignored("needs root".to_owned());
    }
    // Not by its path: that may lead through directories closed to an ordinary user.
    let mut command = Command::new("/proc/self/exe");
    command
        .env(CASE, case.name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if case.user == User::Ordinary && root {
        command.uid(NOBODY).gid(NOBODY);
    }
    match command.spawn() {
        Ok(child) => judge(child),
        Err(error) => Verdict::Failed(format!("cannot start the case's process: {error}")),
    }
}

/// Waits for the case's end, at most [`LIMIT`].
fn judge(mut child: Child) -> Verdict {
    let (done, ended) = mpsc::channel();
    let readers = [
        child
            .stdout
            .take()
            .map(|stream| collect(stream, done.clone())),
        child.stderr.take().map(|stream| collect(stream, done)),
    ];
    // The streams close when the case (and whatever it has started) ends.
    let deadline = Instant::now() + LIMIT;
    let in_time = readers.iter().all(|_| {
        let left = deadline.saturating_duration_since(Instant::now());
        ended.recv_timeout(left).is_ok()
    });
    if !in_time {
        // It may have ended in this moment; `wait` tells.
        let _ = child.kill();
    }
    let status = child.wait();
    let mut output = String::new();
    if !in_time {
        output = format!("not done after {LIMIT:?}, stopped\n");
    } else {
        for text in readers.into_iter().flatten() {
            output += &text.join().unwrap_or_default();
        }
    }
    match status {
        Ok(status) if in_time && status.success() => {
            let notes = output.lines().filter_map(|line| line.strip_prefix(NOTE));
            Verdict::Passed(notes.map(|note| format!(", {note}")).collect())
        }
        Ok(status) if in_time && status.code() == Some(IGNORED.into()) => {
            let reason = output.lines().find_map(|line| line.strip_prefix(REASON));
            Verdict::Ignored(reason.unwrap_or("no reason given").to_owned())
        }
        Ok(status) => Verdict::Failed(format!("{output}({status})")),
        Err(error) => Verdict::Failed(format!("{output}(lost: {error})")),
    }
}

fn collect(
    mut stream: impl Read + Send + 'static,
    done: mpsc::Sender<()>,
) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Whatever was read before an error is shown all the same.
        let _ = stream.read_to_end(&mut bytes);
        // Nobody listens once the limit has passed.
        let _ = done.send(());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// In the case's own process, on its only thread.
fn run_here(cases: &[Case], name: &str) -> ExitCode {
    let Some(case) = cases.iter().find(|case| case.name == name) else {
        eprintln!("there is no case {name}");
        return ExitCode::FAILURE;
    };
    match catch_unwind(AssertUnwindSafe(case.run)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Ignored(reason))) => {
            println!("{REASON}{reason}");
            ExitCode::from(IGNORED)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Notes something that is shown beside the case's name if it passes.
pub fn note(what: &str) {
    println!("{NOTE}{what}");
}

/// Whether this process acts as root.
pub fn is_root() -> bool {
    effective_user() == Some(0)
}

fn effective_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}
