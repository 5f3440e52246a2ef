//! Names that lead to something else than a file of one's own, and a survey by root: devices stay devices, and whoever owns
//! the end of a link or a FIFO is whom the survey goes on as. All nodes are made here, in a directory that is removed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use super::lab::repository;
use super::program::{OrdinaryUser, pathsurvey, run};
use crate::support::{Ignored, Outcome};

const NOBODY: u32 = 65534;

/// A directory that everybody may look into.
fn open_to_all() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Makes a device's node at `path` with mknod(1).
fn node(path: &Path, kind_and_number: [&str; 3]) -> Result<(), Ignored> {
    let mut mknod = Command::new("mknod");
    mknod.args(["-m", "666"]).arg(path).args(kind_and_number);
    match mknod.output() {
        Ok(output) if output.status.success() => Ok(()),
        refused => Err(Ignored(format!("mknod: {refused:?}"))),
    }
}

/// The devices that take every byte and none (null(4), full(4)), under names of our own.
fn character_device(path: &Path, minor: &str) -> Result<(), Ignored> {
    node(path, ["c", "1", minor])?;
    File::options()
        .write(true)
        .open(path)
        .map(drop)
        .map_err(|error| Ignored(format!("devices are closed in {}: {error}", path.display())))
}

fn survey(output: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = pathsurvey(&["survey", "--lab", "198.18.0.0/28", "-w", "1"]);
    command
        .args(["--format", "csv", "-o"])
        .arg(output)
        .args(more);
    run(command)
}

pub fn devices_stay_devices() -> Outcome {
    let directory = open_to_all();
    let at = |name: &str| directory.path().join(name);
    character_device(&at("null"), "3")?;
    character_device(&at("full"), "7")?;
    // No such device is there; nothing may try.
    node(&at("block"), ["b", "7", "211"])?;
    let (null, full) = (at("null"), at("full"));
    let [null_name, full_name] = [&null, &full].map(|path| path.to_str().unwrap());

    let (code, _, told) = survey(&null, &["--pcap", null_name]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains(null_name) && !told.contains("manifest"),
        "{told}"
    );
    let (code, _, told) = survey(&full, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("cannot write") && told.contains(full_name),
        "{told}"
    );
    let (code, _, told) = survey(&at("night.csv"), &["--pcap", full_name]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains(full_name) && told.contains("--pcap"),
        "{told}"
    );
    let (code, _, told) = survey(&at("block"), &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("is a block device"), "{told}");

    for (name, device) in [("null", (1, 3)), ("full", (1, 7))] {
        let about = fs::symlink_metadata(at(name)).unwrap();
        assert!(about.file_type().is_char_device(), "{name}");
        let number = about.rdev();
        assert_eq!((libc::major(number), libc::minor(number)), device);
    }
    let block = fs::symlink_metadata(at("block")).unwrap();
    assert!(block.file_type().is_block_device());
    let mut left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["block", "full", "null"]);
    Ok(())
}

/// Root without privileges may not open it: the survey goes on as its owner, whoever owns the directory.
pub fn a_fifo_is_opened_as_its_owner() -> Outcome {
    let directory = open_to_all();
    let fifo = directory.path().join("fifo");
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&fifo)
        .status();
    assert!(made.unwrap().success());
    chown(&fifo, Some(NOBODY), Some(NOBODY)).unwrap();
    let read = fifo.clone();
    let reader = std::thread::spawn(move || fs::read_to_string(read).unwrap());
    let (code, _, told) = survey(&fifo, &[]);
    assert_eq!(code, Some(0), "{told}");
    // 16 targets with rows, and the header.
    assert!(reader.join().unwrap().lines().count() > 16);
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    Ok(())
}

/// The place of the file counts, not that of the link.
pub fn a_link_s_file_is_its_owner_s() -> Outcome {
    let directory = open_to_all();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    let link = directory.path().join("latest");
    symlink("data/hops.csv", &link).unwrap();
    let (code, _, told) = survey(&link, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("data/hops.csv.manifest.json tells all"),
        "{told}"
    );
    for name in ["hops.csv", "hops.csv.manifest.json"] {
        assert_eq!(fs::metadata(data.join(name)).unwrap().uid(), NOBODY);
    }
    assert!(link.is_symlink());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    Ok(())
}

/// The disk fills up under a single file: its rows stay, and the words say where.
pub fn a_full_disk_leaves_rows() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("small")).unwrap();
    // The small disk is seen by these programs only, and gone with the last of them.
    let script = "mount -t tmpfs -o size=4m none \"$1\" || exit 77\n\
                  \"$2\" survey --virtual-time --lab -i \"$3\" -o \"$1/hops.csv\"\n\
                  code=$?; cp \"$1/.hops.csv.partial\" \"$4\"; ls -A \"$1\" >\"$5\"; exit $code";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(at("small"))
        .arg(env!("CARGO_BIN_EXE_pathsurvey"))
        .arg(repository().join("sample-targets/lab.csv"))
        .arg(at("copy.csv"))
        .arg(at("listing"));
    let (code, _, told) = run(command);
    if code == Some(77) {
        return Err(Ignored(told));
    }
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("free space there"), "{told}");
    assert!(told.contains("/small/.hops.csv.partial"), "{told}");
    let listing = fs::read_to_string(at("listing")).unwrap();
    assert_eq!(listing, ".hops.csv.partial\n");
    let mut rows = csv::Reader::from_path(at("copy.csv")).unwrap();
    // Batches of 8,192 rows, each whole.
    let rows = rows
        .records()
        .inspect(|row| assert!(row.is_ok(), "torn"))
        .count();
    assert!(rows >= 8_192, "{rows}");
    Ok(())
}

/// Of privileges that an ordinary user never had nothing is said when a place is closed to him, though in the lab's user
/// namespace he counts as root.
pub fn an_ordinary_user_is_told_of_permissions_alone() -> Outcome {
    let user = OrdinaryUser::new(&[]);
    let mut unshare = user.command(Path::new("unshare"));
    unshare.args(["--user", "--map-root-user", "--net", "true"]);
    let (code, _, why) = run(unshare);
    if code != Some(0) {
        return Err(Ignored(format!("user namespaces are refused: {why}")));
    }
    let closed = user.path(Path::new("closed"));
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    for (options, place) in [
        (&["-o", "closed/night"][..], "closed/night"),
        (&["-o", "closed/hops.csv"], "closed/hops.csv"),
        (&["-o", "night", "--pcap", "closed/a.pcap"], "closed/a.pcap"),
    ] {
        let mut command = user.pathsurvey(&["survey", "--lab", "198.18.0.0/28"]);
        command.args(options);
        let (code, _, told) = run(command);
        assert_eq!(code, Some(1), "{told}");
        assert!(
            told.contains(place) && told.contains("may write to"),
            "{told}"
        );
        for word in ["root", "user 0", "chown", "privileges"] {
            assert!(!told.contains(word), "`{word}`: {told}");
        }
    }
    Ok(())
}
