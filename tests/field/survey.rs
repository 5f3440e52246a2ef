//! Surveys of what the script says, by the program, over every kind of sockets that a case is for.

use std::process::{Output, Stdio};

use serde_json::Value;

use super::compare::{Differences, compare};
use super::dataset::Dataset;
use super::network::{Network, Seen};
use super::world::{User, World};
use crate::support::note;

/// How probes are sent, and who sends them.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub protocol: &'static str,
    pub transport: &'static str,
    pub user: User,
}

const fn way(protocol: &'static str, transport: &'static str, user: User) -> Way {
    Way {
        protocol,
        transport,
        user,
    }
}

/// Uplinks of a vantage point.
pub const UPLINKS: usize = 2;

/// Raw sockets, every protocol.
pub const RAW: &[Way] = &[
    way("udp", "raw", User::Root),
    way("icmp", "raw", User::Root),
    way("tcp", "raw", User::Root),
];

/// Ordinary sockets, every protocol that they can do, by root and by a user without privilege.
pub const ORDINARY: &[Way] = &[
    way("udp", "dgram", User::Root),
    way("icmp", "dgram", User::Root),
    way("udp", "dgram", User::Nobody),
    way("icmp", "dgram", User::Nobody),
];

/// Everything that can be sent.
pub fn all_ways() -> Vec<Way> {
    [RAW, ORDINARY].concat()
}

impl Way {
    /// As a world is named after it.
    pub fn name(&self) -> String {
        format!("{}-{}-{:?}", self.protocol, self.transport, self.user).to_lowercase()
    }

    /// The options that ask for it.
    fn options(&self) -> [&'static str; 4] {
        ["--protocol", self.protocol, "--transport", self.transport]
    }
}

/// What came of a survey.
pub struct Surveyed {
    pub plan: Value,
    pub seen: Vec<Seen>,
    pub output: Output,
    /// `None` if the program wrote none.
    pub dataset: Option<Dataset>,
}

impl Surveyed {
    /// What the program told.
    pub fn told(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// All that is not as the script says it is; the program may complain of nothing but what is to be warned of.
    pub fn differences(&self) -> Differences {
        let told = self.told();
        let Some(dataset) = &self.dataset else {
            let mut differences = Differences::default();
            differences.add(format!("no dataset: {told}"));
            return differences;
        };
        let mut differences = compare(&self.plan, &self.seen, dataset);
        if !self.told_as_stated(&told) || !self.output.status.success() {
            let status = self.output.status;
            differences.add(format!("{status}, and told: {told}"));
        }
        differences
    }

    /// Whether each line says one of the things that the plan wants to be warned of, and each of these is said.
    fn told_as_stated(&self, told: &str) -> bool {
        let warnings = self.plan.get("warnings").and_then(Value::as_array);
        let warnings: Vec<&str> = warnings
            .into_iter()
            .flatten()
            .map(|part| part.as_str().unwrap())
            .collect();
        let is_wanted = |line: &str| warnings.iter().any(|part| line.contains(part));
        told.lines().all(is_wanted) && warnings.iter().all(|part| told.contains(part))
    }
}

/// Changes the vantage point as `case` says, and surveys its targets in `world`.
pub fn survey(world: &World, case: &str, way: &Way, options: &[&str]) -> Surveyed {
    let mut network = Network::start(world, case, way.protocol, way.transport);
    network.setup().into_iter().for_each(|line| world.ip(line));
    let list = world.directory().join("targets");
    std::fs::write(&list, network.targets().join("\n")).unwrap();
    let out = world.directory().join("dataset");
    let mut command = world.pathsurvey(way.user);
    command
        .args(["survey", "--quiet", "--allow-special"])
        .args(["--cooldown", "0.2", "--late-window", "1", "-o"])
        .arg(&out)
        .arg("-i")
        .arg(&list)
        .args(way.options())
        .args(network.options())
        .args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    if !network.change().is_empty() {
        let make = |network: &Network| network.change().into_iter().for_each(|line| world.ip(line));
        network.change_when_asked(make);
    }
    let output = running.wait_with_output().unwrap();
    let (plan, seen) = network.end();
    Surveyed {
        plan,
        seen,
        output,
        dataset: out
            .join("manifest.json")
            .exists()
            .then(|| Dataset::read(&out)),
    }
}

/// Surveys `case` in all these ways at once, each in a world of its own, and fails unless everything is as the script says.
pub fn shows(case: &str, ways: &[Way], options: &[&str]) {
    let combinations = each(ways, |way| {
        let world = World::up(&way.name(), UPLINKS);
        let surveyed = survey(&world, case, way, options);
        let combinations = surveyed.plan["combinations"].as_u64().unwrap_or(0);
        (surveyed.differences(), combinations)
    });
    let shown: u64 = combinations.iter().sum();
    if shown > 0 {
        note(&format!("{shown} combinations over {} ways", ways.len()));
    }
}

/// Compares in all these ways at once, fails if there are differences, and gives what else `compare` gave.
pub fn each<T: Send>(ways: &[Way], compare: impl Fn(&Way) -> (Differences, T) + Sync) -> Vec<T> {
    let mut all = Differences::default();
    let mut others = Vec::new();
    std::thread::scope(|scope| {
        let compare = &compare;
        let running: Vec<_> = ways
            .iter()
            .map(|way| (way.name(), scope.spawn(move || compare(way))))
            .collect();
        for (name, running) in running {
            match running.join() {
                Ok((differences, other)) => {
                    all.extend(&name, differences);
                    others.push(other);
                }
                Err(_) => all.add(format!("{name}: stopped, see above")),
            }
        }
    });
    all.assert_none();
    others
}
