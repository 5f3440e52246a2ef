//! The script that is the network: started, and its plan and log read.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::world::{World, file};

/// The script, while it answers.
pub struct Network {
    child: Child,
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
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let plan = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{case} of network.py: {error}: {line:?}"));
        Network { child, log, plan }
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

    fn list(&self, name: &str) -> Vec<&str> {
        let words = self.plan[name].as_array().expect(name);
        words.iter().map(|word| word.as_str().unwrap()).collect()
    }

    /// Ends it and gives every probe that came, in their order. None may have been lost.
    pub fn end(mut self) -> Vec<Seen> {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "network.py: {status}");
        let text = std::fs::read_to_string(&self.log).unwrap();
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.pop().unwrap()["lost"], 0, "network.py is too slow");
        let seen = lines.into_iter().map(|mut probe| {
            let answers = probe["answers"].take();
            let Value::Array(answers) = answers else {
                panic!("no answers in {probe}")
            };
            Seen { probe, answers }
        });
        seen.collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
