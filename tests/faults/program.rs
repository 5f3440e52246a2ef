//! Surveys under strace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::Ignored;

/// 256 targets in virtual time, slow enough for about a dozen sealings.
const SURVEY: [&str; 8] = [
    "survey",
    "--virtual-time",
    "--quiet",
    "--seal-interval",
    "1",
    "-r",
    "500",
    "198.18.0.0/16",
];

/// The night of the surveys: the virtual time and the vantage point of the lab.
pub const NIGHT: &str = "out/runs/date=2026-01-01/vp=id-local";

/// A directory of a test.
pub struct Place(tempfile::TempDir);

impl Place {
    /// Ignores the case if strace cannot be run.
    pub fn new() -> Result<Self, Ignored> {
        let traced = Command::new("strace")
            .args(["-qqq", "-o", "/dev/null", "true"])
            .output()
            .map_err(|error| Ignored(format!("strace cannot be run: {error}")))?;
        if !traced.status.success() {
            return Err(Ignored("strace may not trace here".to_owned()));
        }
        Ok(Place(tempfile::tempdir().expect("a directory")))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// A file in the folder of the run of `survey(seed, "out")`. Equal seeds give equal ids.
    pub fn of_run(&self, seed: &str, name: &str) -> String {
        let learned = tempfile::tempdir().expect("a directory");
        let out = learned.path().join("out");
        let ended = survey(seed, out.to_str().expect("UTF-8")).output();
        check(&ended.expect("the program"), 0, &[]);
        let id = json(&out.join("manifest.json"))["run_id"].clone();
        let id = id.as_str().expect("an id");
        self.text(&format!("{NIGHT}/{id}/{name}"))
    }

    /// The names below the place, but for those of tables and of the runs' folders.
    pub fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(below)).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| !["hops", "traces", "runs"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

/// A survey to `output`. Surveys of one directory need different seeds, because their ids follow from them.
pub fn survey(seed: &str, output: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    command
        .args(SURVEY)
        .args(["--lab", "-e", seed, "-o", output]);
    quiet(command)
}

/// Goes on with the survey in `output`.
pub fn resume(output: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    command.args(["survey", "--resume", "--quiet", "-o", output]);
    quiet(command)
}

/// The same program, with faults. `inject` is what strace(1) calls so. If there are paths, only calls on these fail.
pub fn with_faults(inject: &[&str], paths: &[String], program: &Command) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qqq", "-o", "/dev/null"]);
    for path in paths {
        command.args(["-P", path]);
    }
    for inject in inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    let calls: Vec<&str> = inject
        .iter()
        .filter_map(|inject| inject.split(':').next())
        .collect();
    command.args(["-e", &format!("trace={}", calls.join(","))]);
    command.arg(program.get_program()).args(program.get_args());
    quiet(command)
}

/// In the repository, without the variables that the program reads, and with its streams kept.
fn quiet(mut command: Command) -> Command {
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("PATHSURVEY_VANTAGE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks the exit code, and that the messages contain every one of `parts`.
#[track_caller]
pub fn check(output: &Output, code: i32, parts: &[&str]) {
    let told = told(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for part in parts {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

/// The only line on standard error, which is a warning.
#[track_caller]
pub fn only_warning(output: &Output) -> String {
    let told = told(output);
    let lines: Vec<&str> = told.lines().collect();
    let [line] = lines[..] else {
        panic!("not one line:\n{told}");
    };
    line.strip_prefix("warning: ").expect(line).to_owned()
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("whole JSON")
}
