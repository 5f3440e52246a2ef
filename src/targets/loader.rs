//! Reads the inputs in order, stores the targets, and counts the inputs and addresses that are left out.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rayon::slice::ParallelSliceMut;

use super::blocklist::Blocklist;
use super::conflicts::{Conflicts, UnusedLabels};
use super::decompress;
use super::errors::{BadLine, Place, TargetError};
use super::exclusions::ExclusionRules;
use super::labels::{Full, Labels};
use super::line::{Fault, LineTarget};
use super::merge::{Explicit, Requested, Stretch, merge};
use super::names::{Named, Names, Waiting};
use super::prefixes::{Draw, Family};
use super::reader::{Batch, Row, Sink, read_list};
use super::report::{LoadReport, MOST_MESSAGES};
use super::resolver::Resolve;
use super::set::TargetSet;
use super::special::SpecialUse;
use super::{Families, LARGE, TargetSpec};

/// Duplicates are removed when this number of addresses is stored.
const COMPACT_FROM: usize = 1 << 18;

/// Loads targets from several inputs.
pub struct Loader<'a> {
    families: Families,
    strict: bool,
    allow_large: bool,
    draw: Draw,
    resolve: &'a Resolve<'a>,
    on_bad: &'a mut dyn FnMut(&BadLine),
    names: Names,
    exclusions: ExclusionRules,
    v4: Requested<u32>,
    v6: Requested<u128>,
    expanded: u128,
    labels: Labels,
    /// The number that [`Labels`] gave to the label columns of the current list.
    columns: u32,
    /// The number of the next accepted input.
    order: u32,
    unused_labels: UnusedLabels,
    report: LoadReport,
}

impl<'a> Loader<'a> {
    /// Creates a loader with the rules of `spec`. It ignores the arguments and files in `spec`.
    ///
    /// # Errors
    /// [`TargetError::PerPrefix`].
    pub fn new(
        spec: &TargetSpec,
        resolve: &'a Resolve<'a>,
        on_bad: &'a mut dyn FnMut(&BadLine),
    ) -> Result<Self, TargetError> {
        let draw = Draw::new(spec.target_seed, spec.per_prefix)
            .ok_or(TargetError::PerPrefix(spec.per_prefix))?;
        Ok(Loader {
            families: spec.families,
            strict: spec.strict,
            allow_large: spec.allow_large,
            draw,
            resolve,
            on_bad,
            names: Names::new(spec.resolve_targets, spec.families),
            exclusions: ExclusionRules::new(spec.allow_special),
            v4: Requested::default(),
            v6: Requested::default(),
            expanded: 0,
            labels: Labels::default(),
            columns: 0,
            order: 0,
            unused_labels: UnusedLabels::default(),
            report: LoadReport::default(),
        })
    }

    /// Adds command-line arguments, each an address, a prefix or a host name.
    ///
    /// # Errors
    /// [`TargetError::Argument`] for the first argument that is not a target.
    pub fn arguments(&mut self, arguments: &[String]) -> Result<(), TargetError> {
        let mut batch = Batch::default();
        for argument in arguments {
            batch.add(0, argument.trim(), std::iter::empty());
        }
        self.take(&batch, &|_| Place::Argument)
    }

    /// Adds the targets of a file; `-` is standard input.
    ///
    /// # Errors
    /// [`TargetError::Open`], [`TargetError::Read`], [`TargetError::Header`]; [`TargetError::Strict`] if the rules are strict.
    pub fn file(&mut self, path: &Path) -> Result<(), TargetError> {
        let mut input = decompress::open(path)?;
        read_list(&name_of(path), &mut input, true, self)
    }

    /// Adds the targets of `input`, which may be compressed. `file` is its name in messages.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn input(&mut self, file: &Path, input: impl Read) -> Result<(), TargetError> {
        let broken = |source| TargetError::Read {
            file: file.display().to_string(),
            source,
        };
        let mut input = decompress::decompress(Box::new(input), file).map_err(broken)?;
        read_list(&name_of(file), &mut input, true, self)
    }

    /// Excludes the addresses and prefixes of a blocklist, for all inputs.
    ///
    /// # Errors
    /// As [`file`](Self::file), and [`TargetError::Blocklist`] for the first line that cannot be parsed.
    pub fn blocklist(&mut self, path: &Path) -> Result<(), TargetError> {
        let mut input = decompress::open(path)?;
        let mut sink = Blocklist {
            block: &mut |prefix| self.exclusions.block(prefix),
            report: &mut self.report,
        };
        read_list(&name_of(path), &mut input, false, &mut sink)
    }

    /// Returns the distinct targets, without the excluded addresses.
    ///
    /// # Errors
    /// [`TargetError::Large`], [`TargetError::TooMany`]; [`TargetError::Argument`] for an argument that cannot be resolved;
    /// [`TargetError::Strict`] for a name in a file that cannot be resolved, if the rules are strict.
    pub fn finish(mut self) -> Result<(TargetSet, LoadReport), TargetError> {
        self.settle_names()?;
        self.labels.finish();
        let (ranges_v4, ranges_v6) = (self.exclusions.ranges_v4(), self.exclusions.ranges_v6());
        let mut conflicts = self.unused_labels.conflicts(&self.labels);
        let (v4, v4_tally) = merge(self.v4, &ranges_v4, self.draw, &mut conflicts);
        let (v6, v6_tally) = merge(self.v6, &ranges_v6, self.draw, &mut conflicts);
        let targets = v4.len() + v6.len();
        if targets > u128::from(u32::MAX) {
            return Err(TargetError::TooMany(targets));
        }
        if targets > u128::from(LARGE) && !self.allow_large {
            return Err(TargetError::Large(targets));
        }
        let special_uses: BTreeMap<SpecialUse, u64> = SpecialUse::ALL
            .into_iter()
            .map(|special| {
                let at = special as usize;
                (special, clamp(v4_tally.special[at] + v6_tally.special[at]))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        let report = LoadReport {
            expanded: clamp(self.expanded),
            duplicates: clamp(self.expanded - v4_tally.distinct - v6_tally.distinct),
            special: special_uses.values().copied().fold(0, u64::saturating_add),
            special_uses,
            blocked: clamp(v4_tally.blocked + v6_tally.blocked),
            targets: clamp(targets),
            unused_labels: self.unused_labels.count(),
            first_unused_labels: self.unused_labels.first(),
            ..self.report
        };
        let set = TargetSet::new(v4, v6, self.labels);
        Ok((set.ok_or(TargetError::TooMany(targets))?, report))
    }

    /// The number of stored IPv4 stretches.
    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.v4.explicit.len()
    }

    fn take(&mut self, batch: &Batch, place: &dyn Fn(&Row) -> Place) -> Result<(), TargetError> {
        self.report.lines += batch.lines;
        for row in &batch.rows {
            self.report.inputs += 1;
            let (address, length) = match row.target.clone() {
                Ok(LineTarget::Address(address)) => (address, None),
                Ok(LineTarget::Prefix(address, length)) => (address, Some(length)),
                Ok(LineTarget::Name) if !self.names.are_wanted() => {
                    self.report.other_family += 1;
                    continue;
                }
                Ok(LineTarget::Name) => {
                    let (order, entry) = self.keep(batch, row, place)?;
                    let name = batch.text(row).unwrap_or_default();
                    self.names.add(name, place(row), order, entry);
                    continue;
                }
                Err(fault) => {
                    let text = batch.text(row).unwrap_or_default();
                    let bad = BadLine::new(place(row), text, fault);
                    if let Some(bad) = self.names.add_bad(bad) {
                        self.bad(bad)?;
                    }
                    continue;
                }
            };
            if !self.families.has(address) {
                self.report.other_family += 1;
                continue;
            }
            let (order, entry) = self.keep(batch, row, place)?;
            if let Some(length) = length {
                self.report.note_host_bits(address, length, || place(row));
            }
            self.report.accepted += 1;
            self.add(address, length, order, entry);
        }
        if self.names.are_many() {
            self.settle_names()?;
        }
        Ok(())
    }

    /// Resolves the waiting names and adds their addresses.
    fn settle_names(&mut self) -> Result<(), TargetError> {
        for waiting in self.names.settle(self.resolve) {
            match waiting {
                Waiting::Name(named) => self.take_name(named)?,
                Waiting::Bad(bad) => self.bad(bad)?,
            }
        }
        Ok(())
    }

    fn take_name(&mut self, named: Named) -> Result<(), TargetError> {
        let (addresses, failure) = self.names.chosen(&named);
        if let Some(why) = failure {
            if self.strict || addresses.is_empty() {
                self.report.unresolved += 1;
                let text = self.labels.text(named.entry).unwrap_or_default();
                let fault = Fault::Unresolved(why);
                return self.bad(BadLine::new(named.place, text, fault));
            }
            self.report.half_resolved += 1;
        }
        self.report.accepted += 1;
        self.report.names += 1;
        for address in addresses {
            self.add(address, None, named.order, named.entry);
        }
        Ok(())
    }

    fn next_order(&mut self) -> Result<u32, TargetError> {
        let order = self.order;
        self.order = order
            .checked_add(1)
            .ok_or(TargetError::TooMany(self.expanded))?;
        Ok(order)
    }

    /// Stores the text and labels of a row. Returns the number of the input, and its entry in the labels.
    fn keep(
        &mut self,
        batch: &Batch,
        row: &Row,
        place: &dyn Fn(&Row) -> Place,
    ) -> Result<(u32, u32), TargetError> {
        let order = self.next_order()?;
        let entry = self
            .labels
            .add(batch.text(row), self.columns, batch.labels(row))
            .map_err(|Full| TargetError::Labels)?;
        if self.labels.is_labelled(entry) {
            self.unused_labels.add_place(order, place(row));
        }
        Ok((order, entry))
    }

    fn add(&mut self, address: IpAddr, length: Option<u8>, order: u32, entry: u32) {
        let draw = &self.draw;
        let mut conflicts = self.unused_labels.conflicts(&self.labels);
        let input = (order, entry);
        self.expanded += match address {
            IpAddr::V4(a) => {
                let length = length.unwrap_or(32);
                self.v4
                    .add(a.to_bits(), length, input, draw, &mut conflicts)
            }
            IpAddr::V6(a) => {
                let length = length.unwrap_or(128);
                self.v6
                    .add(a.to_bits(), length, input, draw, &mut conflicts)
            }
        };
    }

    fn bad(&mut self, bad: BadLine) -> Result<(), TargetError> {
        if bad.place == Place::Argument {
            // This check comes last: a valid name is never read as a file name.
            return Err(match Path::new(&bad.text).is_file() {
                true => TargetError::ArgumentIsFile(bad),
                false => TargetError::Argument(bad),
            });
        }
        if self.strict {
            return Err(TargetError::Strict(bad));
        }
        self.report.bad_lines += 1;
        if self.report.messages.len() < MOST_MESSAGES {
            self.report.messages.push(bad.to_string());
        }
        (self.on_bad)(&bad);
        Ok(())
    }
}

impl Sink for Loader<'_> {
    fn columns(&mut self, names: &[String]) {
        self.columns = self.labels.add_columns(names);
    }

    fn batch(&mut self, file: &Arc<str>, first: u64, batch: &Batch) -> Result<(), TargetError> {
        self.take(batch, &|row| Place::Line {
            file: file.clone(),
            line: first + row.line,
        })
    }
}

impl<A: Family> Requested<A> {
    /// Removes duplicates before a long list would need twice the memory. So the memory grows with the distinct targets, not with the
    /// lines.
    fn make_room(&mut self, conflicts: &mut Conflicts<'_>) {
        let full = self.explicit.len();
        if full < COMPACT_FROM || full < self.explicit.capacity() {
            return;
        }
        self.explicit
            .par_sort_unstable_by_key(|e| (e.first, e.further, e.order));
        self.explicit.dedup_by(|later, e| {
            let same = (later.first, later.further) == (e.first, e.further);
            if same {
                conflicts.note((later.order, later.entry), e.entry);
            }
            same
        });
        if self.explicit.len() > full / 4 * 3 {
            self.explicit.reserve(full);
        }
    }

    /// Adds a prefix. Returns the number of its addresses.
    fn add(
        &mut self,
        address: A,
        length: u8,
        (order, entry): (u32, u32),
        draw: &Draw,
        conflicts: &mut Conflicts<'_>,
    ) -> u128 {
        let first = address.masked(length);
        if length >= A::BLOCK {
            let (first, further) = A::explicit(first, length, draw);
            self.make_room(conflicts);
            self.explicit.push(Explicit {
                first,
                order,
                entry,
                further,
            });
            return u128::from(further) + 1;
        }
        let first = u128::from(first.block_of());
        let blocks = 1u128 << (A::BLOCK - length);
        self.drawn.push(Stretch {
            first,
            last: first + blocks - 1,
            order,
            entry,
        });
        blocks * u128::from(A::per_block(draw))
    }
}

fn name_of(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

fn clamp(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
