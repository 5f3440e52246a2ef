//! Reads a table: chosen columns of chosen rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use rayon::prelude::*;

use super::bound::Bound;
use super::error::nearest;
use super::file::{Indexes, PartFile};
use super::filter::{Condition, Filter};
use super::group::{GroupRows, OpenPart};
use super::schema::{self, Mapping, Version};
use super::{Dataset, Part, ReadError, Run};
use crate::dataset::tables;

/// What to read of a table. Without [`columns`](Scan::columns), all columns; without [`filter`](Scan::filter), all rows.
#[derive(Clone, Debug)]
#[must_use = "a scan reads nothing before `batches` or `fold`"]
pub struct Scan<'d> {
    dataset: &'d Dataset,
    table: String,
    columns: Option<Vec<String>>,
    filters: Vec<Condition>,
}

impl<'d> Scan<'d> {
    pub(super) fn new(dataset: &'d Dataset, table: &str) -> Self {
        Scan {
            dataset,
            table: table.to_owned(),
            columns: None,
            filters: Vec::new(),
        }
    }

    /// Reads these columns, in this order.
    pub fn columns(mut self, names: &[&str]) -> Self {
        self.columns = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Reads only rows that satisfy this filter, and every filter given before. The filter's columns need not be among those read.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter.0);
        self
    }

    /// The columns of the result. Reads the footer of one part of every run.
    ///
    /// # Errors
    /// [`ReadError::NoTable`], [`ReadError::NoColumn`], [`ReadError::TypesDisagree`], [`ReadError::FilterType`], and errors of the files.
    pub fn schema(&self) -> Result<SchemaRef, ReadError> {
        Ok(self.plan()?.schema)
    }

    /// The rows in the order of the files: runs by their start, parts in the order of writing. Memory: one batch, and the pages it is in.
    ///
    /// # Errors
    /// As [`schema`](Scan::schema). Further errors come from the iterator, which ends with the first one.
    pub fn batches(self) -> Result<Batches<'d>, ReadError> {
        Ok(Batches {
            plan: self.plan()?,
            next_part: 0,
            part: None,
            group: None,
        })
    }

    /// The rows of the table in the chosen runs, by their manifests. The filter is not considered.
    pub fn rows(&self) -> u64 {
        rows_of(self.dataset, &self.table)
    }

    /// Reads parts in parallel, on the threads of rayon. If there are few parts, reads their row groups in parallel, too.
    ///
    /// Each row group starts from `init` and calls `each` with its run and its batches in order. Then `merge` joins the results of
    /// neighbours, in the order of the files. `merge(init(), x)` must equal `x`. Memory: for every thread a batch, the pages it is in, and a
    /// value. With few parts, a thread may hold a value for several row groups.
    ///
    /// # Errors
    /// As [`schema`](Scan::schema), the error of a part, or an error of `each`. The other results are dropped.
    pub fn fold<T: Send>(
        self,
        init: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, &Run, &RecordBatch) -> Result<(), ReadError> + Sync,
        merge: impl Fn(T, T) -> T + Sync,
    ) -> Result<T, ReadError> {
        let plan = self.plan()?;
        let merged = |a, b| Ok(merge(a, b));
        let of_group = |run: &Run, part: &OpenPart, group: usize| {
            let mut so_far = init();
            if let Some(mut rows) = part.group(group, plan.filter.as_ref())? {
                while let Some(batch) = rows.next_batch(part)? {
                    each(&mut so_far, run, &batch)?;
                }
            }
            Ok(so_far)
        };
        // While a thread waits for row groups of its part, it would open further parts. With many parts, that is not needed.
        let many = plan.parts.len() >= 2 * rayon::current_num_threads();
        let of_part = |(run, part): &(&Run, &Part)| -> Result<T, ReadError> {
            let part = plan.open(part)?;
            let groups = 0..part.groups();
            let one = |group| of_group(run, &part, group);
            if many {
                let mut folded = groups.map(one);
                let first = folded.next().unwrap_or_else(|| Ok(init()));
                return folded.try_fold(first?, |so_far, next| Ok(merge(so_far, next?)));
            }
            let folded = groups.into_par_iter().map(one);
            folded.try_reduce_with(merged).unwrap_or_else(|| Ok(init()))
        };
        let folded = plan.parts.par_iter().map(of_part);
        folded.try_reduce_with(merged).unwrap_or_else(|| Ok(init()))
    }

    /// Checks names and types against the files.
    pub(super) fn plan(&self) -> Result<Plan<'d>, ReadError> {
        let dataset = self.dataset;
        let runs: Vec<&Run> = dataset.runs().iter().collect();
        let union = table_schema(dataset, &runs, &self.table)?;
        let parts = runs
            .iter()
            .flat_map(|run| run.parts(&self.table).iter().map(|part| (*run, part)));
        self.plan_over(&union, parts.collect())
    }

    /// Like [`plan`](Scan::plan), for some parts of the table.
    pub(super) fn plan_over(
        &self,
        union: &Schema,
        parts: Vec<(&'d Run, &'d Part)>,
    ) -> Result<Plan<'d>, ReadError> {
        let schema = match &self.columns {
            None => union.clone(),
            Some(names) => {
                let indexes = names.iter();
                let indexes = indexes
                    .map(|name| schema::column(&self.table, union, name))
                    .collect::<Result<Vec<_>, _>>()?;
                union
                    .project(&indexes)
                    .map_err(|error| ReadError::damaged(self.dataset.path(), error))?
            }
        };
        let filter = match self.filters.as_slice() {
            [] => None,
            filters => Some(Bound::new(
                &Condition::All(filters.to_vec()),
                &self.table,
                union,
            )?),
        };
        let mut compared = Vec::new();
        if let Some(filter) = &filter {
            filter.columns(&mut compared);
        }
        let filtered = union
            .fields()
            .iter()
            .filter(|field| compared.contains(&field.name().as_str()));
        Ok(Plan {
            places: schema::places(union, &compared),
            filtered: filtered.cloned().collect(),
            table: self.table.clone(),
            all_columns: self.columns.is_none(),
            schema: Arc::new(schema),
            filter,
            parts,
        })
    }
}

/// The rows of a table in the chosen runs, by their manifests.
pub(super) fn rows_of(dataset: &Dataset, table: &str) -> u64 {
    let parts = dataset.runs().iter().flat_map(|run| run.parts(table));
    parts.fold(0, |sum, part| sum.saturating_add(part.listed().rows))
}

/// The columns of a table in all runs.
pub(super) fn table_schema(
    dataset: &Dataset,
    runs: &[&Run],
    table: &str,
) -> Result<Schema, ReadError> {
    let with_parts: Vec<(&Run, &Part)> = runs
        .iter()
        .filter_map(|run| Some((*run, run.parts(table).first()?)))
        .collect();
    // Only the schemas are kept: there may be more runs than a process may open files.
    let versions = with_parts.par_iter().map(|(run, part)| {
        let section = run.manifest().tables.get(table);
        let file = PartFile::open(part, table, &Indexes::default())?;
        Ok(Version {
            version: section.map_or(0, |section| section.schema_version),
            path: part.path().to_owned(),
            schema: Arc::clone(file.schema()),
        })
    });
    let versions = versions.collect::<Result<Vec<_>, ReadError>>()?;
    if versions.is_empty() {
        return schema_without_parts(dataset, runs, table);
    }
    let found = schema::union(versions)?;
    Ok(match tables::named(table) {
        Some(known) => schema::with_declared(found, known.schema().arrow()),
        None => found,
    })
}

/// The columns of a table that has no part yet.
fn schema_without_parts(
    dataset: &Dataset,
    runs: &[&Run],
    table: &str,
) -> Result<Schema, ReadError> {
    if let Some(known) = tables::named(table) {
        return Ok(Schema::clone(known.schema().arrow()));
    }
    let known = tables::of(true).iter().map(|known| known.schema().name);
    let named = runs.iter().flat_map(|run| run.tables());
    Err(ReadError::NoTable {
        path: dataset.path().to_owned(),
        table: table.to_owned(),
        nearest: nearest(table, named.chain(known)),
    })
}

/// A scan whose names and types were checked.
pub(super) struct Plan<'d> {
    table: String,
    all_columns: bool,
    /// The places of the filter's columns among the leaves of the schema.
    places: Vec<usize>,
    pub schema: SchemaRef,
    pub filter: Option<Bound>,
    /// The columns of the filter.
    filtered: Vec<FieldRef>,
    pub parts: Vec<(&'d Run, &'d Part)>,
}

impl Plan<'_> {
    /// Opens a part only to compare its statistics with the filter.
    pub(super) fn open_footer(&self, part: &Part) -> Result<PartFile, ReadError> {
        PartFile::open(part, &self.table, &self.statistics())
    }

    fn statistics(&self) -> Indexes<'_> {
        let mut filtered = Vec::new();
        if let Some(filter) = &self.filter {
            filter.columns(&mut filtered);
        }
        Indexes {
            located: Vec::new(),
            filtered,
            places: self.places.clone(),
        }
    }

    /// Opens a part for this scan.
    pub(super) fn open(&self, part: &Part) -> Result<OpenPart, ReadError> {
        let mut indexes = self.statistics();
        if !indexes.filtered.is_empty() {
            let read = self.schema.fields().iter();
            indexes.located = read.map(|field| field.name().as_str()).collect();
            indexes.located.extend(&indexes.filtered);
        }
        let file = PartFile::open(part, &self.table, &indexes)?;
        let fields = file.schema().fields();
        let unknown = fields
            .iter()
            .find(|field| self.schema.index_of(field.name()).is_err());
        if let (true, Some(unknown)) = (self.all_columns, unknown) {
            return Err(ReadError::ColumnsDiffer {
                path: part.path().to_owned(),
                column: unknown.name().clone(),
            });
        }
        let mapping = Mapping::new(&self.schema, &file)?;
        let mut filtered = Vec::with_capacity(self.filtered.len());
        for field in &self.filtered {
            if let Ok(at) = file.schema().index_of(field.name()) {
                schema::check_type(field, file.schema().field(at), part.path())?;
                filtered.push(at);
            }
        }
        Ok(OpenPart {
            // The ids of the tables that have them are never null. Code that joins them counts on that.
            has_ids: tables::named(&self.table).is_some(),
            file,
            mapping,
            filtered,
        })
    }
}

/// The rows of a scan, in the order of the files. Ends after an error.
pub struct Batches<'d> {
    plan: Plan<'d>,
    next_part: usize,
    /// The open part, and its next row group.
    part: Option<(OpenPart, usize)>,
    group: Option<GroupRows>,
}

impl Batches<'_> {
    /// The columns of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        loop {
            let Some((part, next_group)) = &mut self.part else {
                let Some((_, part)) = self.plan.parts.get(self.next_part) else {
                    return Ok(None);
                };
                self.next_part += 1;
                self.part = Some((self.plan.open(part)?, 0));
                continue;
            };
            if let Some(group) = &mut self.group {
                match group.next_batch(part)? {
                    Some(batch) if batch.num_rows() > 0 => return Ok(Some(batch)),
                    Some(_) => continue,
                    None => self.group = None,
                }
            }
            if *next_group < part.groups() {
                self.group = part.group(*next_group, self.plan.filter.as_ref())?;
                *next_group += 1;
            } else {
                self.part = None;
            }
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.next_part = self.plan.parts.len();
            (self.part, self.group) = (None, None);
        }
        next.transpose()
    }
}
