//! A survey that is killed between a part and its manifest, and the next one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use pathsurvey::dataset::manifest::RunState;
use pathsurvey::dataset::read::{Checks, Dataset};

use super::program::{Place, check, json, only_warning, survey, with_faults};
use crate::support::Outcome;

/// The Parquet files below a directory, as a reader of `**/*.parquet` finds them.
fn parts(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(parts(&path)),
            false => found.extend(
                path.extension()
                    .is_some_and(|it| it == "parquet")
                    .then_some(path),
            ),
        }
    }
    found
}

pub fn next_run() -> Outcome {
    let place = Place::new()?;
    let (out, root) = (place.text("out"), place.path("out"));
    // The third manifest that the writer's thread renames. The parts of that sealing have their names already.
    let killed = with_faults(
        &["rename:signal=SIGKILL:when=3"],
        &[place.text("out/.partial/manifest.json")],
        &survey("1", &out),
    )
    .output()
    .expect("strace");
    assert_eq!(killed.status.signal(), Some(9));
    let manifest = json(&root.join("manifest.json"));
    assert_eq!(manifest["state"], "running");
    let id = manifest["run_id"].as_str().expect("an id");
    let rows = &manifest["tables"]["hops"]["rows"];
    assert_eq!(parts(&root.join("hops")).len(), 3, "two are listed");

    let next = survey("2", &out).output().expect("the program");
    check(&next, 0, &[]);
    let told = only_warning(&next);
    let kept = format!(
        "run {id} was killed, and its manifest now says so: {rows} rows of hops are kept (sealed parts: 4)"
    );
    assert!(told.starts_with(&kept), "{told}");
    assert!(
        told.contains("2 more, which no manifest lists, were moved"),
        "{told}"
    );

    let dataset = Dataset::open(&root).expect("a dataset");
    let states = |id: &str| dataset.run(id).map(|run| run.manifest().state.clone());
    assert_eq!(states(id), Some(RunState::Killed));
    let faults = dataset.verify(Checks::ALL, |_| ()).expect("a directory");
    assert!(faults.is_empty(), "{faults:?}");
    // Each part that a glob finds is listed by a manifest, once.
    for table in ["hops", "traces"] {
        let listed: usize = dataset
            .runs()
            .iter()
            .map(|run| run.parts(table).len())
            .sum();
        assert_eq!(parts(&root.join(table)).len(), listed, "{table}");
        assert_eq!(
            parts(&root.join(".unlisted").join(table)).len(),
            1,
            "{table}"
        );
    }
    Ok(())
}
