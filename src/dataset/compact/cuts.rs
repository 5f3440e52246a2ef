//! Where a part ends.

use std::collections::VecDeque;

/// The rule by which the rows of a table become parts.
pub(super) enum Cuts {
    /// From this number of rows on, a part ends before the next trace. The first trace of every further part is collected.
    Traces {
        /// Rows of a part.
        rows: u64,
        /// The first traces of the further parts.
        starts: Vec<i64>,
    },
    /// A part ends before each of these traces, as the parts of `hops` do.
    Before(VecDeque<i64>),
    /// The table has no traces. A part ends at this number of rows.
    Rows(u64),
}

impl Cuts {
    /// The place in a batch of `rows` rows at which the part ends. `None` if the part goes on after the batch.
    ///
    /// The batch starts at row `start`. `ids` are the traces of all its rows. `before` is the trace of the row before `start`. The part has
    /// `written` rows so far.
    pub(super) fn next(
        &mut self,
        ids: &[i64],
        rows: usize,
        start: usize,
        before: Option<i64>,
        written: u64,
    ) -> Option<usize> {
        match self {
            Cuts::Traces {
                rows: target,
                starts,
            } => {
                let missing = usize::try_from(target.saturating_sub(written)).ok()?;
                let from = start.checked_add(missing)?;
                let changes = |at: &usize| match at.checked_sub(1) {
                    Some(previous) if *at > start => ids[previous] != ids[*at],
                    _ => before.is_some_and(|before| before != ids[*at]),
                };
                let at = (from..rows).find(changes)?;
                starts.push(ids[at]);
                Some(at)
            }
            Cuts::Before(starts) => {
                let next = *starts.front()?;
                let at = start + ids[start..].partition_point(|id| *id < next);
                (at < rows).then(|| {
                    starts.pop_front();
                    at
                })
            }
            Cuts::Rows(target) => {
                let missing = usize::try_from(target.saturating_sub(written)).ok()?;
                let at = start.checked_add(missing)?;
                (at < rows).then_some(at)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The traces of each part, for batches of these traces.
    fn parts(mut cuts: Cuts, batches: &[&[i64]]) -> Vec<Vec<i64>> {
        let mut parts = vec![Vec::new()];
        let mut before = None;
        for ids in batches {
            let mut start = 0;
            let mut written = parts.last().map_or(0, Vec::len) as u64;
            while let Some(at) = cuts.next(ids, ids.len(), start, before, written) {
                parts.last_mut().unwrap().extend(&ids[start..at]);
                parts.push(Vec::new());
                (start, written) = (at, 0);
                before = at.checked_sub(1).map(|at| ids[at]).or(before);
            }
            parts.last_mut().unwrap().extend(&ids[start..]);
            before = ids.last().copied().or(before);
        }
        parts
    }

    #[test]
    fn a_trace_is_in_one_part() {
        let traces = |rows| Cuts::Traces {
            rows,
            starts: Vec::new(),
        };
        let batches: [&[i64]; 3] = [&[1, 1, 1], &[1, 2, 2], &[3, 4, 4, 4]];
        for (rows, expected) in [
            (1, vec![vec![1; 4], vec![2; 2], vec![3], vec![4; 3]]),
            (3, vec![vec![1; 4], vec![2, 2, 3], vec![4; 3]]),
            (5, vec![vec![1, 1, 1, 1, 2, 2], vec![3, 4, 4, 4]]),
            (100, vec![vec![1, 1, 1, 1, 2, 2, 3, 4, 4, 4]]),
        ] {
            assert_eq!(parts(traces(rows), &batches), expected, "{rows}");
        }
    }

    #[test]
    fn other_tables_are_cut_at_the_traces_of_hops() {
        let before = Cuts::Before([3, 7, 9].into());
        let found = parts(before, &[&[1, 2], &[2, 8], &[8]]);
        assert_eq!(found, [vec![1, 2, 2], vec![], vec![8, 8]]);
    }

    #[test]
    fn a_table_without_traces_is_cut_by_rows() {
        let found = parts(Cuts::Rows(2), &[&[0, 0, 0], &[0, 0]]);
        assert_eq!(found, [vec![0, 0], vec![0, 0], vec![0]]);
    }
}
