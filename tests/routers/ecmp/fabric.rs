//! A fabric of routers: built, changed and taken down by `fabric.sh`.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::routers::chain::{Family, enter};
use crate::support::Ignored;

/// The exit code of `fabric.sh` if the kernel lacks seeds for the hashes of each namespace.
const NO_SEEDS: i32 = 3;

/// Two nodes at consecutive TTLs. The TTL is that of the nearer node.
pub type Link = (u8, IpAddr, IpAddr);

/// The nodes and links to one target. A node is an address at a TTL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub nodes: BTreeSet<(u8, IpAddr)>,
    pub links: BTreeSet<Link>,
}

/// How the routers are connected; `fabric.sh` draws the shapes.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Mesh,
    Tree,
    Fan,
    Halves,
    Uplinks,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Mesh => "mesh",
            Shape::Tree => "tree",
            Shape::Fan => "fan",
            Shape::Halves => "halves",
            Shape::Uplinks => "uplinks",
        }
    }
}

/// A fabric. Its namespaces are deleted when it is dropped, and end with the process in any case.
pub struct Fabric {
    name: String,
    shape: Shape,
    targets: u32,
    /// What the script printed, for each family.
    links: [OnceCell<String>; 2],
}

impl Fabric {
    /// Builds a fabric with this number of targets, ready for packets.
    pub fn up(shape: Shape, targets: u32) -> Result<Self, Ignored> {
        enter()?;
        // Dropped also if it cannot be built whole.
        let fabric = Fabric {
            name: format!("ecmp{}", std::process::id()),
            shape,
            targets,
            links: Default::default(),
        };
        let count = targets.to_string();
        let output = run(&["up", &fabric.name, shape.name(), &count]);
        if output.status.code() == Some(NO_SEEDS) {
            return Err(Ignored(told(&output)));
        }
        assert!(output.status.success(), "fabric.sh up: {}", told(&output));
        Ok(fabric)
    }

    pub fn targets(&self) -> u32 {
        self.targets
    }

    /// Changes the fabric: a command of `fabric.sh`, and what follows the name of the fabric there.
    pub fn change(&self, command: &str, arguments: &[&str]) {
        printed(&[&[command, &self.name], arguments].concat());
    }

    /// Runs `program` at the vantage point.
    pub fn at_vantage(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &format!("{}-vantage", self.name), program])
            .stdin(Stdio::null());
        command
    }

    /// The addresses of the targets.
    pub fn addresses(&self, family: Family) -> Vec<IpAddr> {
        let count = self.targets.to_string();
        let printed = printed(&["targets", number(family), &count]);
        printed.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// The address of a router.
    pub fn router(&self, family: Family, node: &str) -> IpAddr {
        let printed = printed(&[&format!("address{}", number(family)), node]);
        printed.trim_end().parse().unwrap()
    }

    /// What is there to find to `target`.
    pub fn truth(&self, family: Family, target: IpAddr) -> Truth {
        let links = &self.links[usize::from(family == Family::V6)];
        let links = links.get_or_init(|| printed(&["links", self.shape.name(), number(family)]));
        let address = |text: &str| match text {
            "target" => target,
            router => router.parse().unwrap(),
        };
        let mut truth = Truth::default();
        for line in links.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [ttl, near, far] = words[..] else {
                panic!("not a link: {line}");
            };
            let link = (ttl.parse().unwrap(), address(near), address(far));
            truth.links.insert(link);
            truth.nodes.extend([(link.0, link.1), (link.0 + 1, link.2)]);
        }
        truth
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        let output = run(&["down", &self.name]);
        if !std::thread::panicking() {
            assert!(output.status.success(), "fabric.sh down: {}", told(&output));
        }
    }
}

impl Truth {
    /// Leaves out a router and its links.
    pub fn without(mut self, router: IpAddr) -> Self {
        self.nodes.retain(|(_, address)| *address != router);
        self.links
            .retain(|(_, near, far)| ![near, far].contains(&&router));
        self
    }
}

fn number(family: Family) -> &'static str {
    match family {
        Family::V4 => "4",
        Family::V6 => "6",
    }
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let success = output.status.success();
    assert!(success, "fabric.sh {arguments:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "tests",
        "routers",
        "ecmp",
        "fabric.sh",
    ]
    .iter()
    .collect();
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
