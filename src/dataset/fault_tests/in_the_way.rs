//! Files of other programs at the names of a run, and beside them.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;

use super::*;

/// Writes `text` to a file below `root`, and creates the directories above it.
fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_refused_run_removes_no_unfinished_file() {
    let directory = directory();
    let (foreign, ours) = (
        directory.path().join("foreign"),
        directory.path().join("ours"),
    );
    put(
        &foreign,
        "manifest.json",
        r#"{"name": "a web application"}"#,
    );
    run_of(1, &Output::Directory(ours.clone()), Disk::default(), "RUN").unwrap();
    for root in [foreign, ours] {
        for name in [
            "movie.part",
            "manifest.json",
            "hops-part-RUN-00000.parquet.tmp",
        ] {
            put(&root, &format!(".partial/{name}"), "unfinished");
        }
        put(&root, ".lock", "");
        let before = files(&root);
        let refused = create(&Output::Directory(root.clone()), Disk::default(), "RUN");
        assert!(refused.is_err());
        assert_eq!(files(&root), before);
    }
}

#[test]
fn only_unfinished_files_of_runs_are_removed() {
    let directory = directory();
    let root = directory.path();
    for name in [
        "manifest.json",
        "hops-part-RUN-0-00001.parquet.tmp",
        "other-part-a%2Fb-123456.parquet.tmp",
    ] {
        put(root, &format!(".partial/{name}"), "of a killed run");
    }
    let foreign = [
        ".partial/hops-part-RUN-0-00001.parquet",
        ".partial/manifest.json.bak",
        ".partial/movie.part",
        ".partial/old/part-RUN-0-00001.parquet.tmp",
        ".partial/part-of-mine.parquet.tmp",
    ];
    for name in foreign {
        put(root, name, "of somebody else");
    }
    run(
        &Output::Directory(root.to_owned()),
        Disk::default(),
        "RUN-1",
    )
    .unwrap();
    let left = files(&root.join(".partial"));
    let expected: Vec<_> = foreign
        .iter()
        .map(|name| Path::new(name).strip_prefix(".partial").unwrap())
        .collect();
    assert_eq!(left, expected);
}

/// An output, and the names of files that its run opens.
const OPENED: [(&str, &[&str]); 2] = [
    (
        "OUT",
        &[
            "OUT/.lock",
            "OUT/manifest.json",
            "OUT/.manifest.lock",
            "OUT/runs/date=2026-03-01/vp=id-fra/.lock",
            "OUT/runs/date=2026-03-01/vp=id-fra/.lock.owner",
        ],
    ),
    ("OUT.csv", &[".OUT.csv.partial", ".OUT.csv.lock"]),
];

/// The message of a run that is refused. Fails if the run waits.
#[track_caller]
fn refusal(root: &Path, output: &str) -> String {
    let output = Output::parse(root.join(output).to_str().unwrap(), None).unwrap();
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let created = create(&output, Disk::default(), "RUN-2");
        sender.send(created.err().map(|error| error.to_string()))
    });
    let answer = answer.recv_timeout(Duration::from_secs(60));
    answer.expect("it waits").expect("a refusal")
}

#[test]
fn a_fifo_at_a_name_of_ours_is_refused_at_once() {
    for (output, names) in OPENED {
        for (name, with_reader) in names.iter().flat_map(|name| [(name, false), (name, true)]) {
            let directory = directory();
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let made = Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
            // Opened for both, so that opening it to write does not wait, either.
            let reader = || std::fs::File::options().read(true).write(true).open(&path);
            let _reader = with_reader.then(|| reader().unwrap());
            let told = refusal(directory.path(), output);
            assert!(told.contains(&*path.to_string_lossy()), "{told}");
            assert!(told.contains("regular file"), "{told}");
        }
    }
}

#[test]
fn nothing_is_written_through_a_symbolic_link_at_a_name_of_ours() {
    for (output, name) in OPENED.iter().flat_map(|(output, names)| {
        // The manifest and the lock of earlier versions are only read.
        let read = ["OUT/manifest.json", "OUT/.lock"];
        let written = names.iter().filter(move |name| !read.contains(name));
        written.map(move |name| (output, name))
    }) {
        for text in [Some("precious"), Some(""), None] {
            let directory = directory();
            let (path, other) = (directory.path().join(name), directory.path().join("other"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if let Some(text) = text {
                std::fs::write(&other, text).unwrap();
            }
            symlink(&other, &path).unwrap();
            let told = refusal(directory.path(), output);
            assert!(told.contains(&*path.to_string_lossy()), "{told}");
            assert!(told.contains("a symbolic link"), "{told}");
            assert_eq!(std::fs::read_to_string(&other).ok().as_deref(), text);
            assert!(path.is_symlink());
        }
    }
}
