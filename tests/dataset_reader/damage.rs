//! Damaged parts: an error that names the file, never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pathsurvey::dataset::read::{Checks, Fault, Filter};

use super::*;

/// What reading a damaged dataset came to.
#[derive(Default, Debug)]
struct Outcomes {
    read: usize,
    refused: usize,
}

/// Reads everything in every way. Errors must name a file of the dataset.
fn read_everything(root: &Path, outcomes: &mut Outcomes) {
    let dataset = Dataset::open(root).unwrap();
    let filter =
        Filter::between("rtt_us", 10, 20_000).and(Filter::at_least("destination", "198.18.0.2"));
    let results = [
        try_all(dataset.scan("hops")).map(|_| ()),
        try_all(dataset.scan("hops").filter(filter)).map(|_| ()),
        dataset.scan("hops").fold(|| (), |(), _| (), |(), ()| ()),
        dataset.traces_to(address(3)).map(|_| ()),
        dataset
            .traces()
            .iter()
            .and_then(|mut traces| traces.try_for_each(|trace| trace.map(|_| ()))),
    ];
    for result in results {
        match result {
            Ok(()) => outcomes.read += 1,
            Err(error) => {
                outcomes.refused += 1;
                assert!(error.to_string().contains(".parquet"), "{error}");
            }
        }
    }
}

/// Reads the dataset with `bytes` in place of a part, and its manifest made to fit.
fn try_bytes(root: &Path, part: &Path, bytes: &[u8], outcomes: &mut Outcomes, what: &str) {
    fs::write(part, bytes).unwrap();
    relist(root);
    let caught = catch_unwind(AssertUnwindSafe(|| read_everything(root, outcomes)));
    assert!(caught.is_ok(), "{what} of {}", part.display());
}

fn small() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let (directory, _) = dataset(7);
    let part = parts(directory.path(), "hops").remove(0);
    let bytes = fs::read(&part).unwrap();
    (directory, part, bytes)
}

#[test]
fn a_part_cut_off_anywhere_is_named() {
    let (directory, part, bytes) = small();
    let cuts = (0..bytes.len()).step_by(bytes.len() / 40);
    let cuts = cuts.chain(bytes.len() - 12..bytes.len());
    for length in cuts {
        fs::write(&part, &bytes[..length]).unwrap();
        let dataset = Dataset::open(directory.path()).unwrap();
        let error = try_all(dataset.scan("hops")).unwrap_err();
        let expected = |error: &ReadError| {
            matches!(error, ReadError::PartSize { path, expected, found }
                if *path == part && *expected == bytes.len() as u64 && *found == length as u64)
        };
        assert!(expected(&error), "{length}: {error}");
        assert!(error.to_string().contains("it was cut off"));
    }
}

#[test]
fn a_part_cut_off_anywhere_is_refused_even_if_its_size_is_listed() {
    let (directory, part, bytes) = small();
    let cuts = (0..bytes.len()).step_by(bytes.len() / 40);
    let cuts = cuts.chain(bytes.len() - 12..bytes.len());
    for length in cuts {
        let mut outcomes = Outcomes::default();
        let what = format!("{length} bytes");
        try_bytes(
            directory.path(),
            &part,
            &bytes[..length],
            &mut outcomes,
            &what,
        );
        assert_eq!(outcomes.read, 0, "{what}");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let (directory, part, bytes) = small();
    let mut outcomes = Outcomes::default();
    let footer = bytes.len() - 12_000.min(bytes.len());
    let places = (0..bytes.len()).step_by(bytes.len() / 60);
    let places = places.chain((footer..bytes.len()).step_by(211));
    for place in places {
        for flip in [0x01, 0x80] {
            let mut bytes = bytes.clone();
            bytes[place] ^= flip;
            let what = format!("byte {place} flipped by {flip:#x}");
            try_bytes(directory.path(), &part, &bytes, &mut outcomes, &what);
        }
    }
    assert!(
        outcomes.refused > 100 && outcomes.read > 100,
        "{outcomes:?}"
    );
}

#[test]
fn a_flipped_byte_is_always_found_by_its_checksum() {
    let (directory, part, bytes) = small();
    for place in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x10;
        fs::write(&part, &bytes).unwrap();
        let dataset = Dataset::open(directory.path()).unwrap();
        let checks = Checks {
            checksums: true,
            rows: false,
        };
        let faults = dataset.verify(checks, |_| ()).unwrap();
        assert!(
            matches!(&faults[..], [Fault::Checksum(path)] if *path == part),
            "{place}: {faults:?}"
        );
    }
}

#[test]
fn zeroes_and_strangers_in_place_of_a_part_are_refused() {
    let (directory, part, bytes) = small();
    let root = directory.path();
    let mut zeroed = bytes.clone();
    zeroed[bytes.len() / 3..bytes.len() / 2].fill(0);
    let stranger = {
        let batch = batch_of(&part);
        let path = root.join("stranger");
        let mut writer =
            ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        fs::read(path).unwrap()
    };
    fs::write(&part, &stranger).unwrap();
    relist(root);
    let error = try_all(Dataset::open(root).unwrap().scan("hops")).unwrap_err();
    assert!(
        error.to_string().contains("rows of another program"),
        "{error}"
    );
    for (bytes, what) in [
        (Vec::new(), "an empty file"),
        (b"PAR1".to_vec(), "four bytes"),
        (b"PAR1PAR1PAR1".to_vec(), "a file of magic numbers"),
        (vec![0; bytes.len()], "a file of zeroes"),
        (
            b"PAR1\xff\xff\xff\x7fPAR1".to_vec(),
            "a footer longer than the file",
        ),
        (
            [b"PAR1".as_slice(), &[0; 32], b"\x00\x00\x00\x00PAR1"].concat(),
            "an empty footer",
        ),
    ] {
        let mut outcomes = Outcomes::default();
        try_bytes(root, &part, &bytes, &mut outcomes, what);
        assert_eq!(outcomes.read, 0, "{what}");
    }
    try_bytes(
        root,
        &part,
        &zeroed,
        &mut Outcomes::default(),
        "zeroes in the middle",
    );
}

#[test]
fn a_part_with_other_rows_than_listed_is_named() {
    let (directory, part, _) = small();
    write_part(&part, "hops", &batch_of(&part).slice(0, 50), 1000, 1000);
    relist(directory.path());
    let dataset = Dataset::open(directory.path()).unwrap();
    let error = try_all(dataset.scan("hops")).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::PartRows {
                expected: 112,
                found: 50,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_folder_in_place_of_a_part_is_named() {
    let (directory, part, _) = small();
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    let error = try_all(Dataset::open(directory.path()).unwrap().scan("hops")).unwrap_err();
    assert!(
        error.to_string().contains(&part.display().to_string()),
        "{error}"
    );
}
