//! A vantage point with uplinks, in namespaces: built and asked. `build.sh` says how they look.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Ignored;
use crate::tools::installed;

/// Set in a process that [`enter`] has started.
const INSIDE: &str = "PATHSURVEY_TEST_INSIDE";

/// Names a build of the program to be tested in place of this one's.
const BINARY: &str = "PATHSURVEY_TEST_BINARY";

/// Where all names live that a case makes.
const RUN: &str = "/var/run";

/// The user and group `nobody`.
const NOBODY: &str = "65534";

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    Root,
    /// A user without any privilege.
    Nobody,
}

/// Puts this process where namespaces can be made that vanish with it, by starting it anew there; returns in the new one.
pub fn enter() -> Result<(), Ignored> {
    enter_as("root")
}

/// The same, as the root of a user namespace: with raw sockets, but without the rights over the machine that a larger receive
/// buffer takes.
pub fn enter_mapped() -> Result<(), Ignored> {
    enter_as("mapped")
}

fn enter_as(user: &str) -> Result<(), Ignored> {
    if std::env::var_os(INSIDE).is_some() {
        make_reachable();
        return Ok(());
    }
    installed("ip", "-V", "iproute2")?;
    installed("ethtool", "--version", "ethtool version")?;
    installed("python3", "--version", "Python 3")?;
    let tried = script().args(["enter", user, "true"]).output().unwrap();
    if !tried.status.success() {
        let told = String::from_utf8_lossy(&tried.stderr);
        return Err(Ignored(format!("build.sh enter {user}: {}", told.trim())));
    }
    let this = std::env::current_exe().unwrap();
    let error = script()
        .args(["enter", user])
        .arg(this)
        .env(INSIDE, "1")
        .exec();
    panic!("cannot start this program anew: {error}");
}

/// Makes the program appear where every user may go: the build's own directories may be closed to some.
fn make_reachable() {
    let given = std::env::var_os(BINARY).map(PathBuf::from);
    let binary = given.unwrap_or_else(|| env!("CARGO_BIN_EXE_pathsurvey").into());
    std::fs::write(program(), "").unwrap();
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(&binary).arg(program());
    assert!(mount.status().unwrap().success(), "{mount:?}");
}

fn program() -> PathBuf {
    [RUN, "pathsurvey"].iter().collect()
}

/// A vantage point and the network behind it.
pub struct World {
    name: String,
    uplinks: usize,
}

impl World {
    /// Builds it, ready for packets. A case may build several, of different names.
    pub fn up(name: &str, uplinks: usize) -> Self {
        let world = World {
            name: name.to_owned(),
            uplinks,
        };
        let mut build = script();
        build.args(["up", name, &uplinks.to_string()]);
        run(build);
        let directory = world.directory();
        std::fs::create_dir(&directory).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&directory, open).unwrap();
        world
    }

    /// Changes addresses, links, routes or rules at the vantage point: a command of `ip`.
    pub fn ip(&self, line: &str) {
        let mut command = Command::new("ip");
        command.args(["-n", &format!("{}-vantage", self.name)]);
        command.args(line.split_whitespace());
        run(command);
    }

    /// Whether the kernel can make routing domains.
    pub fn has_vrf(&self) -> bool {
        let mut command = Command::new("ip");
        command.args(["-n", &format!("{}-vantage", self.name)]);
        command.args(["link", "add", "tried", "type", "vrf", "table", "99"]);
        command.output().unwrap().status.success()
    }

    /// A directory of its own in which everybody may write.
    pub fn directory(&self) -> PathBuf {
        [RUN, &format!("{}-files", self.name)].iter().collect()
    }

    /// The devices at the far ends of the uplinks.
    pub fn far_ends(&self) -> Vec<String> {
        (1..=self.uplinks).map(|at| format!("n{at}")).collect()
    }

    /// The program, run at the vantage point.
    pub fn pathsurvey(&self, user: User) -> Command {
        self.at("vantage", user, &program())
    }

    /// `program`, run at the vantage point by root.
    pub fn at_vantage(&self, program: &str) -> Command {
        self.at("vantage", User::Root, Path::new(program))
    }

    /// `program`, run at the far ends.
    pub fn in_network(&self, program: &Path) -> Command {
        self.at("network", User::Root, program)
    }

    fn at(&self, place: &str, user: User, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={RUN}/netns/{}-{place}", self.name));
        if user == User::Nobody {
            command.args(["--setgid", NOBODY, "--setuid", NOBODY]);
        }
        command.arg("--").arg(program).stdin(Stdio::null());
        command.current_dir(self.directory());
        command
    }
}

/// Runs it to its end, which must be a good one.
pub fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file of these tests.
pub fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "field", name]
        .iter()
        .collect()
}

fn script() -> Command {
    let mut command = Command::new(file("build.sh"));
    command.stdin(Stdio::null());
    command
}
