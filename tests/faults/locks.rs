//! File systems without locks, and without synced directories.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::program::{NIGHT, Place, check, json, only_warning, survey, told, with_faults};
use crate::support::Outcome;

/// The errors of flock on a file system without locks. 524 is the kernel's ENOTSUPP, which NFS passes on.
const NO_LOCKS: [&str; 5] = ["ENOLCK", "ENOSYS", "EBADF", "EOPNOTSUPP", "524"];

fn manifest_of(place: &Place, name: &str) -> Value {
    match name.ends_with(".csv") {
        true => json(&place.path(&format!("{name}.manifest.json"))),
        false => json(&place.path(&format!("{name}/manifest.json"))),
    }
}

pub fn missing() -> Outcome {
    for error in NO_LOCKS {
        for name in ["out", "out.csv"] {
            let place = Place::new()?;
            let inject = format!("flock:error={error}");
            let program = survey("1", &place.text(name));
            let output = with_faults(&[&inject], &[], &program).output();
            let output = output.expect("strace");
            check(&output, 0, &["has no locks"]);
            let warning = only_warning(&output);
            let manifest = manifest_of(&place, name);
            assert_eq!(manifest["state"], "complete", "{error}");
            assert_eq!(manifest["warnings"], serde_json::json!([warning]));
            let left = match name {
                "out" => place.names("out"),
                _ => place.names(""),
            };
            let expected: &[&str] = match name {
                "out" => &[".manifest.lock", "manifest.json"],
                _ => &["out.csv", "out.csv.manifest.json"],
            };
            assert_eq!(left, expected, "{error}");
        }
    }
    Ok(())
}

pub fn missing_for_packets() -> Outcome {
    let place = Place::new()?;
    let (out, pcap) = (place.text("out"), place.text("replies.pcap"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    let waits = ["-w", "1", "-c", "1", "--late-window", "1"];
    program
        .args(["survey", "--quiet", "--lab", "198.18.0.1", "-o", &out])
        .args(["--pcap", &pcap])
        .args(waits);
    let output = with_faults(&["flock:error=ENOLCK"], &[], &program).output();
    let output = output.expect("strace");
    check(&output, 0, &[]);
    let warnings = told(&output).matches("has no locks").count();
    assert_eq!(warnings, 1, "{}", told(&output));
    assert_eq!(place.names(""), ["out", "replies.pcap"]);
    Ok(())
}

/// Waits until the lock file names its process, and returns that. Fails if the program ends before.
fn owner(lock: &Path, program: &mut Child) -> u64 {
    loop {
        let text = std::fs::read(lock).unwrap_or_default();
        if let Ok(owner) = serde_json::from_slice::<Value>(&text) {
            return owner["pid"].as_u64().expect("a process");
        }
        let ended = program.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended without a lock: {ended:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn two_runs() -> Outcome {
    let owned = format!("{NIGHT}/.lock.owner");
    for (name, lock) in [("out", owned.as_str()), ("out.csv", ".out.csv.lock")] {
        let place = Place::new()?;
        let written = match name {
            "out" => place.of_run("1", ".partial/manifest.json"),
            _ => place.text(".out.csv.partial"),
        };
        let output = place.text(name);
        let no_locks = "flock:error=ENOLCK";
        // The first survey stops in the middle, and so holds its place until it is killed.
        let stops = match name {
            "out" => "rename:signal=SIGSTOP:when=2",
            _ => "write:signal=SIGSTOP:when=2",
        };
        let locked = [written, place.text(&format!("{NIGHT}/.lock"))];
        let mut first = with_faults(&[no_locks, stops], &locked, &survey("1", &output))
            .spawn()
            .expect("strace");
        let pid = owner(&place.path(lock), &mut first);

        // With locks or without them, the second survey sees the first.
        for second in [
            survey("2", &output),
            with_faults(&[no_locks], &[], &survey("2", &output)),
        ] {
            let mut second = second;
            let refused = second.output().expect("a program");
            check(&refused, 1, &[name, "is being written by another run"]);
        }
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill").success());
        first.wait().expect("an end");
        assert!(
            place.path(lock).exists(),
            "a killed run leaves its lock file"
        );

        let third = with_faults(&[no_locks], &[], &survey("3", &output)).output();
        let third = third.expect("strace");
        check(&third, 0, &["has no locks"]);
        assert!(!place.path(lock).exists());
        assert_eq!(manifest_of(&place, name)["state"], "complete");
    }
    Ok(())
}

pub fn unsynced() -> Outcome {
    for error in ["EINVAL", "ENOSYS", "EBADF", "EOPNOTSUPP", "524"] {
        for name in ["out", "out.csv"] {
            let place = Place::new()?;
            let inject = format!("fsync:error={error}");
            // The directories only: a file that cannot be synced is an error.
            let directories = [place.text(""), place.text("out")];
            let directories = directories.map(|path| path.trim_end_matches('/').to_owned());
            let program = survey("1", &place.text(name));
            let output = with_faults(&[&inject], &directories, &program).output();
            let output = output.expect("strace");
            check(&output, 0, &["cannot sync directories"]);
            let warning = only_warning(&output);
            let manifest = manifest_of(&place, name);
            assert_eq!(
                manifest["warnings"],
                serde_json::json!([warning]),
                "{error}"
            );
        }
    }
    Ok(())
}

/// Two containers on one host: each has process numbers of its own, and cannot look for those of the other.
pub fn containers() -> Outcome {
    let place = Place::new()?;
    let (output, lock) = (
        place.text("out"),
        place.path(&format!("{NIGHT}/.lock.owner")),
    );
    let manifest = [
        place.of_run("1", ".partial/manifest.json"),
        place.text(&format!("{NIGHT}/.lock")),
    ];
    let faults = ["flock:error=ENOLCK", "rename:signal=SIGSTOP:when=2"];
    let traced = with_faults(&faults, &manifest, &survey("1", &output));
    let mut first = Command::new("unshare");
    first
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(traced.get_program())
        .args(traced.get_args())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped());
    let mut first = first.spawn().expect("unshare");
    // The number is that of the container. On the host, another process has it, or none.
    owner(&lock, &mut first);
    // Without a manifest, nobody could say later that the run was killed.
    let listed = place.of_run("1", "manifest.json");
    while !Path::new(&listed).exists() {
        let ended = first.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended without a manifest: {ended:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = || with_faults(&["flock:error=ENOLCK"], &[], &survey("2", &output)).output();
    let words = ["another container", "remove that lock file", ".lock.owner"];
    check(&second().expect("strace"), 1, &words);
    first.kill().expect("a child");
    // The pipe closes when every process of the container has ended.
    first.wait_with_output().expect("an end");
    // That they have ended cannot be seen from here.
    check(&second().expect("strace"), 1, &words);
    std::fs::remove_file(&lock).expect("a lock file");
    check(&second().expect("strace"), 0, &["was killed"]);
    Ok(())
}

/// The only child of a process.
pub fn child_of(pid: u32) -> u32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(&path).expect(&path);
    children.trim().parse().expect("one child")
}

/// Both surveys are in one PID namespace that has no `/proc` of its own: there, `/proc/1` is the first process of the host.
pub fn foreign_proc() -> Outcome {
    let place = Place::new()?;
    let (output, lock) = (
        place.text("out"),
        place.path(&format!("{NIGHT}/.lock.owner")),
    );
    let written = [
        place.of_run("1", ".partial/manifest.json"),
        place.text(&format!("{NIGHT}/.lock")),
    ];
    let first = survey("1", &output);
    let mut inside = Command::new("unshare");
    inside
        .args(["--pid", "--fork", "--kill-child"])
        .arg(first.get_program())
        .args(first.get_args());
    let faults = ["flock:error=ENOLCK", "rename:signal=SIGSTOP:when=2"];
    let mut first = with_faults(&faults, &written, &inside)
        .spawn()
        .expect("strace");
    assert_eq!(
        owner(&lock, &mut first),
        1,
        "it is the first of its namespace"
    );
    let unshare = child_of(first.id());
    let target = child_of(unshare).to_string();
    let mut second = Command::new("nsenter");
    let program = survey("2", &output);
    second
        .args(["--target", &target, "--pid"])
        .arg(program.get_program())
        .args(program.get_args());
    let refused = with_faults(&["flock:error=ENOLCK"], &[], &second).output();
    let refused = refused.expect("strace");
    let ended = Command::new("kill").args(["-9", &target]).status();
    assert!(ended.expect("kill").success());
    first.wait_with_output().expect("an end");
    let words = ["process 1 on host", "this host", "remove that lock file"];
    check(&refused, 1, &words);
    Ok(())
}
