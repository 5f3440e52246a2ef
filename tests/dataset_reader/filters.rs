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

/// A filter, and the same condition on a row as JSON.
fn condition(dice: &mut Dice, rows: &[Value], depth: usize) -> (Filter, Check) {
    let ints = [
        "trace_id",
        "ttl",
        "rtt_us",
        "icmp_type",
        "reply_ttl",
        "probe_id",
    ];
    let texts = ["destination", "responder", "status", "evidence"];
    let int =
        |dice: &mut Dice, name: &str| rows[dice.below(rows.len())][name].as_i64().unwrap_or(77);
    let text = |dice: &mut Dice, name: &str| {
        rows[dice.below(rows.len())][name]
            .as_str()
            .unwrap_or("10.1")
            .to_owned()
    };
    match dice.below(if depth == 0 { 5 } else { 7 }) {
        0 => {
            let name = ints[dice.below(ints.len())];
            let (a, b) = (int(dice, name), int(dice, name));
            let check = move |row: &Value| row[name].as_i64().is_some_and(|v| a <= v && v <= b);
            (Filter::between(name, a, b), Box::new(check))
        }
        1 => {
            let name = texts[dice.below(texts.len())];
            let wanted = text(dice, name);
            let filter = Filter::equals(name, wanted.clone());
            (
                filter,
                Box::new(move |row: &Value| row[name] == wanted.as_str()),
            )
        }
        2 => {
            let name = ints[dice.below(ints.len())];
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
            let name = texts[dice.below(texts.len())];
            let low = text(dice, name);
            let filter = Filter::at_least(name, low.clone());
            (
                filter,
                Box::new(move |row: &Value| row[name].as_str().is_some_and(|v| low.as_str() <= v)),
            )
        }
        kind => {
            let (a, check_a) = condition(dice, rows, depth - 1);
            let (b, check_b) = condition(dice, rows, depth - 1);
            match kind {
                5 => (a.and(b), Box::new(move |row| check_a(row) && check_b(row))),
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
        |so_far, batch| so_far.extend(ids(batch)),
        |mut a, b| {
            a.extend(b);
            a
        },
    );
    assert_eq!(folded.unwrap(), one_by_one);
    let none = dataset.scan("hops").columns(&[]);
    let count = none.fold(
        || 0,
        |count, batch| *count += batch.num_rows(),
        |a, b| a + b,
    );
    assert_eq!(count.unwrap(), 480);
}
