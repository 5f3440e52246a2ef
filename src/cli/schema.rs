//! `pathsurvey schema`: prints the schema of a table.

use std::io::Write;

use clap::{Args, ValueEnum};

use pathsurvey::dataset::{Table, schema_text};

use super::{OK, fail};

/// The tables.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TableName {
    /// One row per probe, and one per further reply.
    Hops,
    /// One row per (target, flow).
    Traces,
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The table to describe.
    table: TableName,
}

impl SchemaArgs {
    /// Prints the schema. Returns the exit code.
    pub(super) fn run(&self) -> u8 {
        let table = match self.table {
            TableName::Hops => Table::Hops,
            TableName::Traces => Table::Traces,
        };
        match std::io::stdout().write_all(schema_text(table).as_bytes()) {
            Ok(()) => OK,
            // The reader closed the pipe. This is a normal end.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => OK,
            Err(error) => {
                fail(&anyhow::Error::new(error).context("cannot write to standard output"))
            }
        }
    }
}
