//! Traces with their hops: in one part, in two, and late.

use pathsurvey::dataset::read::Trace;

use super::*;

/// Target and hops of a trace: TTL and reply index.
fn shape(trace: &Trace) -> (i64, Vec<(i64, i64)>) {
    let id = trace.row().int("trace_id").unwrap().unwrap();
    assert_eq!(trace.id(), id);
    assert_eq!(trace.destination().unwrap(), Some(address(id as u32)));
    let hops = trace.hops().iter().map(|hop| {
        assert_eq!(hop.int("trace_id").unwrap(), Some(id));
        let number = |name| hop.int(name).unwrap().unwrap();
        (number("ttl"), number("reply_index"))
    });
    (id, hops.collect())
}

fn shapes(dataset: &Dataset) -> Vec<(i64, Vec<(i64, i64)>)> {
    let traces = dataset.traces().iter().unwrap();
    traces.map(|trace| shape(&trace.unwrap())).collect()
}

/// All hops of a trace, and the further replies to some.
fn hops(further: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut hops: Vec<(i64, i64)> = (1..=16).map(|ttl| (ttl, 0)).collect();
    hops.extend(further);
    hops.sort_unstable();
    hops
}

/// A further reply to the probe with a TTL.
fn late(target: u32, ttl: usize, index: u16) -> HopRecord {
    let mut hop = rows::trace(target).0.remove(ttl - 1);
    hop.reply_index = index;
    hop
}

/// Targets in an order that spreads them over all parts.
fn permuted(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |place| place * 31 % count)
}

#[test]
fn every_trace_comes_once_with_its_hops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "run-1", "fra-1", permuted(40));
    run(directory.path(), "run-2", "fra-1", permuted(20));
    let dataset = Dataset::open(directory.path()).unwrap();
    let found = shapes(&dataset);
    assert!(found.iter().all(|(_, found)| *found == hops(&[])));
    let mut ids: Vec<i64> = found[..40].iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..40).collect::<Vec<i64>>());
    assert_eq!(found.len(), 60);
    let both = dataset.traces_to(address(7)).unwrap();
    let runs: Vec<&str> = both.iter().map(|trace| trace.run().id()).collect();
    assert_eq!(runs, ["run-1", "run-2"]);
    assert!(both.iter().all(|trace| shape(trace) == (7, hops(&[]))));
}

#[test]
fn replies_in_later_parts_are_among_the_hops() {
    let directory = tempfile::tempdir().unwrap();
    let output = Output::Directory(directory.path().to_owned());
    let mut writer = create(&output, meta("run-1", "fra-1"), SMALL);
    let targets: Vec<u32> = permuted(40).collect();
    feed(&mut writer, &traces_of(targets[..20].to_vec()));
    writer.hop(late(targets[0], 5, 1), rows::START).unwrap();
    feed(&mut writer, &traces_of(targets[20..].to_vec()));
    writer.hop(late(targets[0], 16, 1), rows::START).unwrap();
    writer.hop(late(targets[25], 1, 1), rows::START).unwrap();
    writer.hop(late(targets[25], 1, 2), rows::START).unwrap();
    finish(writer);
    let dataset = Dataset::open(directory.path()).unwrap();
    assert!(dataset.runs()[0].parts("hops").len() > 4);
    let found = shapes(&dataset);
    assert_eq!(found.len(), 40);
    for (id, found) in &found {
        let further: &[(i64, i64)] = match *id as u32 {
            id if id == targets[0] => &[(5, 1), (16, 1)],
            id if id == targets[25] => &[(1, 1), (1, 2)],
            _ => &[],
        };
        assert_eq!(*found, hops(further), "{id}");
        let alone = dataset.traces_to(address(*id as u32)).unwrap();
        assert_eq!(shape(&alone[0]), (*id, hops(further)));
    }
}

/// The parts as an older writer left them: rows of traces one part behind their hops, and some sealings with one table only.
#[test]
fn a_trace_s_row_may_be_in_another_part_than_its_hops() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    run(root, "run-1", "fra-1", permuted(56));
    let paths = parts(root, "traces");
    let whole: Vec<RecordBatch> = paths.iter().map(|path| batch_of(path)).collect();
    let rows = |batch: &RecordBatch, from: usize, to: usize| batch.slice(from, to - from);
    let join = |parts: &[RecordBatch]| {
        let joined = arrow::compute::concat_batches(&parts[0].schema(), parts).unwrap();
        let order =
            arrow::compute::sort_to_indices(joined.column_by_name("trace_id").unwrap(), None, None);
        arrow::compute::take_record_batch(&joined, &order.unwrap()).unwrap()
    };
    // The last traces of every part move to the next part, and the first part of traces stays empty.
    let mut behind = vec![rows(&whole[0], 0, 0)];
    behind.push(join(&[whole[0].clone(), rows(&whole[1], 0, 5)]));
    for pair in whole[1..].windows(2) {
        let last = pair[0].num_rows();
        behind.push(join(&[rows(&pair[0], 5, last), rows(&pair[1], 0, 5)]));
    }
    behind.push(rows(
        whole.last().unwrap(),
        5,
        whole.last().unwrap().num_rows(),
    ));
    assert_eq!(behind.iter().map(RecordBatch::num_rows).sum::<usize>(), 56);
    assert_eq!(behind.len(), whole.len() + 1);
    let mut paths = paths;
    paths.push(paths[0].with_file_name("part-run-1-99999.parquet"));
    change_manifest(root, |value| {
        let parts = &mut value["tables"]["traces"]["parts"];
        let mut list = parts.as_array().unwrap().clone();
        list.push(list[0].clone());
        for ((part, path), batch) in list.iter_mut().zip(&paths).zip(&behind) {
            write_part(path, "traces", batch, 1000, 1000);
            part["path"] = path.strip_prefix(root).unwrap().to_str().unwrap().into();
            part["rows"] = batch.num_rows().into();
        }
        *parts = list.into();
    });
    relist(root);
    // With the numbers of sealings, with one of them twice, and without any.
    for numbers in [vec![Some(99)], vec![Some(0)], vec![None; paths.len()]] {
        change_manifest(root, |value| {
            let parts = value["tables"]["traces"]["parts"].as_array_mut().unwrap();
            for (part, number) in parts.iter_mut().rev().zip(&numbers) {
                let part = part.as_object_mut().unwrap();
                match number {
                    Some(number) => part.insert("sealing".to_owned(), json!(number)),
                    None => part.remove("sealing"),
                };
            }
        });
        let dataset = Dataset::open(root).unwrap();
        let found = shapes(&dataset);
        assert_eq!(found.len(), 56);
        assert!(found.iter().all(|(_, found)| *found == hops(&[])));
        let scan = dataset.traces().stray_budget(100);
        let error = scan
            .iter()
            .unwrap()
            .find_map(Result::err)
            .unwrap()
            .to_string();
        assert!(
            error.contains("run-1") && error.contains("at most 100"),
            "{error}"
        );
    }
}

#[test]
fn hops_without_a_trace_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let output = Output::Directory(directory.path().to_owned());
    let mut writer = create(&output, meta("run-1", "fra-1"), SMALL);
    feed(&mut writer, &traces_of(0..10));
    // The run is interrupted before the trace of target 10 ends.
    for hop in rows::trace(10).0 {
        writer.hop(hop, rows::START).unwrap();
    }
    finish(writer);
    let dataset = Dataset::open(directory.path()).unwrap();
    assert_eq!(all(dataset.scan("hops")).len(), 176);
    let found = shapes(&dataset);
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|(_, found)| *found == hops(&[])));
    assert!(dataset.traces_to(address(10)).unwrap().is_empty());
    // Its id counts with all memory that it takes.
    let few = dataset.traces().stray_budget(16);
    let error = few.iter().unwrap().find_map(Result::err);
    assert!(matches!(error, Some(ReadError::StrayHops { .. })));
}

#[test]
fn several_row_groups_of_a_part_are_merged() {
    let (directory, _) = dataset(30);
    let root = directory.path();
    // Row groups of a part are sorted one by one: here each begins again at the first trace.
    let [path] = &parts(root, "hops")[..1] else {
        panic!("a part");
    };
    let batch = batch_of(path);
    let indexes = (0..4).flat_map(|start| (start..batch.num_rows()).step_by(4));
    let indexes: arrow::array::UInt32Array = indexes.map(|row| row as u32).collect();
    let dealt = arrow::compute::take_record_batch(&batch, &indexes).unwrap();
    write_part(path, "hops", &dealt, 9, batch.num_rows() / 4);
    relist(root);
    let found = shapes(&Dataset::open(root).unwrap());
    assert_eq!(found.len(), 30);
    assert!(found.iter().all(|(_, found)| *found == hops(&[])));
    // Within a row group, rows that are not sorted are an error.
    let order = arrow::array::UInt32Array::from_iter_values((0..batch.num_rows() as u32).rev());
    let reversed = arrow::compute::take_record_batch(&batch, &order).unwrap();
    write_part(path, "hops", &reversed, 1000, 1000);
    relist(root);
    let dataset = Dataset::open(root).unwrap();
    let error = dataset
        .traces()
        .iter()
        .unwrap()
        .find_map(Result::err)
        .unwrap();
    assert!(matches!(error, ReadError::NotSorted(_)), "{error}");
}

#[test]
fn chosen_columns_are_joined_by_those_that_order_them() {
    let (_directory, dataset) = dataset(8);
    let scan = dataset
        .traces()
        .trace_columns(&["destination"])
        .hop_columns(&["rtt_us", "ttl"]);
    let trace = scan.iter().unwrap().next().unwrap().unwrap();
    let names: Vec<&str> = trace.row().columns().collect();
    assert_eq!(names, ["destination", "trace_id"]);
    let hop = trace.hops().get(0).unwrap();
    let names: Vec<&str> = hop.columns().collect();
    assert_eq!(
        names,
        [
            "rtt_us",
            "ttl",
            "trace_id",
            "round",
            "attempt",
            "reply_index",
            "probe_id"
        ]
    );
    assert_eq!(
        trace.row().address("destination").unwrap(),
        Some(address(0))
    );
    assert!(
        hop.text("responder")
            .unwrap_err()
            .to_string()
            .contains("no column responder")
    );
    assert!(
        hop.text("ttl")
            .unwrap_err()
            .to_string()
            .contains("ttl is Int16, not a text")
    );
}

/// Parts have Bloom filters. Those of older writers have a dictionary, and parts with many destinations have neither.
#[test]
fn a_destination_is_found_without_bloom_filter_and_without_dictionary() {
    for dictionary in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        run(root, "run-1", "fra-1", permuted(30));
        for path in parts(root, "traces") {
            let key = KeyValue::new("pathsurvey.table".to_owned(), "traces".to_owned());
            let properties = WriterProperties::builder()
                .set_key_value_metadata(Some(vec![key]))
                .set_dictionary_enabled(dictionary)
                .set_data_page_row_count_limit(3)
                .set_write_batch_size(3)
                .build();
            let batch = batch_of(&path);
            let file = File::create(&path).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        relist(root);
        let dataset = Dataset::open(root).unwrap();
        for target in 0..30 {
            let found = dataset.traces_to(address(target)).unwrap();
            let found: Vec<_> = found.iter().map(shape).collect();
            assert_eq!(found, [(i64::from(target), hops(&[]))], "{dictionary}");
        }
        assert!(dataset.traces_to(address(30)).unwrap().is_empty());
    }
}
