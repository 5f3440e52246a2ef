//! The chain of routers: built, asked and taken down.

use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::Ignored;
use crate::tools::installed;

/// Set in a process that [`enter`] has started.
const INSIDE: &str = "PATHSURVEY_TEST_INSIDE";

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// The address of the router of this number; `build.sh` gives them.
    fn router(self, number: u8) -> IpAddr {
        match self {
            Family::V4 => format!("198.51.100.{number}"),
            Family::V6 => format!("2001:db8:1::{number}"),
        }
        .parse()
        .unwrap()
    }

    /// The address of the host behind the last router: 80 answers, 90 is unreachable, 91 is not heard of.
    fn behind(self, number: u8) -> IpAddr {
        match self {
            Family::V4 => format!("203.0.113.{number}"),
            Family::V6 => format!("2001:db8:2::{number}"),
        }
        .parse()
        .unwrap()
    }

    /// The host that answers: datagrams to closed ports, TCP (port 80 is open) and echo requests.
    pub fn target(self) -> IpAddr {
        self.behind(80)
    }

    /// A host for which the last router answers that it is unreachable.
    pub fn unreachable(self) -> IpAddr {
        self.behind(90)
    }

    /// A host for which the last router drops everything in silence.
    pub fn silent(self) -> IpAddr {
        self.behind(91)
    }

    /// The vantage point's second address, which a translating first router keeps to itself.
    pub fn inside(self) -> IpAddr {
        self.router(2)
    }

    /// The last router.
    pub fn last_router(self) -> IpAddr {
        self.router(51)
    }

    /// Who may answer from each TTL on the way to the target, from TTL 1: every one of them is linked with every one of the
    /// next TTL, and with nobody else further on.
    pub fn tiers(self) -> [Vec<IpAddr>; 6] {
        let routers = |numbers: &[u8]| numbers.iter().map(|at| self.router(*at)).collect();
        [
            routers(&[11]),
            routers(&[21, 22]),
            routers(&[31]),
            routers(&[41, 42, 43]),
            routers(&[51]),
            vec![self.target()],
        ]
    }
}

/// The chain. Its routers are gone when it is dropped; even where that cannot be, nothing of it outlives the process.
pub struct Chain {
    name: String,
}

impl Chain {
    /// Builds it, ready for packets.
    pub fn up() -> Result<Self, Ignored> {
        enter()?;
        // Dropped also where it cannot be built whole.
        let chain = Chain {
            name: format!("routers{}", std::process::id()),
        };
        chain.build("up");
        Ok(chain)
    }

    /// Lets the balancers hash addresses, protocol and ports of each packet themselves; `build.sh` says what they do otherwise.
    pub fn hash_packets_only(&self) {
        self.build("five-tuple");
    }

    /// Lets the first router translate what leaves from the vantage point's [second address](Family::inside).
    pub fn translate(&self) {
        self.build("translate");
    }

    /// How many connections the first router has translated.
    pub fn translated(&self, family: Family) -> u64 {
        let told = self.build("translated");
        let line = told.lines().nth(usize::from(family == Family::V6));
        line.unwrap().parse().unwrap()
    }

    /// Runs `program` at the vantage point.
    pub fn at_vantage(&self, program: &str) -> Command {
        self.at("vantage", program)
    }

    /// Runs `program` at `node`.
    pub fn at(&self, node: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &format!("{}-{node}", self.name), program])
            .stdin(Stdio::null());
        command
    }

    /// Gives what it printed.
    fn build(&self, what: &str) -> String {
        let output = script().args([what, &self.name]).output().unwrap();
        assert!(
            output.status.success(),
            "build.sh {what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The case has failed already, of something else.
            let _ = script().args(["down", &self.name]).output();
        } else {
            self.build("down");
        }
    }
}

/// Puts this process where namespaces can be made that vanish with it, by starting it anew there; returns in the new one.
pub fn enter() -> Result<(), Ignored> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    installed("ip", "-V", "iproute2")?;
    installed("ethtool", "--version", "ethtool version")?;
    let tried = script().args(["enter", "true"]).output().unwrap();
    if !tried.status.success() {
        let told = String::from_utf8_lossy(&tried.stderr);
        return Err(Ignored(format!("build.sh enter: {}", told.trim())));
    }
    let this = std::env::current_exe().unwrap();
    let error = script().arg("enter").arg(this).env(INSIDE, "1").exec();
    panic!("cannot start this program anew: {error}");
}

fn script() -> Command {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "routers", "build.sh"]
        .iter()
        .collect();
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}
