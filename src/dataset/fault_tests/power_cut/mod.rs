//! Power cuts: what was not synced is lost. The run is resumed after every one.

mod model;

use super::resuming::{
    begin, check_complete, complete, go_on, interrupt, is_in_a_checkpoint, resumable,
};
use super::*;
use crate::model::IfExists;
use model::{Model, Survivors, Tree};

/// Targets of a run. They are sealed in two steps.
const TARGETS: u32 = 5;

/// What must hold after the power cut, from a number of changes on.
#[derive(Clone, Debug)]
enum Promise {
    /// The run is there: it can be resumed, or is complete.
    Begun(&'static str),
    Complete(&'static str),
}

/// A scenario that writes into `OUT`, and what it promises.
struct Recorded {
    base: tempfile::TempDir,
    disk: Disk,
    promises: Vec<(usize, Promise)>,
}

impl Recorded {
    fn new() -> Self {
        Recorded {
            base: directory(),
            disk: Disk::logging(),
            promises: Vec::new(),
        }
    }

    fn root(&self) -> PathBuf {
        self.base.path().join("OUT")
    }

    fn begin(&mut self, run: NewRun, id: &'static str) -> DatasetWriter {
        let output = Output::Directory(self.root());
        let (disk, figures) = (self.disk.clone(), RunFigures::default());
        let writer = DatasetWriter::create_on(disk, &output, run, rows::START, &figures);
        self.promise(Promise::Begun(id));
        writer.unwrap()
    }

    /// From the next change on, `promise` holds.
    fn promise(&mut self, promise: Promise) {
        self.promises.push((self.disk.log().len(), promise));
    }

    /// What must hold after `changes` changes.
    fn promised(&self, changes: usize) -> impl Iterator<Item = &Promise> {
        let made = self.promises.iter().filter(move |(at, _)| *at <= changes);
        made.map(|(_, promise)| promise)
    }
}

fn a_run() -> Recorded {
    let mut recorded = Recorded::new();
    let writer = recorded.begin(resumable("RUN-1"), "RUN-1");
    resuming::end(writer, 0..TARGETS).unwrap();
    recorded.promise(Promise::Complete("RUN-1"));
    recorded
}

/// Interrupted twice with rows of interrupted targets, killed once, and resumed each time.
fn a_resumed_run() -> Recorded {
    let mut recorded = Recorded::new();
    let (root, disk) = (recorded.root(), recorded.disk.clone());
    let writer = recorded.begin(resumable("RUN-1"), "RUN-1");
    interrupt(writer, 0..1).unwrap();
    let (writer, _) = go_on(&root, disk.clone()).unwrap();
    interrupt(writer, 1..1).unwrap();
    let (mut writer, _) = go_on(&root, disk.clone()).unwrap();
    feed_each(&mut writer, 1..4).unwrap();
    drop(writer);
    complete(&root, disk, TARGETS).unwrap();
    recorded.promise(Promise::Complete("RUN-1"));
    recorded
}

/// A run that replaces another one of its night.
fn a_run_that_replaces_another() -> Recorded {
    let mut recorded = Recorded::new();
    let writer = recorded.begin(resumable("RUN-0"), "RUN-0");
    resuming::end(writer, 0..TARGETS).unwrap();
    recorded.promise(Promise::Complete("RUN-0"));
    let replacing = NewRun {
        if_exists: IfExists::Replace,
        ..resumable("RUN-1")
    };
    let writer = recorded.begin(replacing, "RUN-1");
    resuming::end(writer, 0..TARGETS).unwrap();
    recorded.promise(Promise::Complete("RUN-1"));
    recorded
}

/// A run beside an earlier one, interrupted with rows of an interrupted target that nothing replaces: the rest was there already.
fn a_run_with_nothing_left_but_an_interrupted_target() -> Recorded {
    let mut recorded = Recorded::new();
    let (root, disk) = (recorded.root(), recorded.disk.clone());
    let writer = recorded.begin(resumable("RUN-1"), "RUN-1");
    interrupt(writer, 0..TARGETS).unwrap();
    complete(&root, disk, TARGETS).unwrap();
    recorded.promise(Promise::Complete("RUN-1"));
    recorded
}

fn open(root: &Path) -> Option<Dataset> {
    match Dataset::open(root) {
        Ok(dataset) => Some(dataset),
        Err(ReadError::NoManifest { .. } | ReadError::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

fn state<'d>(dataset: Option<&'d Dataset>, id: &str) -> Option<&'d str> {
    let run = dataset?.run(id)?;
    Some(run.manifest().state.as_str())
}

/// Checks what a reader finds after a power cut.
fn check_before(root: &Path, dataset: &Dataset, at: &str) {
    let is_replacing = state(Some(dataset), "RUN-1") == Some("complete");
    for difference in dataset.verify(Checks::ALL, |_| ()).unwrap() {
        let is_known = match &difference {
            // Parts of a run that is replaced are removed after the manifest that says so. The next run of the night does the rest.
            Difference::Unlisted { path, .. } => {
                let is_replaced = path.to_string_lossy().contains("part-RUN-0-");
                is_in_a_checkpoint(root, path) || (is_replacing && is_replaced)
            }
            _ => false,
        };
        assert!(is_known, "{at}: {difference}");
    }
}

/// Restarts after a power cut that left `tree`. Reads it, resumes the run, and checks what must be there.
fn restart(tree: &Tree, promised: &[&Promise], at: &str) {
    let base = directory();
    model::write(tree, base.path());
    let root = base.path().join("OUT");
    let dataset = open(&root);
    if let Some(dataset) = &dataset {
        check_before(&root, dataset, at);
    }
    let state_of = |id: &str| state(dataset.as_ref(), id);
    for promise in promised {
        match promise {
            Promise::Begun(id) => {
                let is_there = state_of(id).is_some();
                // A complete run that replaces it is there instead.
                assert!(
                    is_there || state_of("RUN-1") == Some("complete"),
                    "{at}: {id}"
                );
            }
            Promise::Complete(id) => {
                let complete = Some("complete");
                let is_complete = state_of(id) == complete || state_of("RUN-1") == complete;
                assert!(is_complete, "{at}: {id} is {:?}", state_of(id));
            }
        }
    }
    let was_there = state_of("RUN-1").is_some();
    let first = match state_of("RUN-1").is_none() && state_of("RUN-0").is_some() {
        // The cut came before the second run.
        true => "RUN-0",
        false => "RUN-1",
    };
    let is_there = state_of(first).is_some();
    let is_complete = state_of(first) == Some("complete");
    match complete(&root, Disk::default(), TARGETS) {
        Ok(_) => assert!(is_there && !is_complete, "{at}"),
        Err(DatasetError::NotResumable { .. }) if is_complete => {}
        // The run died before its first manifest.
        Err(DatasetError::NotResumable { .. }) if !is_there => {
            let writer = begin(&root, Disk::default(), first).unwrap();
            resuming::end(writer, 0..TARGETS).unwrap();
        }
        Err(error) => panic!("{at}: {error}"),
    }
    if is_complete {
        // The next run of the night does the rest of what a complete run began.
        let writer = begin(&root, Disk::default(), "RUN-2").unwrap();
        resuming::end(writer, 0..1).unwrap();
        check_complete(&root, "RUN-2", 1, at);
    }
    check_complete(&root, first, TARGETS, at);
    if was_there
        && promised
            .iter()
            .any(|it| matches!(it, Promise::Complete("RUN-0")))
    {
        let replaced = Dataset::open(&root).unwrap();
        assert!(replaced.run("RUN-0").is_none(), "{at}: it is replaced");
    }
}

/// Cuts the power after every number of changes, and restarts. Returns the number of different states.
fn cut_everywhere(recorded: &Recorded, survivors: impl Fn(usize) -> Survivors) -> usize {
    let mut model = Model::empty(recorded.base.path());
    let log = recorded.disk.log();
    let (mut states, mut last) = (0, None);
    for changes in 0..=log.len() {
        if let Some(before) = changes.checked_sub(1) {
            model.apply(&log[before]);
        }
        let promised: Vec<&Promise> = recorded.promised(changes).collect();
        let survivors = survivors(changes);
        let tree = model.after_a_cut(survivors);
        let state = (promised.len(), tree);
        // Writing more to a file that is lost anyway changes nothing.
        if last.as_ref() == Some(&state) {
            continue;
        }
        let change = changes.checked_sub(1).map(|before| &log[before]);
        let at = format!(
            "after {changes} changes ({survivors:?}), the last {}",
            brief(change)
        );
        restart(&state.1, &promised, &at);
        states += 1;
        last = Some(state);
    }
    states
}

/// A change without its bytes.
fn brief(change: Option<&Change>) -> String {
    match change {
        Some(Change::Write(inode, bytes)) => format!("Write({inode}, {} bytes)", bytes.len()),
        other => format!("{other:?}"),
    }
}

const SCENARIOS: [fn() -> Recorded; 4] = [
    a_run,
    a_resumed_run,
    a_run_that_replaces_another,
    a_run_with_nothing_left_but_an_interrupted_target,
];

fn every(least: usize, survivors: impl Fn(usize) -> Survivors + Copy) {
    let states: Vec<usize> = { SCENARIOS.iter() }
        .map(|scenario| cut_everywhere(&scenario(), survivors))
        .collect();
    let all: usize = states.iter().sum();
    assert!(all > least, "only {states:?} states");
}

#[test]
fn a_power_cut_while_a_run_is_resumed_after_a_power_cut_loses_nothing() {
    let recorded = a_resumed_run();
    let log = recorded.disk.log();
    let mut states = 0;
    for cut in (2..8).map(|step| log.len() * step / 8) {
        let mut model = Model::empty(recorded.base.path());
        for change in &log[..cut] {
            model.apply(change);
        }
        let promised: Vec<&Promise> = recorded.promised(cut).collect();
        let at = format!("after {cut} changes");
        // The first restart is recorded, and cut as well.
        let base = directory();
        model::write(&model.after_a_cut(Survivors::Names), base.path());
        let mut model = Model::of(base.path());
        let disk = Disk::logging();
        complete(&base.path().join("OUT"), disk.clone(), TARGETS).unwrap();
        let mut last = None;
        for (change, number) in disk.log().iter().zip(1_u64..) {
            model.apply(change);
            let tree = model.after_a_cut(Survivors::Some(number));
            // Every third state: a run that starts again goes through the same steps.
            if number % 3 != cut as u64 % 3 || last.as_ref() == Some(&tree) {
                continue;
            }
            restart(&tree, &promised, &format!("{at}, then {number}"));
            last = Some(tree);
            states += 1;
        }
    }
    assert!(states > 100, "only {states} states");
}

#[test]
fn after_a_power_cut_that_drops_everything_unsynced_a_run_is_resumed() {
    every(100, |_| Survivors::Nothing);
}

#[test]
fn after_a_power_cut_that_keeps_names_and_drops_content_a_run_is_resumed() {
    every(200, |_| Survivors::Names);
}

#[test]
fn after_a_power_cut_that_drops_some_of_what_is_unsynced_a_run_is_resumed() {
    every(200, |changes| Survivors::Some(changes as u64));
}
