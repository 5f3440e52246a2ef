//! The command line. Converts options to validated values, calls the library, and returns an exit code.

mod datasets;
mod lab;
mod log;
mod names;
mod schema;
mod signals;
mod survey;
mod terminal;
mod values;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

/// Success.
const OK: u8 = 0;
/// Failure. Sealed parts of the dataset are kept.
const FAILED: u8 = 1;
/// Invalid options. clap uses the same code for its own errors.
const USAGE: u8 = 2;
/// The run finished, but the share of answered probes is below `--min-reply-rate`.
const BELOW_MIN_REPLY_RATE: u8 = 3;

/// The run finished, but too many of its probes could not be sent.
const INCOMPLETE: u8 = 4;

/// Surveys the network paths to thousands, then millions, of targets and writes structured datasets.
#[derive(Debug, Parser)]
#[command(name = "pathsurvey", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    log: log::LogOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Probe the paths to many targets and write a dataset.
    Survey(Box<survey::SurveyArgs>),
    /// Run programs in the built-in simulated internet, or print its true paths.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// List, verify and prune datasets.
    #[command(subcommand)]
    Datasets(datasets::DatasetsCommand),
    /// Print the schema of a table as JSON.
    Schema(schema::SchemaArgs),
}

/// Runs the program.
pub(super) fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.log.install();
    // A write beyond the file size limit (ulimit -f) is an error like others. By default, this signal ends the program. If the handler cannot
    // be installed, it still does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    let code = match cli.command {
        Command::Survey(args) => args.run(&cli.log),
        Command::Lab(command) => command.run(),
        Command::Datasets(command) => command.run(&cli.log),
        Command::Schema(args) => args.run(),
    };
    ExitCode::from(code)
}

/// Reports an error with its causes. Returns the exit code of a failure.
fn fail(error: &anyhow::Error) -> u8 {
    tracing::error!("{}", with_causes(error));
    FAILED
}

/// Returns the text of an error and its causes. Leaves out a cause that the text contains already.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Reports invalid options. Returns their exit code.
fn refuse(error: &dyn std::fmt::Display) -> u8 {
    tracing::error!("{error}");
    USAGE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_written_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write a: disk full");
        assert_eq!(super::with_causes(&error), "cannot write a: disk full");
        let error = error.context("no dataset");
        assert_eq!(
            super::with_causes(&error),
            "no dataset: cannot write a: disk full"
        );
    }
}
