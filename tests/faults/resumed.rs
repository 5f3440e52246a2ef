//! Faults while a survey is resumed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pathsurvey::dataset::manifest::RunState;
use pathsurvey::dataset::read::{Checks, Dataset, Rows};

use super::killed::{kill, parts};
use super::locks::child_of;
use super::program::{Place, check, json, resume, survey, told, with_faults};
use crate::support::Outcome;

/// Checks that the only run is complete, and that it has every target's trace once.
#[track_caller]
fn check_complete(root: &Path) {
    let dataset = Dataset::open(root).expect("a dataset");
    let [run] = dataset.runs() else {
        panic!("{} runs", dataset.runs().len());
    };
    assert_eq!(run.manifest().state, RunState::Complete);
    let mut traces = BTreeSet::new();
    for batch in dataset
        .scan("traces")
        .columns(&["trace_id"])
        .batches()
        .expect("traces")
    {
        for row in Rows::new(batch.expect("rows")).iter() {
            let id = row.int("trace_id").expect("a column");
            assert!(traces.insert(id), "{id:?} twice");
        }
    }
    assert_eq!(traces.len(), 256);
    let mut probes = BTreeSet::new();
    let columns = ["trace_id", "ttl", "probe_id", "reply_index"];
    for batch in dataset
        .scan("hops")
        .columns(&columns)
        .batches()
        .expect("hops")
    {
        for row in Rows::new(batch.expect("rows")).iter() {
            let int = |name| row.int(name).expect("a column");
            assert!(traces.contains(&int("trace_id")));
            let is_new = probes.insert((int("probe_id"), int("reply_index")));
            assert!(is_new, "{:?} twice", int("probe_id"));
        }
    }
    let faults = dataset.verify(Checks::ALL, |_| ()).expect("a directory");
    assert!(faults.is_empty(), "{faults:?}");
    for table in ["hops", "traces"] {
        assert_eq!(
            parts(&root.join(table)).len(),
            run.parts(table).len(),
            "{table}"
        );
    }
}

/// Resumes a killed survey while a call fails, and then again.
pub fn failing_calls() -> Outcome {
    let stays = "parts already sealed are whole and stay";
    let manifest = ".partial/manifest.json";
    // The call and its file. `when` counts the calls of each thread, and the writer's thread seals.
    let cases = [
        ("write:error=EIO", manifest, "cannot write "),
        ("fsync:error=EIO", manifest, "cannot sync "),
        ("rename:error=EIO", manifest, "cannot rename to "),
        (
            "write:error=ENOSPC",
            ".partial/checkpoint.json",
            "free space there",
        ),
        ("fsync:error=EIO:when=2+", ".partial/checkpoint.json", stays),
        (
            "rename:error=EIO:when=2+",
            ".partial/checkpoint.json",
            stays,
        ),
        ("rename:error=EIO:when=3+", manifest, stays),
    ];
    for (inject, file, words) in cases {
        let place = Place::new()?;
        kill(&place);
        let (out, file) = (place.text("out"), place.of_run("1", file));
        let output = with_faults(&[inject], std::slice::from_ref(&file), &resume(&out)).output();
        check(&output.expect("strace"), 1, &[words]);
        let dataset = Dataset::open(place.path("out")).expect("a dataset");
        let state = &dataset.runs()[0].manifest().state;
        assert_ne!(*state, RunState::Complete, "{inject} of {file}");
        check(&resume(&out).output().expect("the program"), 0, &[]);
        check_complete(&place.path("out"));
    }
    Ok(())
}

/// The survey of [`survey`] in a file system that is too small for it. Then there is room.
pub fn full_disk() -> Outcome {
    let place = Place::new()?;
    let (small, copy) = (place.text("small"), place.text("copy"));
    fs::create_dir(&small).expect("a directory");
    let out = format!("{small}/out");
    let first = survey("1", &out);
    // The mount is gone with the last process of its namespace.
    let script = r#"
        mount -t tmpfs -o size=800k none "$SMALL" || exit 90
        head -c 500000 /dev/zero > "$SMALL/filler" || exit 91
        "$@"; test $? -eq 1 || exit 92
        rm "$SMALL/filler"
        "$1" survey --resume --quiet -o "$OUT"; test $? -eq 0 || exit 93
        cp -a "$OUT" "$COPY"
    "#;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(first.get_program())
        .args(first.get_args())
        .envs([("SMALL", &small), ("OUT", &out), ("COPY", &copy)])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("unshare");
    check(&output, 0, &["No space left on device", "free space there"]);
    check_complete(&place.path("copy"));
    let sessions = json(&place.path("copy/manifest.json"))["sessions"].clone();
    assert_eq!(sessions.as_array().map(Vec::len), Some(2));
    Ok(())
}

/// The directory is on a file system that is mounted read-only.
pub fn read_only() -> Outcome {
    let place = Place::new()?;
    kill(&place);
    let out = place.text("out");
    let program = resume(&out);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg(r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#);
    command.arg(&out).arg(program.get_program());
    command.args(program.get_args());
    let words = ["out", "Read-only file system", "name another place with -o"];
    check(&command.output().expect("unshare"), 1, &words);
    check(&resume(&out).output().expect("the program"), 0, &[]);
    check_complete(&place.path("out"));
    Ok(())
}

/// The user may read the directory, and not write there.
pub fn not_allowed() -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new()?;
    kill(&place);
    let out = place.text("out");
    let folder = Path::new(&place.of_run("1", "")).to_owned();
    let allow = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode));
    allow(0o555).expect("our folder");
    let partial = folder.join(".partial");
    let hide = |mode| fs::set_permissions(&partial, fs::Permissions::from_mode(mode));
    hide(0o555).expect("our folder");
    let refused = resume(&out).output().expect("the program");
    check(
        &refused,
        1,
        &[
            "cannot ",
            "Permission denied",
            "name a place that you may write to",
        ],
    );
    allow(0o755).and_then(|()| hide(0o755)).expect("our folder");
    check(&resume(&out).output().expect("the program"), 0, &[]);
    check_complete(&place.path("out"));
    Ok(())
}

/// The first one stands still in the middle, and so holds its night.
pub fn two_at_once() -> Outcome {
    let place = Place::new()?;
    kill(&place);
    let out = place.text("out");
    let manifest = place.of_run("1", ".partial/manifest.json");
    let stops = "rename:signal=SIGSTOP:when=3";
    let mut first = with_faults(&[stops], &[manifest], &resume(&out));
    let mut first = first.stderr(Stdio::piped()).spawn().expect("strace");
    // Its manifest lists a second session.
    let path = place.path("out/manifest.json");
    while json(&path)["sessions"].as_array().map(Vec::len) != Some(2) {
        let ended = first.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended: {ended:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = resume(&out).output().expect("the program");
    check(&second, 1, &["out", "is being written by another run"]);
    // It may have stopped already, or stop soon. A signal to go on before that would be lost.
    let pid = child_of(first.id()).to_string();
    while first.try_wait().expect("a child").is_none() {
        let sent = Command::new("kill").args(["-CONT", &pid]).output();
        sent.expect("kill");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = first.wait_with_output().expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", told(&ended));
    check_complete(&place.path("out"));
    Ok(())
}
