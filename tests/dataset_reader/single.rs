//! Single files that were renamed, copied or linked.

use pathsurvey::dataset::Format;

use super::*;

fn single(path: &Path, targets: std::ops::Range<u32>) {
    let output = Output::File {
        path: path.to_owned(),
        format: Format::Parquet,
    };
    let mut writer = create(&output, meta("run-1", "fra-1"), SMALL);
    feed(&mut writer, &traces_of(targets));
    finish(writer);
}

fn manifest_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.manifest.json", path.display()))
}

#[test]
fn a_file_that_was_renamed_with_its_manifest_is_read_under_its_new_name() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (
        directory.path().join("a.parquet"),
        directory.path().join("b.parquet"),
    );
    single(&a, 0..10);
    fs::rename(&a, &b).unwrap();
    fs::rename(manifest_of(&a), manifest_of(&b)).unwrap();
    let dataset = Dataset::open(&b).unwrap();
    assert_eq!(all(dataset.scan("hops")).len(), 160);
    let checks = pathsurvey::dataset::read::Checks::ALL;
    assert!(dataset.verify(checks, |_| ()).unwrap().is_empty());
    // Another file under the old name is not read in its place.
    single(&a, 0..4);
    assert_eq!(all(Dataset::open(&b).unwrap().scan("hops")).len(), 160);
    assert_eq!(
        dataset.runs()[0].parts("hops")[0].path(),
        fs::canonicalize(&b).unwrap()
    );
}

#[test]
fn a_file_beside_a_manifest_of_several_parts_is_refused() {
    let (directory, _) = dataset(20);
    let part = parts(directory.path(), "hops").remove(0);
    fs::copy(directory.path().join("manifest.json"), manifest_of(&part)).unwrap();
    let error = Dataset::open(&part).unwrap_err().to_string();
    assert!(
        error.contains("whose manifest lists other files"),
        "{error}"
    );
}
