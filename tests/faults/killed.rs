//! A survey that is killed between a part and its manifest, and the next one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use pathsurvey::dataset::manifest::RunState;
use pathsurvey::dataset::read::{Checks, Dataset};

use super::program::{Place, check, json, only_warning, survey, with_faults};
use crate::support::Outcome;

/// The Parquet files below a directory, as a reader of `**/*.parquet` finds them.
pub fn parts(directory: &Path) -> Vec<PathBuf> {
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

/// Kills a survey after the parts of a sealing have their names, and before a manifest lists them.
pub fn kill(place: &Place) {
    // The third manifest that the writer's thread renames.
    let manifest = place.of_run("1", ".partial/manifest.json");
    let survey = survey("1", &place.text("out"));
    let killed = with_faults(&["rename:signal=SIGKILL:when=3"], &[manifest], &survey).output();
    assert_eq!(killed.expect("strace").status.signal(), Some(9));
}

pub fn next_run() -> Outcome {
    let place = Place::new()?;
    let (out, root) = (place.text("out"), place.path("out"));
    kill(&place);
    let manifest = json(&root.join("manifest.json"));
    assert_eq!(manifest["state"], "running");
    let id = manifest["run_id"].as_str().expect("an id");
    let listed = manifest["tables"]["hops"]["parts"].as_array();
    assert_eq!(listed.map(Vec::len), Some(2));
    assert_eq!(parts(&root.join("hops")).len(), 3, "two are listed");

    let next = survey("2", &out).output().expect("the program");
    check(&next, 0, &[]);
    let told = only_warning(&next);
    let dataset = Dataset::open(&root).expect("a dataset");
    let dead = dataset.run(id).expect("the dead run").manifest();
    let rows = dead.tables.get("hops").expect("hops").rows;
    let kept = format!(
        "run {id} was killed, and its manifest now says so: {rows} rows of hops are kept (sealed parts: 6)"
    );
    assert!(told.starts_with(&kept), "{told}");
    assert!(told.contains("`survey --resume` goes on with it"), "{told}");
    assert_eq!(dead.state, RunState::Killed);
    let faults = dataset.verify(Checks::ALL, |_| ()).expect("a directory");
    assert!(faults.is_empty(), "{faults:?}");
    // Each part that a glob finds is listed by a manifest, once.
    for table in ["hops", "traces"] {
        let runs = dataset.runs().iter();
        let listed: usize = runs.map(|run| run.parts(table).len()).sum();
        assert_eq!(parts(&root.join(table)).len(), listed, "{table}");
    }
    Ok(())
}
