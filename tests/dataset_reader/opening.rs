//! What can be opened, and what an error says otherwise.

use std::os::unix::fs::symlink;

use pathsurvey::dataset::manifest::RunState;

use super::*;

fn error_of(path: &Path) -> String {
    Dataset::open(path).unwrap_err().to_string()
}

#[test]
fn a_directory_is_opened_under_every_name() {
    let (directory, _) = dataset(20);
    let root = directory.path();
    let link = root.parent().unwrap().join("link-to-a-dataset");
    let _ = fs::remove_file(&link);
    symlink(root, &link).unwrap();
    let slash = PathBuf::from(format!("{}/", root.display()));
    for path in [root, &slash, &link] {
        let dataset = Dataset::open(path).unwrap();
        let [run] = dataset.runs() else {
            panic!("one run");
        };
        assert_eq!(
            (run.id(), &run.manifest().state),
            ("run-1", &RunState::Complete)
        );
        let hops = run.parts("hops");
        assert_eq!(hops.len(), 3);
        assert_eq!(hops[0].partition("date"), Some("2026-03-01"));
        assert_eq!(hops[0].partition("vp"), Some("id-fra 1"));
        assert_eq!(all(dataset.scan("traces")).len(), 20);
    }
    fs::remove_file(link).unwrap();
}

#[test]
fn runs_are_chosen_by_what_their_manifests_say() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra-1", 0..8);
    run(directory.path(), "run 2/é", "东京 %41", 8..20);
    let dataset = Dataset::open(directory.path()).unwrap();
    assert_eq!(dataset.runs().len(), 2);
    assert_eq!(all(dataset.scan("traces")).len(), 20);
    let tokyo = dataset.only(|run| run.manifest().vantage.id == "东京 %41");
    assert_eq!(tokyo.runs()[0].id(), "run 2/é");
    assert_eq!(
        tokyo.runs()[0].parts("hops")[0].partition("vp"),
        Some("id-东京 %41")
    );
    assert_eq!(all(tokyo.scan("traces")).len(), 12);
    assert_eq!(tokyo.traces_to(address(3)).unwrap().len(), 0);
    assert_eq!(tokyo.traces_to(address(9)).unwrap().len(), 1);
    let nothing = tokyo.only(|_| false);
    assert!(all(nothing.scan("hops")).is_empty());
}

#[test]
fn a_single_file_is_opened_with_its_manifest_even_through_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h o%p.parquet");
    let output = Output::File {
        path: path.clone(),
        format: pathsurvey::dataset::Format::Parquet,
    };
    let mut writer = create(&output, meta("run-1", "fra-1"), SMALL);
    feed(&mut writer, &traces_of(0..10));
    finish(writer);
    fs::create_dir(directory.path().join("elsewhere")).unwrap();
    let link = directory.path().join("elsewhere/link");
    symlink(&path, &link).unwrap();
    for path in [&path, &link] {
        let dataset = Dataset::open(path).unwrap();
        assert_eq!(all(dataset.scan("hops")).len(), 160);
        assert!(all(dataset.scan("traces")).is_empty());
        assert!(dataset.traces_to(address(1)).unwrap().is_empty());
        assert_eq!(dataset.traces().iter().unwrap().count(), 0);
        let faults = dataset.verify(pathsurvey::dataset::read::Checks::ALL, |_| ());
        assert!(faults.unwrap().is_empty());
    }
    fs::remove_file(path.with_file_name("h o%p.parquet.manifest.json")).unwrap();
    assert!(error_of(&path).contains("h o%p.parquet.manifest.json holds no manifest"));
}

#[test]
fn what_is_no_dataset_is_named_with_a_remedy() {
    let (directory, _) = dataset(8);
    let root = directory.path();
    let holds = |path: &Path, words: &[&str]| {
        let error = error_of(path);
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    };
    holds(
        &root.join("nothing"),
        &["does not exist", "give the directory"],
    );
    holds(
        &root.join("hops"),
        &["belongs to a dataset", &root.display().to_string()],
    );
    holds(
        &root.join("manifest.json"),
        &["is a JSON file", "give the directory"],
    );
    holds(Path::new("/dev/null"), &["neither a directory nor"]);
    fs::write(root.join("a.csv"), "x").unwrap();
    holds(&root.join("a.csv"), &["is a CSV file"]);
    let empty = tempfile::tempdir().unwrap();
    holds(empty.path(), &["holds no manifest: give the directory"]);
}

#[test]
fn a_manifest_that_cannot_be_used_is_named() {
    let (directory, _) = dataset(8);
    let root = directory.path();
    let text = fs::read(root.join("manifest.json")).unwrap();
    fs::write(root.join("manifest.json"), &text[..text.len() / 2]).unwrap();
    let error = error_of(root);
    assert!(
        error.contains("manifest.json") && error.contains("line"),
        "{error}"
    );
    fs::write(root.join("manifest.json"), &text).unwrap();

    change_manifest(root, |value| value["manifest_version"] = 9.into());
    assert!(error_of(root).contains("install a newer pathsurvey"));
    write_manifests(root, &text);

    change_manifest(root, |value| value["tool"]["name"] = "yarrp".into());
    assert!(error_of(root).contains("but of yarrp"));
    write_manifests(root, &text);

    let of_run = run_manifest(root);
    change_manifest(root, |value| {
        value["tables"]["hops"]["parts"][0]["path"] = "../../etc/passwd".into();
    });
    assert!(error_of(root).contains("not below its directory"));
    fs::write(&of_run, &text).unwrap();
    fs::write(root.join("manifest.json"), &text).unwrap();
    fs::write(&of_run, &text[..text.len() / 2]).unwrap();
    assert!(error_of(root).contains(&of_run.display().to_string()));
    fs::write(&of_run, &text).unwrap();

    // An earlier run's manifest that was cut off is no reason to show the other runs alone.
    fs::write(root.join("manifest-old.json"), "{\"tool\":").unwrap();
    assert!(error_of(root).contains("manifest-old.json"));
}

#[test]
fn unknown_tables_and_columns_name_their_neighbours() {
    let (_directory, dataset) = dataset(8);
    let error = |scan: Scan| try_all(scan).unwrap_err().to_string();
    let text = error(dataset.scan("hop"));
    assert!(text.contains("no table hop: did you mean hops?"), "{text}");
    let text = error(dataset.scan("hops").columns(&["ttl", "rtt_ms"]));
    assert!(
        text.contains("no column rtt_ms: did you mean rtt_us?"),
        "{text}"
    );
    let text = error(dataset.scan("altitudes"));
    assert!(text.ends_with("has no table altitudes"), "{text}");
}

#[test]
fn an_empty_run_has_its_columns_and_no_rows() {
    let (_directory, dataset) = dataset(0);
    for table in ["hops", "traces"] {
        let scan = dataset.scan(table);
        assert!(scan.schema().unwrap().index_of("trace_id").is_ok());
        assert!(all(scan).is_empty());
    }
    assert_eq!(dataset.traces().iter().unwrap().count(), 0);
    assert!(dataset.traces_to(address(0)).unwrap().is_empty());
}
