//! Surveys of what the script says, by the program, over every kind of sockets that a case is for.

use std::process::Output;

use super::compare::{Differences, compare};
use super::dataset::Dataset;
use super::network::{Network, Seen};
use super::world::{User, World};

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
const UPLINKS: usize = 2;

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
    pub plan: serde_json::Value,
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

    /// All that is not as the script says it is; the program may not have complained of anything either.
    pub fn differences(&self) -> Differences {
        let told = self.told();
        let Some(dataset) = &self.dataset else {
            let mut differences = Differences::default();
            differences.add(format!("no dataset: {told}"));
            return differences;
        };
        let mut differences = compare(&self.plan, &self.seen, dataset);
        if !told.is_empty() || !self.output.status.success() {
            let status = self.output.status;
            differences.add(format!("{status}, and told: {told}"));
        }
        differences
    }
}

/// Changes the vantage point as `case` says, and surveys its targets in `world`.
pub fn survey(world: &World, case: &str, way: &Way, options: &[&str]) -> Surveyed {
    let network = Network::start(world, case, way.protocol, way.transport);
    network.setup().into_iter().for_each(|line| world.ip(line));
    let list = world.directory().join("targets");
    std::fs::write(&list, network.targets().join("\n")).unwrap();
    let out = world.directory().join("dataset");
    let mut command = world.pathsurvey(way.user);
    command
        .args(["survey", "--quiet", "--allow-special", "--seed", "1"])
        .args(["--cooldown", "0.2", "--late-window", "1", "-o"])
        .arg(&out)
        .arg("-i")
        .arg(&list)
        .args(way.options())
        .args(network.options())
        .args(options);
    let output = command.output().unwrap();
    let plan = network.plan.clone();
    Surveyed {
        plan,
        seen: network.end(),
        output,
        dataset: out
            .join("manifest.json")
            .exists()
            .then(|| Dataset::read(&out)),
    }
}

/// Surveys `case` in all these ways at once, each in a world of its own, and fails unless everything is as the script says.
pub fn shows(case: &str, ways: &[Way], options: &[&str]) {
    each(ways, |way| {
        let world = World::up(&way.name(), UPLINKS);
        survey(&world, case, way, options).differences()
    });
}

/// Compares in all these ways at once.
pub fn each(ways: &[Way], compare: impl Fn(&Way) -> Differences + Sync) {
    std::thread::scope(|scope| {
        let compare = &compare;
        let running: Vec<_> = ways
            .iter()
            .map(|way| (way.name(), scope.spawn(move || compare(way))))
            .collect();
        let mut all = Differences::default();
        for (name, running) in running {
            match running.join() {
                Ok(differences) => all.extend(&name, differences),
                Err(_) => all.add(format!("{name}: stopped, see above")),
            }
        }
        all.assert_none();
    });
}
