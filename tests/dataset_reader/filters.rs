//! Filters: what pages and row groups rule out must never change the rows.

use pathsurvey::dataset::read::Filter;

use super::*;

/// A dataset with many small pages and several row groups a part.
fn paged() -> (tempfile::TempDir, Dataset) {
    let (directory, _) = dataset(30);
    let root = directory.path();
    for table in ["hops", "traces"] {
        for path in parts(root, table) {
            let batch = batch_of(&path);
            write_part(&path, table, &batch, 7, 45);
        }
    }
    relist(root);
    let dataset = Dataset::open(root).unwrap();
    (directory, dataset)
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

type Check = Box<dyn Fn(&Value) -> bool>;

const INTS: [&str; 6] = [
    "trace_id",
    "ttl",
    "rtt_us",
    "icmp_type",
    "reply_ttl",
    "probe_id",
];
const TEXTS: [&str; 4] = ["destination", "responder", "status", "evidence"];

/// A filter, and the same condition on a row as JSON.
fn condition(dice: &mut Dice, rows: &[Value], depth: usize) -> (Filter, Check) {
    let int =
        |dice: &mut Dice, name: &str| rows[dice.below(rows.len())][name].as_i64().unwrap_or(77);
    let text = |dice: &mut Dice, name: &str| {
        rows[dice.below(rows.len())][name]
            .as_str()
            .unwrap_or("10.1")
            .to_owned()
    };
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 => {
            let name = INTS[dice.below(INTS.len())];
            let (a, b) = (int(dice, name), int(dice, name));
            let check = move |row: &Value| row[name].as_i64().is_some_and(|v| a <= v && v <= b);
            (Filter::between(name, a, b), Box::new(check))
        }
        1 => {
            let name = TEXTS[dice.below(TEXTS.len())];
            let wanted = text(dice, name);
            let filter = Filter::equals(name, wanted.clone());
            (
                filter,
                Box::new(move |row: &Value| row[name] == wanted.as_str()),
            )
        }
        2 => {
            let name = INTS[dice.below(INTS.len())];
            let set: Vec<i64> = (0..dice.below(4)).map(|_| int(dice, name)).collect();
            let filter = Filter::any_of(name, set.iter().copied());
            (
                filter,
                Box::new(move |row: &Value| row[name].as_i64().is_some_and(|v| set.contains(&v))),
            )
        }
        3 => {
            let name = ["rtt_us", "responder", "mpls", "received_at"][dice.below(4)];
            match dice.below(2) {
                0 => (
                    Filter::is_null(name),
                    Box::new(move |row: &Value| row[name].is_null()),
                ),
                _ => (
                    Filter::is_present(name),
                    Box::new(move |row: &Value| !row[name].is_null()),
                ),
            }
        }
        4 => {
            let name = TEXTS[dice.below(TEXTS.len())];
            let low = text(dice, name);
            let filter = Filter::at_least(name, low.clone());
            (
                filter,
                Box::new(move |row: &Value| row[name].as_str().is_some_and(|v| low.as_str() <= v)),
            )
        }
        5 => {
            let (filter, check) = condition(dice, rows, depth - 1);
            (!filter, Box::new(move |row| !check(row)))
        }
        kind => {
            let (a, check_a) = condition(dice, rows, depth - 1);
            let (b, check_b) = condition(dice, rows, depth - 1);
            match kind {
                6 => (a.and(b), Box::new(move |row| check_a(row) && check_b(row))),
                _ => (a.or(b), Box::new(move |row| check_a(row) || check_b(row))),
            }
        }
    }
}

#[test]
fn a_filter_finds_exactly_the_rows_that_satisfy_it() {
    let (_directory, dataset) = paged();
    let everything = all(dataset.scan("hops"));
    assert_eq!(everything.len(), 480);
    let mut dice = Dice(11);
    let mut sizes = Vec::new();
    for round in 0..150 {
        let (filter, check) = condition(&mut dice, &everything, 2);
        let expected: Vec<&Value> = everything.iter().filter(|row| check(row)).collect();
        let scan = dataset.scan("hops").filter(filter.clone());
        let found = all(scan.clone());
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            expected,
            "{round}: {filter:?}"
        );
        let few = all(scan.columns(&["mpls", "probe_id"]));
        let few: Vec<_> = few
            .iter()
            .map(|row| (&row["probe_id"], &row["mpls"]))
            .collect();
        let wanted: Vec<_> = expected
            .iter()
            .map(|row| (&row["probe_id"], &row["mpls"]))
            .collect();
        assert_eq!(few, wanted, "{round}: {filter:?}");
        sizes.push(found.len());
    }
    assert!(
        sizes.contains(&0) && sizes.iter().any(|size| *size > 100),
        "{sizes:?}"
    );
}

#[test]
fn times_and_booleans_are_compared_too() {
    let (_directory, dataset) = paged();
    let sent = |row: &Value| row["sent_at"].as_i64().unwrap();
    let everything = all(dataset.scan("hops"));
    let middle = sent(&everything[200]);
    let until = Time::from_nanos(middle as u64 * 1_000);
    let found = all(dataset
        .scan("hops")
        .filter(Filter::at_most("sent_at", until)));
    let expected = everything.iter().filter(|row| sent(row) <= middle).count();
    assert_eq!((found.len(), expected > 0), (expected, true));
    let reached = dataset
        .scan("traces")
        .filter(Filter::equals("reached", true));
    assert_eq!(all(reached).len(), 30);
    let lost = dataset
        .scan("traces")
        .filter(Filter::equals("reached", false));
    assert!(all(lost).is_empty());
}

#[test]
fn a_filter_with_a_value_of_another_kind_is_refused() {
    let (_directory, dataset) = dataset(8);
    for (filter, words) in [
        (
            Filter::equals("ttl", "7"),
            ["ttl is Int16", "the text \"7\""],
        ),
        (
            Filter::equals("destination", 7),
            ["destination is Utf8", "the number 7"],
        ),
        (
            Filter::between("sent_at", 1, 2),
            ["sent_at is Timestamp", "the number 1"],
        ),
        (
            Filter::equals("mpls", 7),
            ["mpls is List", "cannot be compared"],
        ),
        (
            Filter::equals("tll", 7),
            ["no column tll", "did you mean ttl?"],
        ),
    ] {
        let error = try_all(dataset.scan("hops").filter(filter))
            .unwrap_err()
            .to_string();
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn a_fold_joins_neighbours_in_the_order_of_the_files() {
    let (_directory, dataset) = paged();
    let ids = |batch: &RecordBatch| {
        let rows = Rows::new(batch.clone());
        let ids: Vec<i64> = rows
            .iter()
            .map(|row| row.int("probe_id").unwrap().unwrap())
            .collect();
        ids
    };
    let scan = dataset.scan("hops").columns(&["probe_id"]);
    let one_by_one: Vec<i64> = scan
        .clone()
        .batches()
        .unwrap()
        .flat_map(|batch| ids(&batch.unwrap()))
        .collect();
    let folded = scan.fold(
        Vec::new,
        |so_far, _, batch| {
            so_far.extend(ids(batch));
            Ok(())
        },
        |mut a, b| {
            a.extend(b);
            a
        },
    );
    assert_eq!(folded.unwrap(), one_by_one);
    let none = dataset.scan("hops").columns(&[]);
    let count = none.fold(
        || 0,
        |count, _, batch| {
            *count += batch.num_rows();
            Ok(())
        },
        |a, b| a + b,
    );
    assert_eq!(count.unwrap(), 480);
}

#[test]
fn a_negated_filter_finds_the_other_rows_with_those_that_are_null() {
    let (_directory, dataset) = paged();
    let count = |filter| all(dataset.scan("hops").filter(filter)).len();
    let answered = count(Filter::is_present("rtt_us"));
    let fast = Filter::at_most("rtt_us", 10_000);
    assert!(answered < 480 && count(fast.clone()) > 0);
    assert_eq!(count(!fast.clone()), 480 - count(fast.clone()));
    assert_eq!(count(!!fast.clone()), count(fast.clone()));
    assert_eq!(
        count((!fast.clone()).and(Filter::is_present("rtt_us"))),
        answered - count(fast)
    );
}

#[test]
fn a_long_chain_of_filters_is_no_deep_one() {
    let (_directory, dataset) = dataset(1);
    let chain = |join: fn(Filter, Filter) -> Filter| {
        (0..100_000).fold(Filter::equals("ttl", 1), |so_far, _| {
            join(so_far, Filter::equals("ttl", 1))
        })
    };
    for filter in [chain(Filter::or), chain(Filter::and)] {
        assert!(dataset.scan("hops").filter(filter).schema().is_ok());
    }
}

#[test]
fn a_fold_knows_the_run_of_its_rows_and_ends_with_the_first_error() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra-1", 0..20);
    run(directory.path(), "run-2", "fra-1", 0..10);
    let dataset = Dataset::open(directory.path()).unwrap();
    let scan = dataset.scan("hops").columns(&["run_id"]);
    let rows = scan.clone().fold(
        Vec::new,
        |rows, run, batch| {
            for row in Rows::new(batch.clone()).iter() {
                assert_eq!(row.text("run_id")?, Some(run.id()));
                rows.push(run.id().to_owned());
            }
            Ok(())
        },
        |a, b| [a, b].concat(),
    );
    let rows = rows.unwrap();
    assert_eq!(rows.iter().filter(|id| *id == "run-1").count(), 320);
    assert_eq!(rows.len(), 480);
    let failed = scan.fold(
        || (),
        |(), _, batch| {
            Rows::new(batch.clone()).get(0).unwrap().int("run_id")?;
            Ok(())
        },
        |(), ()| (),
    );
    assert!(matches!(failed, Err(ReadError::Row(_))));
}

#[test]
fn the_rows_to_come_are_known_before() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra-1", 0..20);
    run(directory.path(), "run-2", "fra-1", 0..10);
    let dataset = Dataset::open(directory.path()).unwrap();
    assert_eq!(dataset.scan("hops").rows(), 480);
    assert_eq!(dataset.traces().rows(), 30);
    let second = dataset.only(|run| run.id() == "run-2");
    assert_eq!(
        (second.scan("hops").rows(), second.traces().rows()),
        (160, 10)
    );
    assert_eq!(second.run("run-2").unwrap().id(), "run-2");
    assert!(second.run("run-1").is_none());
}

#[test]
fn a_column_may_be_asked_for_twice() {
    let (_directory, dataset) = dataset(10);
    let scan = dataset.scan("hops").columns(&["ttl", "rtt_us", "ttl"]);
    let mut rows = 0;
    for batch in scan.batches().unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.num_columns(), 3);
        assert_eq!(batch.column(0), batch.column(2));
        rows += batch.num_rows();
    }
    assert_eq!(rows, 160);
    let traces = dataset.traces().hop_columns(&["rtt_us", "rtt_us"]);
    assert_eq!(traces.iter().unwrap().map(Result::unwrap).count(), 10);
}
