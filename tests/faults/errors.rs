//! Calls that fail, are interrupted or are cut short.

use std::fs::{self, File};
use std::process::Command;

use super::program::{NIGHT, Place, check, json, survey, with_faults};
use crate::support::Outcome;

pub fn failing() -> Outcome {
    let lock = format!("{NIGHT}/.lock");
    let lock = lock.as_str();
    let manifest = "MANIFEST";
    let refused = "name a place that you may write to with -o";
    let stays = "parts already sealed are whole and stay";
    // The call, its path, what the message holds, and the state of the manifest.
    let cases: &[(&str, &str, &[&str], Option<&str>)] = &[
        (
            "openat:error=EACCES",
            lock,
            &["cannot create ", lock, refused],
            None,
        ),
        (
            "openat:error=EIO",
            lock,
            &["cannot create ", "Input/output error"],
            None,
        ),
        (
            "mkdir:error=ENOSPC",
            "out/hops",
            &["out/hops", "free space there"],
            Some("failed"),
        ),
        (
            "mkdir:error=EROFS",
            "out",
            &["cannot create ", "name another place with -o"],
            None,
        ),
        (
            "flock:error=EAGAIN",
            lock,
            &["is being written by another run"],
            None,
        ),
        (
            "flock:error=EIO",
            lock,
            &["cannot lock ", "Input/output error"],
            None,
        ),
        (
            "write:error=EDQUOT:when=2+",
            manifest,
            &["cannot write ", "the quota there is used up", stays],
            Some("running"),
        ),
        (
            "fsync:error=EIO:when=2+",
            manifest,
            &["cannot sync ", "/manifest.json", stays],
            Some("running"),
        ),
        (
            "rename:error=EIO:when=2+",
            manifest,
            &["cannot rename to ", "/manifest.json", stays],
            Some("running"),
        ),
    ];
    for (inject, path, words, state) in cases {
        let place = Place::new()?;
        let program = survey("1", &place.text("out"));
        let path = match *path == manifest {
            true => place.of_run("1", ".partial/manifest.json"),
            false => place.text(path),
        };
        let output = with_faults(&[inject], &[path], &program).output();
        check(&output.expect("strace"), 1, words);
        let manifest = place.path("out/manifest.json");
        match state {
            Some(state) => assert_eq!(json(&manifest)["state"], *state, "{inject}"),
            None => assert!(!manifest.exists(), "{inject}"),
        }
    }
    Ok(())
}

pub fn interrupted() -> Outcome {
    let lock = format!("{NIGHT}/.lock");
    let lock = lock.as_str();
    let manifest = "MANIFEST";
    for (call, path) in [
        ("openat", lock),
        ("openat", manifest),
        ("flock", lock),
        ("write", manifest),
        ("fsync", manifest),
        ("fsync", "out"),
    ] {
        let place = Place::new()?;
        let program = survey("1", &place.text("out"));
        let inject = format!("{call}:error=EINTR:when=1..3");
        let named = match path == manifest {
            true => place.of_run("1", ".partial/manifest.json"),
            false => place.text(path),
        };
        let output = with_faults(&[&inject], &[named], &program).output();
        let output = output.expect("strace");
        check(&output, 0, &[]);
        assert!(output.stderr.is_empty(), "{call} of {path}");
        assert_eq!(json(&place.path("out/manifest.json"))["state"], "complete");
    }
    Ok(())
}

/// Standard output is a file that takes every byte, and then cannot store it: the way of network file systems.
pub fn stream() -> Outcome {
    for inject in ["fsync:error=EIO", "close:error=EDQUOT"] {
        let place = Place::new()?;
        let stdout = File::create(place.path("out.csv")).expect("a file");
        let mut program = survey("1", "-");
        program.args(["--format", "csv"]);
        let output = with_faults(&[inject], &[place.text("out.csv")], &program)
            .stdout(stdout)
            .output();
        check(
            &output.expect("strace"),
            1,
            &["cannot write standard output: "],
        );
    }
    Ok(())
}

pub fn size_limit() -> Outcome {
    let place = Place::new()?;
    let program = survey("1", &place.text("out.csv"));
    // In units of 512 bytes or of a KiB: less than the file in either.
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -f 16; exec "$@""#, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("a shell");
    check(
        &output,
        1,
        &[
            "cannot write ",
            "out.csv",
            "raise the file size limit (ulimit -f)",
        ],
    );
    let rows = fs::read_to_string(place.path(".out.csv.partial")).unwrap_or_default();
    assert!(rows.is_empty() || rows.ends_with('\n'), "torn");
    Ok(())
}
