//! The capability that the README grants with setcap, with and without a bounding set that lets it through.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::host::World;
use super::lab::network;
use super::privileges::{threads, without_privileges};
use super::program::{OrdinaryUser, Started, run};
use crate::rows::{Dataset, manifest};
use crate::support::{Ignored, Outcome};

/// An ordinary user whose program was granted CAP_NET_RAW with these flags.
fn granted(flags: &str) -> Result<OrdinaryUser, Ignored> {
    let user = OrdinaryUser::new(&[]);
    let mut setcap = Command::new("setcap");
    setcap
        .arg(format!("cap_net_raw{flags}"))
        .arg(user.path(Path::new("pathsurvey")));
    match setcap.output() {
        Ok(output) if output.status.success() => Ok(user),
        refused => Err(Ignored(format!("setcap: {refused:?}"))),
    }
}

const OPTIONS: [&str; 6] = [
    "survey",
    "--allow-special",
    "--rate",
    "400",
    "--late-window",
    "1",
];

/// The bounding set lets the right through: raw sockets. Of the bounding set an ordinary user can take nothing away; all the rest is
/// given up.
fn surveys_with(flags: &str) -> Outcome {
    let world = World::start(&network("generated-clean.toml"))?;
    let user = granted(flags)?;
    let mut command = user.pathsurvey(&OPTIONS);
    command.args(["198.18.0.0/24", "-o", "night"]);
    let mut survey = Started::new(command);
    let night = user.path(Path::new("night"));
    survey.until("the survey began", || manifest(&night));
    let tasks = format!("/proc/{}/task", survey.id());
    // Main, sender, receiver and collector.
    let found = survey.until("its threads were there", || {
        Some(threads(&tasks)).filter(|threads| threads.len() >= 4)
    });
    for thread in &found {
        assert!(without_privileges(thread), "{thread:?}");
    }
    assert!(survey.wait().success());
    let dataset = Dataset::read(&night);
    assert_eq!(dataset.manifest["state"], "complete");
    assert_eq!(dataset.manifest["warnings"], serde_json::json!([]));
    assert_eq!(dataset.manifest["run"]["setup"]["transport"], "raw");
    world.stop();
    Ok(())
}

pub fn permitted() -> Outcome {
    surveys_with("+p")
}

pub fn permitted_and_effective() -> Outcome {
    surveys_with("+ep")
}

/// Starts a program under a filter of system calls like those of container engines: no namespaces, no mounts, and no clone3.
const FILTERED: [&str; 3] = [
    "python3",
    "-c",
    "
import ctypes, errno, os, platform, struct, sys

unshare, setns, mount, clone = {'x86_64': (272, 308, 165, 56), 'aarch64': (97, 268, 40, 220)}[platform.machine()]
CLONE3, NEW_USER = 435, 0x10000000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
code = [(LOAD, 0, 0, 0)]
for number, error in [(unshare, errno.EPERM), (setns, errno.EPERM), (mount, errno.EPERM), (CLONE3, errno.ENOSYS)]:
    code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | error)]
code += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, NEW_USER), (RETURN, 0, 0, REFUSE | errno.EPERM)]
code += [(RETURN, 0, 0, ALLOW)]
program = b''.join(struct.pack('HBBI', *line) for line in code)
buffer = ctypes.create_string_buffer(program)
header = struct.pack('HxxxxxxP', len(code), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, header, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
",
];

/// `command` as an ordinary user in a container: the bounding set lacks the right, or nothing may be gained. The file system is read-only,
/// but for the user's directory.
fn in_a_sandbox(
    user: &OrdinaryUser,
    bounding: &str,
    restriction: &[&str],
    survey: &[&str],
) -> (Option<i32>, String) {
    const SCRIPT: &str = "set -e
        mount --make-rprivate /
        mount --bind \"$0\" \"$0\"
        mount -o remount,bind,ro /
        cd \"$0\"
        ! touch /read-only 2>/dev/null
        exec \"$@\"";
    let program = user.path(Path::new("pathsurvey"));
    let home = program.parent().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT]).arg(home);
    command.args(["setpriv", "--reuid", "65534", "--regid", "65534"]);
    command.args(["--clear-groups", "--bounding-set", bounding]);
    // A step of its own: the user's program still has root's capabilities in the step that changes the user.
    command.arg("setpriv").args(restriction);
    command.arg("./pathsurvey").args(survey);
    command.args(["198.18.0.0/28", "-o", "night"]);
    let (code, _, told) = run(command);
    (code, told)
}

/// The bounding set of a container lacks the right. With `+ep` the kernel does not even start the program.
pub fn in_a_container() -> Outcome {
    let world = World::start(&network("generated-clean.toml"))?;
    let filtered = [&["--no-new-privs"], &FILTERED[..]].concat();
    let restrictions: [(&str, &[&str], &str); 3] = [
        (
            "-net_raw",
            &[],
            "the capability CAP_NET_RAW is withheld from all programs here",
        ),
        (
            "+net_raw",
            &["--no-new-privs"],
            "may gain no privileges (no_new_privs), so setcap has no effect here",
        ),
        (
            "+net_raw",
            &filtered,
            "may gain no privileges (no_new_privs), so setcap has no effect here",
        ),
    ];
    for (bounding, restriction, cause) in restrictions {
        let user = granted("+p")?;
        let (code, told) = in_a_sandbox(&user, bounding, restriction, &OPTIONS);
        assert_eq!(code, Some(0), "{told}");
        assert!(
            told.contains("--transport dgram") && told.contains(cause),
            "{told}"
        );
        assert!(!told.contains("sudo setcap"), "{told}");
        let manifest = manifest(&user.path(Path::new("night"))).unwrap();
        assert_eq!(manifest["state"], "complete");
        assert_eq!(manifest["run"]["setup"]["transport"], "dgram");
        assert_eq!(manifest["tables"]["traces"]["rows"], 16);
    }
    let user = granted("+ep")?;
    let (code, told) = in_a_sandbox(&user, "-net_raw", &[], &OPTIONS);
    assert_ne!(code, Some(0));
    assert!(told.contains("Operation not permitted"), "{told}");
    assert!(fs::metadata(user.path(Path::new("night"))).is_err());
    // The built-in network needs a namespace, which such a filter forbids.
    let user = OrdinaryUser::new(&[]);
    let (code, told) = in_a_sandbox(&user, "+net_raw", &filtered, &["survey", "--lab"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("seccomp filter") && told.contains("--virtual-time"),
        "{told}"
    );
    let in_virtual_time = ["survey", "--lab", "--virtual-time"];
    let (code, told) = in_a_sandbox(&user, "+net_raw", &filtered, &in_virtual_time);
    assert_eq!(code, Some(0), "{told}");
    world.stop();
    Ok(())
}
