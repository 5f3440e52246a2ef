//! The first pass over a run's traces: which parts belong together, and which hops are strays.
//!
//! Every part of `hops` has an own part of `traces`, or none. A stray is a row of hops whose trace is not in the own part.
//!
//! | the manifest | the own part |
//! |---|---|
//! | has the numbers of the sealings | the part of `traces` of the same sealing |
//! | has no such numbers | the part of `traces` that shares the most traces |
//!
//! The parts are written in the order of time. So a search starts at the own part of the part before, and ends at the first part of `traces`
//! that shares half of the traces.
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

/// Memory for the id of a stray: its place in a list, and in hash maps with some room to grow.
const BYTES_PER_ID: usize = 40;

/// The parts of `hops` of each part of `traces`, and the rows that are strays.
pub(super) struct Strays {
    own_hops: Vec<Vec<usize>>,
    rows: HashMap<i64, Vec<Slice>>,
}

impl Strays {
    /// The parts of `hops` whose own part is this part of `traces`.
    pub(super) fn own_hops(&self, traces: usize) -> impl Iterator<Item = usize> + '_ {
        self.own_hops[traces].iter().copied()
    }

    /// The strays of a trace. The second time there are none.
    pub(super) fn take(&mut self, trace: i64) -> Vec<Slice> {
        self.rows.remove(&trace).unwrap_or_default()
    }
}

/// A part of `hops`.
enum Found {
    /// Its own part is known from the sealing. The ids are those of strays.
    Sealed(Option<usize>, Vec<i64>),
    /// Its own part is not known yet. The ids are all of the part.
    Unknown(Vec<i64>),
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
    let ids_of_traces = |part: &Part| ids(&trace_ids, &schemas.traces, part);
    let sealed = by_sealing(traces);
    let look = |part: &Part| {
        let ids = ids(&hop_ids, &schemas.hops, part)?;
        let (Some(sealed), Some(sealing)) = (&sealed, part.listed().sealing) else {
            return Ok(Found::Unknown(ids));
        };
        let own = sealed.get(&sealing).copied();
        let there = own.map_or_else(|| Ok(Vec::new()), |own| ids_of_traces(&traces[own]))?;
        Ok(Found::Sealed(own, without(ids, &there)))
    };
    let mut finder = OwnPartFinder {
        read: ids_of_traces,
        parts: traces,
        near: HashMap::new(),
        place: 0,
    };
    let mut own_hops = vec![Vec::new(); traces.len()];
    let mut away: Vec<Vec<i64>> = Vec::with_capacity(hops.len());
    let mut memory = Memory::new(scan, run);
    for chunk in hops.chunks(rayon::current_num_threads() * 2) {
        let found = chunk.par_iter().map(look);
        for found in found.collect::<Result<Vec<_>, ReadError>>()? {
            let (own, strays) = match found {
                Found::Sealed(own, strays) => (own, strays),
                Found::Unknown(ids) => finder.own_part(ids)?,
            };
            if let Some(own) = own {
                own_hops[own].push(away.len());
            }
            memory.add(strays.len().saturating_mul(BYTES_PER_ID))?;
            away.push(strays);
        }
    }
    let mut strays = Strays {
        own_hops,
        rows: HashMap::new(),
    };
    let wanted: HashSet<i64> = away.iter().flatten().copied().collect();
    if !wanted.is_empty() {
        let known = with_a_trace(&wanted, traces, &finder.read)?;
        let parts = hops.iter().zip(&away);
        load(scan, schemas, parts, &known, &mut memory, &mut strays)?;
    }
    Ok(strays)
}

/// The parts of `traces` by the number of their sealing. `None` if a part has no number, or that of another part.
fn by_sealing(traces: &[Part]) -> Option<HashMap<u64, usize>> {
    let numbered = traces.iter().enumerate();
    let numbered = numbered.map(|(at, part)| Some((part.listed().sealing?, at)));
    let found: HashMap<u64, usize> = numbered.collect::<Option<_>>()?;
    (found.len() == traces.len()).then_some(found)
}

/// Those of `ids` that are not in `there`, which is sorted.
fn without(mut ids: Vec<i64>, there: &[i64]) -> Vec<i64> {
    ids.retain(|id| there.binary_search(id).is_err());
    ids.shrink_to_fit();
    ids
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

/// Finds the own part of one part of `hops` after the other.
struct OwnPartFinder<'p, F> {
    read: F,
    parts: &'p [Part],
    /// Ids of the last own part, and of the part after it.
    near: HashMap<usize, Vec<i64>>,
    /// The last own part.
    place: usize,
}

impl<F: Fn(&Part) -> Result<Vec<i64>, ReadError>> OwnPartFinder<'_, F> {
    /// The own part of a part with these ids, and the ids that are not there.
    fn own_part(&mut self, ids: Vec<i64>) -> Result<(Option<usize>, Vec<i64>), ReadError> {
        let mut best: Option<(usize, usize)> = None;
        let ahead = self.place..self.parts.len();
        for at in ahead.chain(0..self.place) {
            let shared = self.with_ids(at, |there| shared(there, &ids))?;
            if shared > best.map_or(0, |(_, most)| most) {
                best = Some((at, shared));
            }
            if shared * 2 >= ids.len() {
                break;
            }
        }
        let Some((own, shared)) = best else {
            return Ok((None, ids));
        };
        if shared * 2 >= ids.len() {
            self.place = own;
            self.near.retain(|at, _| (own..own + 2).contains(at));
        }
        let strays = self.with_ids(own, |there| without(ids, there))?;
        Ok((Some(own), strays))
    }

    /// Calls `use_ids` with the ids of a part of `traces`. Keeps them if the part is near.
    fn with_ids<R>(
        &mut self,
        at: usize,
        use_ids: impl FnOnce(&[i64]) -> R,
    ) -> Result<R, ReadError> {
        if let Some(known) = self.near.get(&at) {
            return Ok(use_ids(known));
        }
        let ids = (self.read)(&self.parts[at])?;
        let result = use_ids(&ids);
        if (self.place..self.place + 2).contains(&at) {
            self.near.insert(at, ids);
        }
        Ok(result)
    }
}

/// How many of `ids` are in `there`. Both are sorted.
fn shared(there: &[i64], ids: &[i64]) -> usize {
    let mut rest = there;
    let mut shared = 0;
    for id in ids {
        rest = &rest[rest.partition_point(|known| known < id)..];
        shared += usize::from(rest.first() == Some(id));
    }
    shared
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
        self.used = self.used.saturating_add(bytes);
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
