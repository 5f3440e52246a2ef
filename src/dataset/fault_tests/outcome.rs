//! A run with a failing call, and what it leaves.

use std::io::Read;
use std::os::fd::AsRawFd;

use super::places::{Kind, Place};
use super::*;
use crate::dataset::remedy::{self, Written};

/// What the user and the disk have after a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub exit: u8,
    /// The message, with the output's name for its path, and `…` for the system's words.
    pub message: String,
    /// The state of the manifest, and the rows in the parts that it lists.
    pub manifest: String,
    /// What is on the disk besides.
    pub stays: String,
}

impl Outcome {
    /// The cells of a row of the table, behind the errors.
    pub(super) fn cells(&self) -> String {
        let Outcome {
            exit,
            message,
            manifest,
            stays,
        } = self;
        let message = match message.is_empty() {
            true => String::new(),
            false => format!("`{message}`"),
        };
        format!("{exit} | {message} | {manifest} | {stays}")
    }
}

/// Runs with an error at a place.
pub(super) fn of(place: &Place, errno: i32) -> Outcome {
    let directory = directory();
    let root = directory.path();
    let mut fault = Fault::always(place.call, place.on, errno);
    fault.after = place.after;
    // These are repeated until they succeed.
    if errno == libc::EINTR || (errno == libc::EAGAIN && place.kind == Kind::Stream) {
        fault.times = 3;
    }
    let disk = Disk::failing(vec![fault]);
    let outcome = match place.kind {
        Kind::Directory => of_directory(root, disk),
        Kind::File => of_file(root, disk),
        Kind::Stream => of_stream(disk),
        Kind::Pcap => of_pcap(root, disk),
    };
    // The table of remedies has those.
    let error = std::io::Error::from_raw_os_error(errno);
    let written = match place.kind {
        Kind::Directory => Written::Directory,
        Kind::File | Kind::Stream => Written::File,
        Kind::Pcap => Written::Packets,
    };
    let mounted = format!("at {} ", files::mount_point(root).display());
    let root = &*root.to_string_lossy();
    let message = outcome
        .message
        .replace(&remedy::of(&error, Path::new(root), written), "")
        .replace(&mounted, "at MOUNT ")
        .replace(&format!("{root}/"), "")
        .replace(root, ".")
        .replace(&error.to_string(), "…");
    Outcome { message, ..outcome }
}

fn told<T>(result: &Result<(T, Vec<String>), DatasetError>) -> (u8, String) {
    match result {
        // The reader of a pipe may leave: `pathsurvey … | head` is no failure.
        Err(error) if error.is_broken_pipe() => (0, String::new()),
        Err(error) => (1, format!("error: {error}")),
        Ok((_, notices)) if notices.is_empty() => (0, String::new()),
        Ok((_, notices)) => (0, format!("warning: {}", notices.join("; "))),
    }
}

fn of_directory(root: &Path, disk: Disk) -> Outcome {
    let out = root.join("OUT");
    let result = run(&Output::Directory(out.clone()), disk, "RUN");
    let (exit, message) = told(&result);
    let night = out.join("runs/date=2026-03-01/vp=id-fra");
    let Some(manifest) = manifest_of(&night.join("RUN/manifest.json")) else {
        // Of the folder of a run without a manifest, the next run removes what is there.
        let is_of_runs =
            |path: &PathBuf| path.starts_with("runs") || path.ends_with(".manifest.lock");
        assert!(files(&out).iter().all(is_of_runs), "{:?}", files(&out));
        return Outcome {
            exit,
            message,
            manifest: "none".to_owned(),
            stays: "nothing".to_owned(),
        };
    };
    // Everything that a manifest lists is there, whole, and as it was written.
    let dataset = Dataset::open(&out).unwrap();
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    let unlisted = differences
        .iter()
        .filter(|it| matches!(it, Difference::Unlisted { .. }));
    let unlisted = unlisted.count();
    assert_eq!(unlisted, differences.len(), "{differences:?}");
    let listed = manifest["tables"]["hops"]["rows"].as_u64().unwrap();
    let state = manifest["state"].as_str().unwrap();
    let all = u64::from(TRACES) * u64::from(rows::HOPS);
    assert_eq!(state == "complete", exit == 0, "{message}");
    assert_eq!(state == "complete", listed == all, "{message}");
    let warned = !manifest["warnings"].as_array().unwrap().is_empty();
    assert!(warned || exit == 1 || message.is_empty(), "{message}");
    let quiet = message.is_empty();
    for file in files(&out)
        .iter()
        .filter(|it| !it.starts_with("hops") && !it.starts_with("traces"))
    {
        let known = [
            ".manifest.lock",
            "manifest.json",
            "runs/date=2026-03-01/vp=id-fra/.lock",
            "runs/date=2026-03-01/vp=id-fra/RUN/_SUCCESS",
            "runs/date=2026-03-01/vp=id-fra/RUN/checkpoint.json",
            "runs/date=2026-03-01/vp=id-fra/RUN/manifest.json",
        ];
        let is_known = known.iter().any(|known| file == Path::new(known));
        let is_partial = file.iter().any(|name| name == ".partial");
        assert!(is_known || (is_partial && exit == 1), "{file:?}");
    }
    Outcome {
        exit,
        message,
        manifest: format!(
            "`{state}`, {}{}",
            if listed == all {
                "all rows"
            } else {
                "the rows sealed before"
            },
            if warned && quiet { ", a warning" } else { "" }
        ),
        stays: match unlisted {
            0 => "the listed parts".to_owned(),
            _ => "the listed parts, and parts that the next run lists".to_owned(),
        },
    }
}

fn of_file(root: &Path, disk: Disk) -> Outcome {
    let (out, partial) = (root.join("OUT.csv"), root.join(".OUT.csv.partial"));
    let output = Output::parse(out.to_str().unwrap(), None).unwrap();
    let (exit, message) = told(&run(&output, disk, "RUN"));
    let manifest = manifest_of(&root.join("OUT.csv.manifest.json"));
    let state = manifest.as_ref().and_then(|it| it["state"].as_str());
    let whole = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "torn");
        text.lines().count().saturating_sub(1)
    };
    let all = TRACES as usize * rows::HOPS as usize;
    let stays = match (out.exists(), partial.exists()) {
        (true, false) => {
            assert_eq!(whole(&out), all);
            "`OUT.csv`, whole".to_owned()
        }
        (false, true) => match whole(&partial) {
            0 => "`.OUT.csv.partial`, empty".to_owned(),
            rows if rows == all => "`.OUT.csv.partial`, with all rows".to_owned(),
            _ => "`.OUT.csv.partial`, with the rows before".to_owned(),
        },
        (false, false) => "nothing".to_owned(),
        (true, true) => panic!("both"),
    };
    assert_eq!(state.is_some(), exit == 0, "{message}");
    let known = [".OUT.csv.partial", "OUT.csv", "OUT.csv.manifest.json"];
    for file in files(root) {
        assert!(known.iter().any(|name| file == Path::new(name)), "{file:?}");
    }
    Outcome {
        exit,
        message,
        manifest: state.map_or("none".to_owned(), |state| format!("`{state}`, all rows")),
        stays,
    }
}

fn of_stream(disk: Disk) -> Outcome {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    let reader = std::thread::spawn(move || {
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        read
    });
    let output = Output::File {
        path: path.clone(),
        format: Format::Csv,
    };
    let (exit, message) = told(&run(&output, disk, "RUN"));
    let message = message.replace(&*path.to_string_lossy(), "OUT");
    drop(writer);
    let read = reader.join().unwrap();
    let all = TRACES as usize * rows::HOPS as usize;
    let got = read.lines().count().saturating_sub(1);
    let stays = match got == all {
        true => "all rows are in the stream",
        false => "the rows before are in the stream",
    };
    Outcome {
        exit,
        message,
        manifest: "none".to_owned(),
        stays: stays.to_owned(),
    }
}

fn of_pcap(root: &Path, disk: Disk) -> Outcome {
    let (out, partial) = (root.join("OUT.pcap"), root.join(".OUT.pcap.partial"));
    let packet = [0x45, 0, 0, 20];
    let written = || -> Result<(Kept, Vec<String>), DatasetError> {
        let mut file = PcapFile::create_on(&disk, &out)?;
        let notices = file.notices();
        let written = (0..3).try_for_each(|at| file.write([(&packet[..], at)].into_iter()));
        // As a survey does: the file is sealed, whatever happened before.
        let sealed = file.seal();
        written.and(sealed.map(|kept| (kept, notices)))
    };
    let result = written();
    let (exit, message) = told(&result);
    let record = 16 + packet.len();
    let packets = |path: &Path| {
        let bytes = std::fs::metadata(path).unwrap().len() as usize;
        let records = bytes.saturating_sub(24);
        assert!(
            bytes == 0 || bytes >= 24 && records.is_multiple_of(record),
            "torn"
        );
        records / record
    };
    let held = |name: &str, path: &Path| match packets(path) {
        0 => format!("`{name}`, empty"),
        3 => format!("`{name}`, with all packets"),
        _ => format!("`{name}`, with the packets before"),
    };
    let stays = match (out.exists(), partial.exists()) {
        (true, false) => held("OUT.pcap", &out),
        (false, true) => held(".OUT.pcap.partial", &partial),
        (false, false) => "nothing".to_owned(),
        (true, true) => panic!("both"),
    };
    if exit == 0 {
        assert_eq!(packets(&out), 3);
    }
    Outcome {
        exit,
        message,
        manifest: "that of the dataset".to_owned(),
        stays,
    }
}
