//! Runs that would write to a file that they read: refused with exit code 2 before anything is opened.

use std::os::unix::fs::symlink;

use super::*;

const TARGETS: &str = "198.18.0.1\n198.18.0.2\n";

/// The network of the examples in docs/lab.md, small enough for a test.
const NETWORK: &str = "[[router]]\nname = \"a\"\naddress = \"10.0.0.1\"\n\n[[target]]\nprefix = \"198.18.0.0/24\"\nat = \"a\"\n";

/// A directory with a list, under several names, and a blocklist and a network.
fn place() -> Place {
    let place = Place::new();
    place.file("t.csv", TARGETS);
    place.file("other.csv", TARGETS);
    place.file("x.csv.manifest.json", TARGETS);
    for behind in ["partial", "partial.old", "lock"] {
        place.file(&format!(".x.csv.{behind}"), TARGETS);
    }
    place.file("list", TARGETS);
    place.file("lab.toml", NETWORK);
    fs::create_dir(place.path("sub")).expect("a directory");
    symlink("t.csv", place.path("link.csv")).expect("a link");
    symlink("../t.csv", place.path("sub/up.csv")).expect("a link");
    symlink(".", place.path("here")).expect("a link");
    fs::hard_link(place.path("t.csv"), place.path("hard.csv")).expect("a link");
    fs::create_dir_all(place.path("out/.partial")).expect("a directory");
    place.file("out/.partial/t.csv", TARGETS);
    place.file("out/manifest.json", TARGETS);
    place
}

/// Every file of the place with its content and inode.
fn files(place: &Place) -> BTreeMap<PathBuf, (Vec<u8>, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut open = vec![place.0.path().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let about = fs::symlink_metadata(&path).expect("an entry");
            if about.is_dir() {
                open.push(path);
            } else {
                let content = if path.is_file() {
                    fs::read(&path).expect("a file")
                } else {
                    Vec::new()
                };
                found.insert(path, (content, about.ino()));
            }
        }
    }
    found
}

/// Runs a survey in the lab from within the place.
fn survey_in(place: &Place, arguments: &[&str]) -> Output {
    let mut command = program(&["survey", "-e", "1"]);
    command.args(arguments).current_dir(&place.0);
    if !arguments.contains(&"--lab") {
        command.arg("--lab");
    }
    if !arguments.contains(&"--pcap") {
        command.arg("--virtual-time");
    }
    command.stdin(Stdio::null()).output().expect("an end")
}

#[test]
fn an_output_over_an_input_is_refused_and_nothing_is_touched() {
    let place = place();
    let before = files(&place);
    let absolute = place.text("t.csv");
    let plain = ["-i", "t.csv", "-o", "t.csv"];
    let list = |output| ["-i", "t.csv", "-o", output];
    let target = |file, output| ["198.18.0.1", file, "t.csv", "-o", output];
    let cases: &[(&[&str], &[&str])] = &[
        (&plain, &["-o t.csv", "-i t.csv", "give -o another path"]),
        (&list("./t.csv"), &["-o ./t.csv", "-i t.csv"]),
        (&list("sub/../t.csv"), &["-o sub/../t.csv"]),
        (&list("here/here/t.csv"), &["-o here/here/t.csv"]),
        (&list("link.csv"), &["-o link.csv"]),
        (&list("sub/up.csv"), &["-o sub/up.csv"]),
        (&list("hard.csv"), &["-o hard.csv"]),
        (&list(&absolute), &["-o /", "-i t.csv"]),
        (&["-i", "link.csv", "-o", "t.csv"], &["-i link.csv"]),
        (&["-i", "hard.csv", "-o", "sub/up.csv"], &["-i hard.csv"]),
        (
            &["-i", "other.csv", "-i", "t.csv", "-o", "t.csv"],
            &["-i t.csv"],
        ),
        // A file where the directory of the dataset should be.
        (
            &["-i", "list", "-o", "list"],
            &["-o list would write to the file that -i list"],
        ),
        (
            &["-i", "list", "-o", "list/"],
            &["-o list/ would write", "-i list"],
        ),
        (
            &["-i", "out/manifest.json", "-o", "out"],
            &["-o out also writes out/manifest.json"],
        ),
        (
            &["-i", "out/.partial/t.csv", "-o", "out"],
            &["removes the files in out/.partial"],
        ),
        // Files that go with the output.
        (
            &["-i", "x.csv.manifest.json", "-o", "x.csv"],
            &[
                "-o x.csv also writes x.csv.manifest.json",
                "-i x.csv.manifest.json",
            ],
        ),
        (
            &["-i", ".x.csv.partial", "-o", "./x.csv"],
            &["-o ./x.csv also writes ./.x.csv.partial"],
        ),
        (
            &["-i", ".x.csv.partial.old", "-o", "x.csv"],
            &["-o x.csv also writes .x.csv.partial.old"],
        ),
        (
            &["198.18.0.1", "-b", ".x.csv.lock", "-o", "x.csv"],
            &["-o x.csv also writes .x.csv.lock"],
        ),
        (
            &["-i", ".x.csv.partial.old", "-o", "new", "--pcap", "x.csv"],
            &["--pcap x.csv also writes .x.csv.partial.old"],
        ),
        // Other inputs.
        (&target("-b", "t.csv"), &["-o t.csv", "-b t.csv"]),
        (&target("-b", "sub/up.csv"), &["-o sub/up.csv", "-b t.csv"]),
        (
            &[
                "198.18.0.1",
                "--lab",
                "lab.toml",
                "-o",
                "lab.toml",
                "--format",
                "csv",
            ],
            &["-o lab.toml", "--lab lab.toml"],
        ),
        // The capture file.
        (
            &["-i", "t.csv", "-o", "new", "--pcap", "t.csv"],
            &["--pcap t.csv", "-i t.csv"],
        ),
        (
            &["-i", "t.csv", "-o", "new", "--pcap", "link.csv"],
            &["--pcap link.csv"],
        ),
        (
            &["198.18.0.1", "-o", "new.csv", "--pcap", "./new.csv"],
            &["-o new.csv and --pcap ./new.csv write to the same file"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                "new.csv",
                "--pcap",
                "sub/../new.csv.manifest.json",
            ],
            &["-o new.csv and --pcap"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                "made/new.csv",
                "--pcap",
                "made/not/../new.csv",
            ],
            &["write to the same file"],
        ),
        (
            &["198.18.0.1", "-o", "new", "--pcap", "new/hops/x.pcap"],
            &["--pcap new/hops/x.pcap lies in new/hops"],
        ),
        (
            &[
                "198.18.0.1",
                "-o",
                "out",
                "--pcap",
                "here/out/.partial/x.pcap",
            ],
            &["lies in out/.partial"],
        ),
    ];
    for (arguments, parts) in cases {
        let output = survey_in(&place, arguments);
        check(&output, 2, parts);
        assert_eq!(errors(&output).lines().count(), 1, "{}", errors(&output));
        assert_eq!(files(&place), before, "{arguments:?}");
    }
}

/// Standard input and output may be regular files as well.
#[test]
fn redirections_to_one_file_are_refused() {
    let place = place();
    let before = files(&place);
    let list = place.path("t.csv");
    let read = || fs::File::open(&list).expect("the list");
    let append = || {
        fs::File::options()
            .append(true)
            .open(&list)
            .expect("the list")
    };
    for (input, arguments) in [
        (Some(read()), ["-i", "-", "-o", "t.csv"]),
        (Some(read()), ["-i", "/dev/stdin", "-o", "t.csv"]),
        (None, ["-i", "t.csv", "-o", "/dev/stdout"]),
        (None, ["-i", "t.csv", "-o", "-"]),
    ] {
        let mut command = program(&["survey", "--lab", "--virtual-time", "-e", "1"]);
        command
            .args(arguments)
            .args(["--format", "csv"])
            .current_dir(&place.0);
        match input {
            Some(file) => command.stdin(file),
            None => command.stdin(Stdio::null()).stdout(append()),
        };
        let output = command.stderr(Stdio::piped()).output().expect("an end");
        check(&output, 2, &[arguments[1], arguments[3]]);
        assert_eq!(files(&place), before, "{arguments:?}");
    }
}

/// Rows and packets would be mixed.
#[test]
fn two_outputs_into_one_pipe_are_refused() {
    for output in ["-", "/dev/stdout"] {
        let arguments = ["198.18.0.1", "-o", output, "--format", "csv"];
        let arguments = [
            &["survey", "--lab"],
            &arguments[..],
            &["--pcap", "/dev/stdout"],
        ]
        .concat();
        let output = run(&arguments);
        check(&output, 2, &["--pcap /dev/stdout write to the same file"]);
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn streams_devices_and_lists_beside_the_dataset_are_allowed() {
    let place = place();
    for arguments in [
        &["-i", "t.csv", "-o", "other.csv"][..],
        &["-i", "t.csv", "-o", "."],
        &[
            "-i",
            "here/t.csv",
            "-b",
            "/dev/null",
            "-o",
            "/dev/null",
            "--format",
            "csv",
        ],
        &[
            "-i",
            "/dev/null",
            "198.18.0.1",
            "-o",
            "/dev/null",
            "--format",
            "csv",
        ],
    ] {
        check(&survey_in(&place, arguments), 0, &["(100.0%)"]);
    }
    for (input, output) in [
        ("/dev/stdin", "/dev/stdout"),
        ("-", "/dev/stdout"),
        ("-", "-"),
    ] {
        let arguments = survey_arguments(&["-i", input, "-o", output, "--format", "csv"]);
        let output = fed(&arguments, TARGETS.as_bytes());
        check(&output, 0, &["(100.0%)"]);
        assert!(text(&output.stdout).contains("198.18.0.2"));
    }
    assert_eq!(
        fs::read_to_string(place.path("t.csv")).expect("the list"),
        TARGETS
    );
}
