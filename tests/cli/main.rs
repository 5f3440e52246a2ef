//! The command line as users meet it: exit codes, messages and streams. Surveys run in virtual time, so no privileges are needed and no
//! packet is sent.

#![allow(clippy::too_many_lines, reason = "tests may be tables")]

mod clashes;
mod compact;
mod config;
mod datasets;
mod ecmp;
mod endings;
mod multipath;
mod numbers;
mod refusals;
mod rereading;
mod resumed;

mod streams;
mod targets;
mod telling;
mod time_boxed;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use arrow::ipc::reader::StreamReader;
use serde_json::Value;
use tempfile::TempDir;

/// The program, started in the repository, without the environment variables that it reads.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("PATHSURVEY_VANTAGE")
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    fed(arguments, b"")
}

/// Runs the program with `input` on its standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    // The program may end without reading its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("an end")
}

/// A survey in virtual time with a fixed seed.
fn survey(arguments: &[&str]) -> Output {
    run(&survey_arguments(arguments))
}

fn survey_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["survey", "--virtual-time", "-e", "1"];
    if !arguments.contains(&"--lab") {
        all.push("--lab");
    }
    all.extend(arguments);
    all
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn errors(output: &Output) -> String {
    text(&output.stderr)
}

/// Checks the exit code, and that the messages contain every one of `parts`.
#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    for part in parts {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).expect("a file");
        self.text(name)
    }
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}
