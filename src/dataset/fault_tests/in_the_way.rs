//! Files of other programs at the names of a run, and beside them.

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
