//! Errors of reading, each with the file or column, and a remedy.

use std::io;
use std::path::{Path, PathBuf};

use crate::dataset::manifest::ManifestError;

/// Why a dataset could not be read. No reader changes a file, so nothing is lost by an error.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused an operation.
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        /// The operation, as in "cannot open".
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// There is nothing at the path.
    #[error("{} does not exist: give the directory or the Parquet file that a run wrote", .0.display())]
    NotFound(PathBuf),
    /// There is no manifest.
    #[error(
        "{} holds no manifest{}",
        path.display(),
        nearby.as_ref().map_or_else(
            || ": give the directory or the Parquet file that a run wrote".to_owned(),
            |nearby| format!(", but it belongs to a dataset: give {}", nearby.display()),
        )
    )]
    NoManifest {
        /// The directory, or the file's manifest that is missing.
        path: PathBuf,
        /// The dataset around it, if it is a part of one.
        nearby: Option<PathBuf>,
    },
    /// A manifest could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The reason.
        source: ManifestError,
    },
    /// The path leads to something that is not a dataset.
    #[error("{} is {kind}: give the directory or the Parquet file that a run wrote", path.display())]
    NotADataset {
        /// The path.
        path: PathBuf,
        /// What is there, as in "a CSV file".
        kind: String,
    },
    /// A manifest lists a part outside of its directory.
    #[error(
        "{} lists the part {part:?}, which is not below its directory: the manifest was changed, restore it from a copy",
        manifest.display()
    )]
    PartPath {
        /// The manifest.
        manifest: PathBuf,
        /// The path as listed.
        part: String,
    },
    /// A manifest has a table whose name is no folder's name.
    #[error(
        "{} has a table {table:?}, which is not the name of a folder: the manifest was changed, restore it from a copy",
        manifest.display()
    )]
    TableName {
        /// The manifest.
        manifest: PathBuf,
        /// The name as listed.
        table: String,
    },
    /// A listed part is not there.
    #[error(
        "{} is missing: restore it from a copy; if another program has just rewritten the dataset, open it again",
        .0.display()
    )]
    PartMissing(PathBuf),
    /// A part has another size than the manifest says.
    #[error(
        "{} has {found} bytes, and its manifest says {expected}: {}, restore it from a copy",
        path.display(),
        if found < expected { "it was cut off" } else { "it was changed" }
    )]
    PartSize {
        /// The part.
        path: PathBuf,
        /// The size in the manifest.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// A part has other rows than the manifest says.
    #[error(
        "{} has {found} rows, and its manifest says {expected}: it was changed, restore it from a copy",
        path.display()
    )]
    PartRows {
        /// The part.
        path: PathBuf,
        /// The rows in the manifest.
        expected: u64,
        /// The rows found.
        found: i64,
    },
    /// A part cannot be decoded.
    #[error("{} is damaged ({message}): restore it from a copy", path.display())]
    Damaged {
        /// The part.
        path: PathBuf,
        /// What the decoder says.
        message: String,
    },
    /// A Parquet file of another program, or of another table.
    #[error(
        "{} holds {}, not the table {table}: restore it from a copy",
        path.display(),
        found.as_ref().map_or_else(|| "rows of another program".to_owned(), |found| format!("the table {found}"))
    )]
    ForeignPart {
        /// The part.
        path: PathBuf,
        /// The table expected.
        table: String,
        /// The table found. `None` if the file names none.
        found: Option<String>,
    },
    /// No run has this table.
    #[error("{} has no table {table}{}", path.display(), did_you_mean(nearest.as_ref()))]
    NoTable {
        /// The dataset.
        path: PathBuf,
        /// The table asked for.
        table: String,
        /// The table with the most similar name.
        nearest: Option<String>,
    },
    /// No file of the table has this column.
    #[error("the table {table} has no column {column}{}", did_you_mean(nearest.as_ref()))]
    NoColumn {
        /// The table.
        table: String,
        /// The column asked for.
        column: String,
        /// The column with the most similar name.
        nearest: Option<String>,
    },
    /// Two files have the same column with different types.
    #[error(
        "the column {column} is {found} in {} and {expected} in other files: read the runs one by one",
        path.display()
    )]
    TypesDisagree {
        /// The column.
        column: String,
        /// The file that differs.
        path: PathBuf,
        /// Its type there.
        found: String,
        /// Its type elsewhere.
        expected: String,
    },
    /// A part has a column that other parts of its run do not have.
    #[error(
        "{} has the column {column}, which other parts of its run do not have: name the columns to read",
        path.display()
    )]
    ColumnsDiffer {
        /// The part.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A filter compares a column with a value of another kind.
    #[error(
        "the column {column} is {data_type} and cannot be compared with {value}: give a value of its type"
    )]
    FilterType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
        /// The value, or what is wrong with it.
        value: String,
    },
    /// The rows of a part are not in the order of the schema.
    #[error(
        "the rows of {} are not in the order of trace_id, so traces cannot be put together: restore the file as the run wrote it",
        .0.display()
    )]
    NotSorted(PathBuf),
    /// Too many rows of hops are in other parts than the row of their trace.
    #[error(
        "run {run_id} has {found} bytes of hops in other parts than their traces, and at most {budget} are held in memory: raise it with `stray_budget`, or read fewer columns with `hop_columns`"
    )]
    StrayHops {
        /// The run.
        run_id: String,
        /// The bytes when reading stopped.
        found: usize,
        /// The budget.
        budget: usize,
    },
    /// A row has no such column, or its value is of another kind.
    #[error(transparent)]
    Row(#[from] super::RowError),
}

impl ReadError {
    /// The manifest, if the error concerns a single one.
    pub(in crate::dataset) fn manifest(&self) -> Option<&Path> {
        match self {
            ReadError::Manifest { path, .. } | ReadError::File { path, .. } => Some(path),
            ReadError::PartPath { manifest, .. } | ReadError::TableName { manifest, .. } => {
                Some(manifest)
            }
            _ => None,
        }
    }

    /// Adds the operation and the file to an I/O error.
    pub(super) fn file(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> ReadError {
        let path = path.to_owned();
        move |source| ReadError::File {
            operation,
            path,
            source,
        }
    }

    /// A part that cannot be decoded.
    pub(super) fn damaged(path: &Path, message: impl ToString) -> ReadError {
        ReadError::Damaged {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}

fn did_you_mean(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": did you mean {nearest}?"))
}

/// Returns the name most similar to `name`, or `None` if no name is similar.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// The number of characters to insert, remove or replace (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, c) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (i, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *other);
            diagonal = row[i + 1];
            row[i + 1] = replaced.min(row[i] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let columns = ["destination", "rtt_us", "responder", "ttl"];
        let found = |name| nearest(name, columns.into_iter());
        assert_eq!(found("destinatoin").as_deref(), Some("destination"));
        assert_eq!(found("rtt_ms").as_deref(), Some("rtt_us"));
        assert_eq!(found("tll").as_deref(), Some("ttl"));
        assert_eq!(found("altitude"), None);
        assert_eq!(found(""), None);
    }
}
