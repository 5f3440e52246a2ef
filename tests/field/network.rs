//! The script that is the network: started, and its plan and log read.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use super::world::{World, file};

/// The script, while it answers.
pub struct Network {
    child: Child,
    told: BufReader<ChildStdout>,
    log: PathBuf,
    /// What it states before the first probe.
    pub plan: Value,
}

/// A probe that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it was; names are those of columns, and `device`.
    pub probe: Value,
    /// The facts of its answers, in the order in which they left.
    pub answers: Vec<Value>,
}

impl Network {
    /// Starts to answer as `case` says; all devices are heard when this returns.
    pub fn start(world: &World, case: &str, protocol: &str, transport: &str) -> Self {
        let log = world.directory().join("log");
        let mut command = world.in_network(&file("network.py"));
        command
            .args([case, protocol, transport])
            .arg(&log)
            .args(world.far_ends())
            // Not among the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let plan = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{case} of network.py: {error}: {line:?}"));
        Network {
            child,
            told,
            log,
            plan,
        }
    }

    /// The addresses to be surveyed, in the plan's order.
    pub fn targets(&self) -> Vec<&str> {
        self.list("targets")
    }

    /// What is to be changed at the vantage point before the survey: commands of `ip`.
    pub fn setup(&self) -> Vec<&str> {
        self.list("setup")
    }

    /// Options of the survey.
    pub fn options(&self) -> Vec<&str> {
        self.list("options")
    }

    /// What is to be changed at the vantage point during the survey, when the script asks for it: commands of `ip`.
    pub fn change(&self) -> Vec<&str> {
        match self.plan.get("change") {
            Some(_) => self.list("change"),
            None => Vec::new(),
        }
    }

    /// Waits until the script asks for the change, lets `make` make it, and tells the script.
    pub fn change_when_asked(&mut self, make: impl FnOnce(&Self)) {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), "change");
        make(self);
        let mut input = self.child.stdin.as_ref().unwrap();
        input.write_all(b"changed\n").unwrap();
    }

    fn list(&self, name: &str) -> Vec<&str> {
        let words = self.plan[name].as_array().expect(name);
        words.iter().map(|word| word.as_str().unwrap()).collect()
    }

    /// Ends it and gives the plan as it has become, and every probe that came, in their order. None may have been lost.
    pub fn end(mut self) -> (Value, Vec<Seen>) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "network.py: {status}");
        let text = std::fs::read_to_string(&self.log).unwrap();
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut last = lines.pop().unwrap();
        assert_eq!(last["lost"], 0, "network.py is too slow");
        let seen = lines.into_iter().map(|mut probe| {
            let answers = probe["answers"].take();
            let Value::Array(answers) = answers else {
                panic!("no answers in {probe}")
            };
            Seen { probe, answers }
        });
        (last["plan"].take(), seen.collect())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
