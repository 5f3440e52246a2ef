//! A test harness that runs every case in its own process.
//!
//! Namespaces belong to threads and processes, and only a process with one thread can enter a user namespace. The standard harness has
//! threads, so it cannot do that. A test target with `harness = false` calls [`main`] with its cases. For each case, the program starts
//! itself again with the case's name in the environment. A case's output is shown only if it fails.
//!
//! | a case | result |
//! |---|---|
//! | returns | passed |
//! | panics, or takes longer than [`LIMIT`] | failed |
//! | lacks a privilege or a program | ignored, never passed |
//! | lacks one, with `CI=true` in the environment | failed, except for the cases in [`MAY_LACK`] |

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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The longest time for a case. It is far more than any case needs, because machines may be busy.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Holds the name of the case that this process runs.
const CASE: &str = "PATHSURVEY_TEST_CASE";

/// Exit code of an ignored case.
const IGNORED: u8 = 77;

/// Marks a line with the reason why a case is ignored.
const REASON: &str = "ignored because ";

/// Marks a line that is shown beside the name of a passed case.
const NOTE: &str = "note: ";

/// Cases that CI may ignore as well, each for this reason only: not every kernel has what they need.
const MAY_LACK: [(&str, &str); 1] = [("a_routing_domain_is_left_by_its_devices", "no VRF")];

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// The result of a case that does not panic: everything holds, or the case could not run here.
pub type Outcome = Result<(), Ignored>;

/// The privilege or program that is missing.
pub struct Ignored(pub String);

/// The user who runs a case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The user who runs the tests.
    Caller,
    /// A user without privileges: `nobody` if root runs the tests.
    Ordinary,
    /// Root. Ignored for other users.
    Root,
}

/// A test.
pub struct Case {
    /// The name, for display and for filters on the command line.
    pub name: &'static str,
    /// The user.
    pub user: User,
    /// The test itself.
    pub run: fn() -> Outcome,
}

/// Runs the cases that the command line asks for, like the standard harness, and prints the results.
pub fn main(cases: &[Case]) -> ExitCode {
    main_of(cases, &[])
}

/// As [`main`]. The cases in `beside` then run several at a time: they mostly wait, and none depends on how fast it is.
pub fn main_of(cases: &[Case], beside: &[Case]) -> ExitCode {
    if let Ok(name) = std::env::var(CASE) {
        return run_here(cases.iter().chain(beside), &name);
    }
    let arguments = Arguments::from_command_line();
    let [chosen, chosen_beside] = [cases, beside].map(|cases| -> Vec<&Case> {
        let chosen = cases.iter().filter(|case| arguments.choose(case.name));
        chosen.collect()
    });
    if arguments.list {
        for case in chosen.iter().chain(&chosen_beside) {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    report(&chosen, &chosen_beside, cases.len() + beside.len())
}

/// The arguments of the standard harness that matter here. Its other flags are accepted and ignored.
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

/// How many cases run at a time, of those that may.
const BESIDE: usize = 4;

fn report(cases: &[&Case], beside: &[&Case], all: usize) -> ExitCode {
    let chosen = cases.len() + beside.len();
    println!("\nrunning {chosen} tests");
    let mut results = Results::default();
    let began = Instant::now();
    for case in cases {
        print!("test {} ... ", case.name);
        // Printed before the case, which may take long. A closed terminal must not fail the case.
        let _ = std::io::stdout().flush();
        println!("{}", results.add(case, run_in_child(case)));
    }
    let (next, shared) = (AtomicUsize::new(0), Mutex::new(results));
    std::thread::scope(|scope| {
        for _ in 0..BESIDE.min(beside.len()) {
            scope.spawn(|| {
                while let Some(case) = beside.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = run_in_child(case);
                    let mut results = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    println!("test {} ... {}", case.name, results.add(case, verdict));
                }
            });
        }
    });
    let Results {
        passed,
        ignored,
        failures,
    } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, output) in &failures {
        println!("\n---- {name} ----\n{output}");
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        failures.len(),
        all - chosen,
        began.elapsed().as_secs_f64(),
    );
    ExitCode::from(if failures.is_empty() { 0 } else { 101 })
}

/// What became of the cases.
#[derive(Default)]
struct Results {
    passed: usize,
    ignored: usize,
    /// Names and outputs.
    failures: Vec<(&'static str, String)>,
}

impl Results {
    /// Counts a case. Returns the words for its line.
    fn add(&mut self, case: &Case, verdict: Verdict) -> String {
        let strict = std::env::var("CI").is_ok_and(|value| value == "true");
        match verdict {
            Verdict::Passed(notes) => {
                self.passed += 1;
                format!("ok{notes}")
            }
            Verdict::Ignored(reason) if strict && !MAY_LACK.contains(&(case.name, &reason)) => {
                let output = format!("ignored, which CI does not allow: {reason}");
                self.failures.push((case.name, output));
                "FAILED".to_owned()
            }
            Verdict::Ignored(reason) => {
                self.ignored += 1;
                format!("ignored, {reason}")
            }
            Verdict::Failed(output) => {
                self.failures.push((case.name, output));
                "FAILED".to_owned()
            }
        }
    }
}

enum Verdict {
    /// With the notes of the case.
    Passed(String),
    Ignored(String),
    /// With the output of the case.
    Failed(String),
}

fn run_in_child(case: &Case) -> Verdict {
    let root = is_root();
    if case.user == User::Root && !root {
        return Verdict::Ignored("needs root".to_owned());
    }
    // Not by its path, which may lead through directories that are closed to an ordinary user.
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

/// Waits for the end of the case, at most [`LIMIT`].
fn judge(mut child: Child) -> Verdict {
    let (done, ended) = mpsc::channel();
    let readers = [
        child
            .stdout
            .take()
            .map(|stream| collect(stream, done.clone())),
        child.stderr.take().map(|stream| collect(stream, done)),
    ];
    // The streams close when the case, and all that it started, ends.
    let deadline = Instant::now() + LIMIT;
    let in_time = readers.iter().all(|_| {
        let left = deadline.saturating_duration_since(Instant::now());
        ended.recv_timeout(left).is_ok()
    });
    if !in_time {
        // The case may have ended in this moment; `wait` shows it.
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
        // What was read before an error is shown as well.
        let _ = stream.read_to_end(&mut bytes);
        // After the limit has passed, the receiver is gone.
        let _ = done.send(());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs in the case's own process, on its only thread.
fn run_here<'a>(mut cases: impl Iterator<Item = &'a Case>, name: &str) -> ExitCode {
    let Some(case) = cases.find(|case| case.name == name) else {
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

/// Adds a note that is shown beside the case's name if it passes.
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
