//! The first pass over a run's traces: which parts belong together, and which hops are elsewhere.
//!
//! A part of `hops` is at home with the part of `traces` that shares the most traces with it. The parts are written in the order of time, so
//! the search starts at the home of the part before, and ends at the first part of `traces` that shares half of the traces.
//!
//! Memory: the ids of a few parts, the ids of strays, and their rows. The ids and rows of strays count against the budget.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::filter::Filter;
use super::hops::{Slice, TRACE_ID, trace_ids};
use super::scan::Scan;
use super::traces::{Schemas, TraceScan};
use super::{Part, ReadError, Run};

/// The parts of `hops` at home with each part of `traces`, and rows of hops that are elsewhere.
pub(super) struct Strays {
    homes: Vec<Vec<usize>>,
    rows: HashMap<i64, Vec<Slice>>,
}

impl Strays {
    /// The parts of `hops` at home with a part of `traces`.
    pub(super) fn hops_at_home(&self, traces: usize) -> impl Iterator<Item = usize> + '_ {
        self.homes[traces].iter().copied()
    }

    /// The rows of a trace that are not at home. The second time there are none.
    pub(super) fn take(&mut self, trace: i64) -> Vec<Slice> {
        self.rows.remove(&trace).unwrap_or_default()
    }
}

/// Compares the columns `trace_id` of all parts of a run, and loads the strays.
pub(super) fn find_strays(
    scan: &TraceScan,
    schemas: &Schemas,
    run: &Run,
) -> Result<Strays, ReadError> {
    let (hops, traces) = (run.parts("hops"), run.parts("traces"));
    let hop_ids = ids_scan(scan, "hops");
    let trace_ids = ids_scan(scan, "traces");
    let mut finder = HomeFinder {
        read: |part: &Part| ids(&trace_ids, &schemas.traces, part),
        parts: traces,
        near: HashMap::new(),
        place: 0,
    };
    let mut homes = vec![Vec::new(); traces.len()];
    let mut away: Vec<Vec<i64>> = Vec::with_capacity(hops.len());
    let mut memory = Memory::new(scan, run);
    let together = rayon::current_num_threads() * 2;
    for (chunk, parts) in hops.chunks(together).enumerate() {
        let read = parts
            .par_iter()
            .map(|part| ids(&hop_ids, &schemas.hops, part));
        for (at, ids) in read.collect::<Result<Vec<_>, _>>()?.into_iter().enumerate() {
            let (home, strays) = finder.home(ids)?;
            if let Some(home) = home {
                homes[home].push(chunk * together + at);
            }
            memory.add(size_of_val(strays.as_slice()))?;
            away.push(strays);
        }
    }
    let mut strays = Strays {
        homes,
        rows: HashMap::new(),
    };
    let wanted: HashSet<i64> = away.iter().flatten().copied().collect();
    if !wanted.is_empty() {
        let known = with_a_trace(&wanted, traces, &finder.read)?;
        load(
            scan,
            schemas,
            hops.iter().zip(&away),
            &known,
            &mut memory,
            &mut strays,
        )?;
    }
    Ok(strays)
}

/// Reads the column `trace_id` of a table.
fn ids_scan<'d>(scan: &TraceScan<'d>, table: &str) -> Scan<'d> {
    scan.scan(table).columns(&[TRACE_ID])
}

/// The ids in a part, ascending, each once.
fn ids(scan: &Scan, schema: &arrow::datatypes::Schema, part: &Part) -> Result<Vec<i64>, ReadError> {
    let plan = scan.plan_over(schema, Vec::new())?;
    let open = plan.open(part)?;
    let mut ids: Vec<i64> = Vec::new();
    for group in 0..open.groups() {
        let Some(mut rows) = open.group(group, None)? else {
            continue;
        };
        while let Some(batch) = rows.next_batch(&open)? {
            for id in trace_ids(&batch)?.values() {
                if ids.last() != Some(id) {
                    ids.push(*id);
                }
            }
        }
    }
    if !ids.is_sorted() {
        ids.sort_unstable();
        ids.dedup();
    }
    Ok(ids)
}

/// Finds the home of one part of `hops` after the other.
struct HomeFinder<'p, F> {
    read: F,
    parts: &'p [Part],
    /// Ids of parts of `traces` near the last home.
    near: HashMap<usize, Vec<i64>>,
    /// The last home.
    place: usize,
}

impl<F: Fn(&Part) -> Result<Vec<i64>, ReadError>> HomeFinder<'_, F> {
    /// The home of a part with these ids, and the ids that are not there.
    fn home(&mut self, ids: Vec<i64>) -> Result<(Option<usize>, Vec<i64>), ReadError> {
        let mut best: Option<(usize, usize)> = None;
        let ahead = self.place..self.parts.len();
        for at in ahead.chain(0..self.place) {
            let shared = self.shared(at, &ids)?;
            if shared > best.map_or(0, |(_, most)| most) {
                best = Some((at, shared));
            }
            if shared * 2 >= ids.len() {
                break;
            }
        }
        let Some((home, shared)) = best else {
            return Ok((None, ids));
        };
        if shared * 2 >= ids.len() {
            self.place = home;
            self.near.retain(|at, _| (home..home + 2).contains(at));
        }
        let there = self.ids_of(home)?;
        let strays = ids.iter().filter(|id| there.binary_search(id).is_err());
        Ok((Some(home), strays.copied().collect()))
    }

    /// How many of `ids` a part of `traces` has.
    fn shared(&mut self, at: usize, ids: &[i64]) -> Result<usize, ReadError> {
        let far;
        let there = if (self.place..self.place + 2).contains(&at) {
            self.ids_of(at)?
        } else {
            far = (self.read)(&self.parts[at])?;
            &far
        };
        let mut rest = there.as_slice();
        let mut shared = 0;
        for id in ids {
            rest = &rest[rest.partition_point(|known| known < id)..];
            shared += usize::from(rest.first() == Some(id));
        }
        Ok(shared)
    }

    fn ids_of(&mut self, at: usize) -> Result<&Vec<i64>, ReadError> {
        if !self.near.contains_key(&at) {
            self.near.insert(at, (self.read)(&self.parts[at])?);
        }
        Ok(&self.near[&at])
    }
}

/// Those of `wanted` that have a row in `traces`.
fn with_a_trace(
    wanted: &HashSet<i64>,
    traces: &[Part],
    read: &(impl Fn(&Part) -> Result<Vec<i64>, ReadError> + Sync),
) -> Result<HashSet<i64>, ReadError> {
    let of_part = |part| -> Result<Vec<i64>, ReadError> {
        let mut ids = read(part)?;
        ids.retain(|id| wanted.contains(id));
        Ok(ids)
    };
    let found = traces.par_iter().map(of_part);
    Ok(found
        .collect::<Result<Vec<_>, _>>()?
        .concat()
        .into_iter()
        .collect())
}

/// Loads the rows of the strays in `known`.
fn load<'a>(
    scan: &TraceScan,
    schemas: &Schemas,
    parts: impl Iterator<Item = (&'a Part, &'a Vec<i64>)>,
    known: &HashSet<i64>,
    memory: &mut Memory,
    strays: &mut Strays,
) -> Result<(), ReadError> {
    for (part, away) in parts {
        let ids: Vec<i64> = away
            .iter()
            .copied()
            .filter(|id| known.contains(id))
            .collect();
        if ids.is_empty() {
            continue;
        }
        let scan = scan.scan("hops").filter(Filter::any_of(TRACE_ID, ids));
        let plan = scan.plan_over(&schemas.hops, Vec::new())?;
        let open = plan.open(part)?;
        for group in 0..open.groups() {
            let Some(mut rows) = open.group(group, plan.filter.as_ref())? else {
                continue;
            };
            while let Some(batch) = rows.next_batch(&open)? {
                memory.add(batch.get_array_memory_size())?;
                by_trace(batch, &mut strays.rows)?;
            }
        }
    }
    Ok(())
}

/// Sorts the rows of a batch into `rows`.
pub(super) fn by_trace(
    batch: arrow::array::RecordBatch,
    rows: &mut HashMap<i64, Vec<Slice>>,
) -> Result<(), ReadError> {
    let batch = Arc::new(batch);
    let ids = trace_ids(&batch)?.values();
    let mut start = 0;
    for run in ids.chunk_by(|a, b| a == b) {
        let slice = (Arc::clone(&batch), start..start + run.len());
        rows.entry(run[0]).or_default().push(slice);
        start += run.len();
    }
    Ok(())
}

/// Counts the memory of strays.
struct Memory {
    run_id: String,
    used: usize,
    budget: usize,
}

impl Memory {
    fn new(scan: &TraceScan, run: &Run) -> Self {
        Memory {
            run_id: run.id().to_owned(),
            used: 0,
            budget: scan.budget(),
        }
    }

    fn add(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.used += bytes;
        if self.used <= self.budget {
            return Ok(());
        }
        Err(ReadError::StrayHops {
            run_id: self.run_id.clone(),
            found: self.used,
            budget: self.budget,
        })
    }
}
