//! Single files behind links, FIFOs and descriptors, and paths that must not be replaced.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;

use arrow::ipc::reader::StreamReader;
use pathsurvey::dataset::Format;

use super::*;
use directory::count;

const STREAMING: [Format; 3] = [Format::Csv, Format::JsonLines, Format::Arrow];

fn output(path: &Path, format: Format) -> Output {
    Output::File {
        path: path.to_owned(),
        format,
    }
}

fn fifo(directory: &Path) -> PathBuf {
    let path = directory.join("fifo");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    path
}

/// The number of rows in a stream.
fn rows_in(format: Format, bytes: &[u8]) -> usize {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    match format {
        Format::Csv => lines - 1,
        Format::JsonLines => lines,
        Format::Arrow => {
            let batches: Result<Vec<_>, _> = StreamReader::try_new(bytes, None).unwrap().collect();
            count(&batches.unwrap())
        }
        Format::Parquet => unreachable!("never streamed"),
    }
}

#[test]
fn a_fifo_is_written_in_place() {
    for format in STREAMING {
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(dir.path());
        let read = path.clone();
        let reader = thread::spawn(move || fs::read(read).unwrap());
        let finished = super::run(&output(&path, format), "run-1", 20);
        assert_eq!(rows_in(format, &reader.join().unwrap()), 320, "{format}");
        assert_eq!((finished.hops, finished.manifest), (320, None));
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
        assert_eq!(files(dir.path()), [path], "nothing beside it");
    }
}

#[test]
fn a_reader_that_closes_a_fifo_ends_the_run_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path());
    let read = path.clone();
    let reader = thread::spawn(move || File::open(read).unwrap().read(&mut [0; 16]).unwrap());
    // The reader waits for the header, and closes the FIFO when it arrives.
    let mut writer = create(&output(&path, Format::Csv), "run-1", SMALL).unwrap();
    let traces = (0..20).flat_map(|target| rows::trace(target).0);
    let fed = traces
        .map(|row| writer.hop(row, rows::START))
        .find(Result::is_err)
        .unwrap_or(Ok(()));
    let ended = match fed {
        Ok(()) => {
            reader.join().unwrap();
            writer
                .finish(&Ending::Complete, rows::START, &RunFigures::default())
                .map(drop)
        }
        refused => refused,
    };
    let error = ended.expect_err("nobody reads");
    assert!(error.is_broken_pipe(), "{error}");
    assert!(error.to_string().contains("fifo"), "{error}");
}

#[test]
fn a_link_stays_and_the_file_that_it_leads_to_is_written() {
    for there_before in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("data")).unwrap();
        fs::create_dir(at("links")).unwrap();
        let real = at("data/hops.csv");
        if there_before {
            fs::write(&real, "last night's").unwrap();
        }
        symlink("../data/hops.csv", at("links/first")).unwrap();
        let link = at("links/second");
        symlink("first", &link).unwrap();

        let mut writer = create(&output(&link, Format::Csv), "run-1", SMALL).unwrap();
        let other = create(&output(&real, Format::Csv), "run-2", SMALL).err();
        assert!(matches!(other, Some(DatasetError::InUse(_))), "{other:?}");
        for row in rows::trace(0).0 {
            writer.hop(row, rows::START).unwrap();
        }
        let facts = RunFigures::default();
        let finished = writer.finish(&Ending::Complete, rows::START, &facts);

        // The manifest lies beside the part and uses the part's name there.
        let manifest = at("data/hops.csv.manifest.json");
        assert_eq!(finished.unwrap().manifest.as_ref(), Some(&manifest));
        let part = &read_json(&manifest)["tables"]["hops"]["parts"][0];
        assert_eq!(part["path"], "hops.csv");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("first"));
        assert_eq!(fs::read_to_string(&link).unwrap().lines().count(), 17);
        assert_eq!(fs::read_dir(at("links")).unwrap().count(), 2);
        assert_eq!(files(&at("data")), [real, manifest]);
    }
}

/// As with a redirection of the shell: the open file is written, at its end.
#[test]
fn a_descriptor_is_written_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "before\n").unwrap();
    let open = File::options().append(true).open(&path).unwrap();
    let name = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    let finished = super::run(&output(&name, Format::JsonLines), "run-1", 20);
    assert_eq!((finished.hops, finished.manifest), (320, None));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before\n{"));
    assert_eq!(text.lines().count(), 321);
    assert_eq!(files(dir.path()), [path]);
}

#[test]
fn paths_that_take_no_stream_are_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let fifo = fifo(dir.path());
    let socket = at("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink("directory", at("link")).unwrap();
    symlink("circle", at("circle")).unwrap();
    for (path, format, words) in [
        (&socket, Format::Csv, "is a socket"),
        (&at("link"), Format::Csv, "is a directory"),
        (&fifo, Format::Parquet, "csv, jsonl or arrow"),
        (&at("circle"), Format::Csv, "circle"),
    ] {
        let refused = create(&output(path, format), "run-1", SMALL).err();
        let told = refused.expect("refused").to_string();
        assert!(
            told.contains(words) && told.contains(&*path.to_string_lossy()),
            "{told}"
        );
        assert!(!told.contains('\n'), "{told}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
}
