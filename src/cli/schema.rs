//! `pathsurvey schema`: the schemas of the tables, for programs and people.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use pathsurvey::dataset::{table_named, tables_of};

use super::write_stdout;

/// The table whose schema is printed.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The table
    #[arg(value_parser = PossibleValuesParser::new(tables()))]
    table: String,
}

/// The names of the tables, with the first sentence of their descriptions.
fn tables() -> impl Iterator<Item = PossibleValue> {
    tables_of(true).iter().map(|table| {
        let schema = table.schema();
        let sentence = schema.description.split(". ").next().unwrap_or_default();
        PossibleValue::new(schema.name).help(sentence)
    })
}

impl SchemaArgs {
    /// Prints the schema. Returns the exit code.
    pub(super) fn run(&self) -> u8 {
        let text = table_named(&self.table).map(|table| table.schema().json());
        write_stdout(&text.unwrap_or_default())
    }
}
