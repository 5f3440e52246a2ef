//! A dataset against what the script says it sent and what it says is right.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dataset::Dataset;
use super::network::Seen;

/// How many differences of a survey are shown; one mistake makes many.
const SHOWN: usize = 4;

/// A fact that is no column: how many fragments of the answer came more than once.
const REPEATED: &str = "repeated_fragments";

/// What tells probes of a survey apart, but for their order.
type Key = (String, i64, i64);

/// All that is not as it should be.
#[derive(Default)]
pub struct Differences(Vec<String>);

impl Differences {
    pub fn add(&mut self, difference: String) {
        self.0.push(difference);
    }

    /// Notes a difference unless the two are equal.
    pub fn unless_equal(&mut self, what: &str, found: &Value, right: &Value) {
        if found != right {
            self.add(format!("{what} is {found}, right is {right}"));
        }
    }

    /// Takes those of `name` over, of which not more than a few are kept.
    pub fn extend(&mut self, name: &str, other: Differences) {
        let left_out = other.0.len().saturating_sub(SHOWN);
        let kept = other.0.into_iter().take(SHOWN);
        self.0
            .extend(kept.map(|difference| format!("{name}: {difference}")));
        if left_out > 0 {
            self.add(format!("{name}: and {left_out} more"));
        }
    }

    /// Fails if there is any.
    pub fn assert_none(&self) {
        assert!(
            self.0.is_empty(),
            "not as the script says:\n{}",
            self.0.join("\n")
        );
    }
}

/// Compares everything: the rows of every probe with the answers that were sent to it, what was discarded, and every trace.
pub fn compare(plan: &Value, seen: &[Seen], dataset: &Dataset) -> Differences {
    let mut differences = Differences::default();
    rows(seen, dataset, &mut differences);
    discards(seen, dataset, &mut differences);
    ways_out(plan, seen, &mut differences);
    traces(plan, dataset, &mut differences);
    differences
}

fn key(of: &Value) -> Key {
    let number = |name: &str| of[name].as_i64();
    let port = number("src_port").or(number("icmp_id")).unwrap_or(-1);
    let destination = of["destination"].as_str().unwrap().to_owned();
    (destination, port, number("ttl").unwrap_or(-1))
}

/// Every probe that came has its row, from the address it came from, with just the answers that were sent, in their order; and
/// there is no other row.
fn rows(seen: &[Seen], dataset: &Dataset, differences: &mut Differences) {
    let mut came: BTreeMap<Key, Vec<&Seen>> = BTreeMap::new();
    for seen in seen {
        came.entry(key(&seen.probe)).or_default().push(seen);
    }
    let mut probes: BTreeMap<i64, Vec<&Value>> = BTreeMap::new();
    for row in &dataset.hops {
        let id = row["probe_id"].as_i64().unwrap();
        probes.entry(id).or_default().push(row);
    }
    let mut written: BTreeMap<Key, Vec<Vec<&Value>>> = BTreeMap::new();
    for mut rows in probes.into_values() {
        rows.sort_by_key(|row| row["reply_index"].as_i64());
        if rows[0]["reply_index"] != 0 {
            differences.add(format!("no row of the probe itself: {}", short(rows[0])));
        }
        if !rows[0]["sent_at"].is_null() {
            written.entry(key(rows[0])).or_default().push(rows);
        }
    }
    for probes in written.values_mut() {
        probes.sort_by_key(|rows| rows[0]["sent_at"].as_i64());
    }
    for (key, probes) in &written {
        let came = came.remove(key).unwrap_or_default();
        if came.len() != probes.len() {
            differences.add(format!(
                "{} rows of probes {key:?}, {} came",
                probes.len(),
                came.len()
            ));
            continue;
        }
        for (rows, seen) in probes.iter().zip(came) {
            one_probe(rows, seen, differences);
        }
    }
    for (key, came) in came {
        differences.add(format!("no row of {} probes {key:?}", came.len()));
    }
}

fn one_probe(rows: &[&Value], seen: &Seen, differences: &mut Differences) {
    let sent = &seen.probe;
    for column in ["source", "protocol", "dst_port"] {
        if rows[0][column] != sent[column] {
            let right = &sent[column];
            differences.add(format!("{column} is not {right} in {}", short(rows[0])));
        }
    }
    let answers: Vec<&Value> = seen
        .answers
        .iter()
        .filter(|facts| facts.get("discard").is_none())
        .collect();
    let replies: Vec<&&Value> = rows
        .iter()
        .filter(|row| !row["responder"].is_null())
        .collect();
    if answers.len() != replies.len() {
        let (sent, found) = (answers.len(), replies.len());
        let of = short(rows[0]);
        differences.add(format!("{sent} answers, {found} of them in rows of {of}"));
        return;
    }
    if answers.is_empty() && rows[0]["status"] != "timeout" {
        differences.add(format!("not a timeout: {}", short(rows[0])));
    }
    if !replies.is_sorted_by_key(|row| row["received_at"].as_i64()) {
        differences.add(format!("not in order of arrival: {}", short(rows[0])));
    }
    for (at, (row, facts)) in replies.iter().zip(answers).enumerate() {
        let status = if at == 0 { "replied" } else { "duplicate" };
        let usual = [
            ("status", Value::from(status)),
            ("evidence", Value::from("full")),
        ];
        let usual = usual.iter().map(|(name, right)| (*name, right));
        let stated = facts.as_object().unwrap();
        let usual = usual.filter(|(name, _)| !stated.contains_key(*name));
        let stated = stated
            .iter()
            .filter(|(name, _)| *name != REPEATED)
            .map(|(name, right)| (name.as_str(), right));
        for (column, right) in usual.chain(stated) {
            if &row[column] != right {
                let found = &row[column];
                differences.add(format!(
                    "{column} is {found}, not {right} in {}",
                    short(row)
                ));
            }
        }
    }
}

/// What was sent to belong to no probe is counted, and nothing else is.
fn discards(seen: &[Seen], dataset: &Dataset, differences: &mut Differences) {
    let mut right: BTreeMap<String, i64> = BTreeMap::new();
    let mut count = |reason: &str, packets: i64| {
        if packets > 0 {
            *right.entry(reason.to_owned()).or_default() += packets;
        }
    };
    let setup = &dataset.manifest["run"]["setup"];
    for seen in seen {
        for facts in &seen.answers {
            if let Some(reason) = facts.get("discard") {
                count(reason.as_str().unwrap(), 1);
            }
            let repeated = facts.get(REPEATED).and_then(Value::as_i64);
            if by_ring(&seen.probe, setup) {
                count("fragment", repeated.unwrap_or(0));
            }
        }
    }
    let counted = dataset.manifest["packets"]["discarded"].as_object();
    let counted: BTreeMap<String, i64> = counted
        .expect("packets.discarded")
        .iter()
        .map(|(reason, count)| (reason.clone(), count.as_i64().unwrap()))
        .filter(|(_, count)| *count > 0)
        .collect();
    // Of some the script does not know under which name they are counted.
    let sum = |of: &BTreeMap<String, i64>| of.values().sum::<i64>();
    let named = !right.contains_key("any");
    if sum(&counted) != sum(&right) || named && counted != right {
        differences.add(format!("discarded are {counted:?}, right is {right:?}"));
    }
}

/// Whether answers to `probe` come through a packet ring. Otherwise the kernel puts fragments together, and a repeated one is never
/// seen.
fn by_ring(probe: &Value, setup: &Value) -> bool {
    let six = probe["destination"].as_str().unwrap().contains(':');
    setup["transport"] == "raw" && (six || setup["receive_buffer"] == "packet_ring")
}

/// All probes of a flow leave by one way, and those that are to be used are.
fn ways_out(plan: &Value, seen: &[Seen], differences: &mut Differences) {
    let mut flows: BTreeMap<(String, i64), BTreeSet<&str>> = BTreeMap::new();
    let mut used = BTreeSet::new();
    // Or even all of a target.
    let together = plan.get("together").is_some();
    for seen in seen {
        let (destination, port, _) = key(&seen.probe);
        let port = if together { 0 } else { port };
        let device = seen.probe["device"].as_str().unwrap();
        flows.entry((destination, port)).or_default().insert(device);
        used.insert(device);
    }
    for (flow, devices) in flows {
        let moves = plan.get("moves").is_some_and(|moves| *moves == *flow.0);
        if devices.len() > 1 && !moves {
            differences.add(format!("{flow:?} left by {devices:?}"));
        }
    }
    if let Some(right) = plan.get("uses") {
        differences.unless_equal("the set of ways out", &used.into_iter().collect(), right);
    }
}

/// Every target has its trace, with the figures that are stated, and the path that is.
fn traces(plan: &Value, dataset: &Dataset, differences: &mut Differences) {
    let mut traces = BTreeMap::new();
    for trace in &dataset.traces {
        traces.insert(trace["destination"].as_str().unwrap(), trace);
    }
    let paths = paths(dataset);
    for (destination, right) in plan["traces"].as_object().unwrap() {
        let Some(trace) = traces.remove(destination.as_str()) else {
            differences.add(format!("no trace to {destination}"));
            continue;
        };
        let name = right["name"].as_str().unwrap_or_default();
        for (figure, right) in right.as_object().unwrap() {
            let what = format!("{figure} of {destination} ({name})");
            match figure.as_str() {
                "name" => {}
                "path" => {
                    let mut path = paths.get(destination).cloned().unwrap_or_default();
                    // What was probed beyond its end is no part of it.
                    path.truncate(right.as_array().unwrap().len());
                    differences.unless_equal(&what, &path.into(), right);
                }
                _ => differences.unless_equal(&what, &trace[figure], right),
            }
        }
    }
    for (destination, trace) in traces {
        differences.add(format!("a trace to {destination}: {trace}"));
    }
}

/// Who answered from each TTL that was probed hop by hop, null for silence. Several responders make a list.
fn paths(dataset: &Dataset) -> BTreeMap<String, Vec<Value>> {
    let mut hops: BTreeMap<String, BTreeMap<i64, Vec<&Value>>> = BTreeMap::new();
    for row in &dataset.hops {
        let Some(ttl) = row["ttl"].as_i64() else {
            continue;
        };
        if row["purpose"] == "distance" || row["reply_index"] != 0 {
            continue;
        }
        let destination = row["destination"].as_str().unwrap().to_owned();
        let hop = hops.entry(destination).or_default().entry(ttl).or_default();
        let responder = &row["responder"];
        if !responder.is_null() && !hop.contains(&responder) {
            hop.push(responder);
        }
    }
    let path = |hops: BTreeMap<i64, Vec<&Value>>| {
        let last = hops.keys().last().copied().unwrap_or(0);
        let hop = |ttl| match hops.get(&ttl).map(Vec::as_slice) {
            None => Value::from("not probed"),
            Some([]) => Value::Null,
            Some([responder]) => (*responder).clone(),
            Some(several) => several.iter().map(|one| (*one).clone()).collect(),
        };
        (1..=last).map(hop).collect()
    };
    hops.into_iter()
        .map(|(destination, hops)| (destination, path(hops)))
        .collect()
}

/// What of a row one needs to see to know it.
fn short(row: &Value) -> String {
    let columns = [
        "destination",
        "source",
        "ttl",
        "attempt",
        "purpose",
        "reply_index",
        "status",
        "responder",
        "icmp_type",
        "icmp_code",
        "evidence",
        "mpls",
    ];
    let shown = columns.map(|column| format!("{column} {}", row[column]));
    shown.join(", ")
}
