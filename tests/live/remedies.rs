//! Remedies fit the cause: what is wrong is named, and nothing else.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use pathsurvey::lab::driver::enter_namespace;

use super::host::allowed;
use super::outage::network;
use super::program::{pathsurvey, run};
use crate::rows::manifest;
use crate::support::{Ignored, Outcome};

/// What earlier versions guessed.
const GUESSES: [&str; 4] = ["AppArmor", "seccomp", "may not offer", "sudo setcap"];

/// Runs the program with `arguments` by way of `starter`, with its dataset in `directory`.
fn started(
    starter: &[&str],
    arguments: &[&str],
    directory: &Path,
) -> Result<(Option<i32>, String), Ignored> {
    let plain = pathsurvey(arguments);
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(plain.get_program());
    command
        .args(plain.get_args())
        .arg("-o")
        .arg(directory.join("night"));
    match Command::new(starter[0]).arg("--version").output() {
        Err(error) => Err(Ignored(format!("{} cannot be run: {error}", starter[0]))),
        Ok(_) => {
            let (code, _, told) = run(command);
            Ok((code, told))
        }
    }
}

const REAL: [&str; 7] = [
    "survey",
    "--allow-special",
    "198.18.0.0/30",
    "-w",
    "0.2",
    "--transport",
    "raw",
];
const LAB: [&str; 3] = ["survey", "--lab", "198.18.0.0/30"];
/// Root, and nothing of what root may do.
const POWERLESS: [&str; 5] = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];
/// Root that gains nothing by being root.
const NO_ROOT: [&str; 5] = ["setpriv", "--inh-caps", "-all", "--securebits", "+noroot"];

pub fn of_refusals() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    network()?;
    let few_files = ["bash", "-c", "ulimit -n 20; exec \"$0\" \"$@\""];
    let cases: [(&[&str], &[&str], &[&str]); 4] = [
        (
            &few_files,
            &REAL,
            &[
                "(Too many open files",
                "may have 20 open files; raise the limit, for example with `ulimit -n",
            ],
        ),
        (
            &POWERLESS,
            &REAL,
            &[
                "opening a raw socket",
                "withheld from all programs here",
                "--cap-add NET_RAW",
            ],
        ),
        (
            &NO_ROOT,
            &REAL,
            &[
                "opening a raw socket",
                "root was started without the capability CAP_NET_RAW",
            ],
        ),
        (
            &POWERLESS,
            &LAB,
            &[
                "user namespace",
                "root was started without the capability CAP_SETFCAP",
                "--virtual-time",
            ],
        ),
    ];
    for (starter, arguments, parts) in cases {
        let directory = tempfile::tempdir().unwrap();
        let (code, told) = started(starter, arguments, directory.path())?;
        assert_eq!((code, told.lines().count()), (Some(1), 1), "{told}");
        for part in parts {
            assert!(told.contains(part), "`{part}` is not in: {told}");
        }
        for guess in GUESSES {
            assert!(!told.contains(guess), "{told}");
        }
        assert!(!directory.path().join("night").exists());
    }
    Ok(())
}

/// A survey needs no /proc. One warning says what could not be checked. Root goes on as the owner of the directory, as ever.
pub fn without_proc() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    network()?;
    let script = "mount --make-rprivate / && umount -l /proc && exec \"$0\" \"$@\"";
    let directory = tempfile::tempdir().unwrap();
    let owner = 1_234;
    std::os::unix::fs::chown(directory.path(), Some(owner), Some(owner)).unwrap();
    let starter = ["unshare", "--mount", "sh", "-c", script];
    let (code, told) = started(&starter, &REAL, directory.path())?;
    assert_eq!(code, Some(0), "{told}");
    let warnings = told.lines().filter(|line| line.contains("/proc")).count();
    assert_eq!(warnings, 1, "{told}");
    assert!(!told.contains("seccomp"), "{told}");
    let night = directory.path().join("night");
    let written_by = std::fs::metadata(night.join("manifest.json"))
        .unwrap()
        .uid();
    assert_eq!(written_by, owner, "{told}");
    let manifest = manifest(&night).unwrap();
    assert_eq!(manifest["state"], "complete");
    assert_eq!(manifest["tables"]["traces"]["rows"], 4);
    Ok(())
}
