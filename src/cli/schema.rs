//! `pathsurvey schema`: the tables' schemas, as programs and people read them.

use std::io::Write;

use clap::{Args, ValueEnum};

use pathsurvey::dataset::{Table, schema_text};

use super::{OK, fail};

/// The tables.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TableName {
    /// One row a probe, and one for each further reply.
    Hops,
    /// One row a (target, flow).
    Traces,
}

/// Which schema to print.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The table.
    table: TableName,
}

impl SchemaArgs {
    /// Prints it.
    pub(super) fn run(&self) -> u8 {
        let table = match self.table {
            TableName::Hops => Table::Hops,
            TableName::Traces => Table::Traces,
        };
        match std::io::stdout().write_all(schema_text(table).as_bytes()) {
            Ok(()) => OK,
            // Nobody reads on: a clean end.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => OK,
            Err(error) => {
                fail(&anyhow::Error::new(error).context("cannot write to standard output"))
            }
        }
    }
}
