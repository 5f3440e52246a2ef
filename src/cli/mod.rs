//! The command line: options in, one exit code out. No logic of its own: it builds validated values and calls the library.

mod lab;
mod log;
mod names;
mod schema;
mod signals;
mod survey;
mod terminal;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything went well.
const OK: u8 = 0;
/// Something failed; what was sealed stays.
const FAILED: u8 = 1;
/// The options make no sense. clap's own errors end with the same code.
const USAGE: u8 = 2;
/// Finished, with fewer answered probes than `--min-reply-rate` asks for.
const BELOW_MIN_REPLY_RATE: u8 = 3;

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
    /// The built-in simulated internet: run programs inside it, or look at its true paths.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// Print the schema of a table as JSON.
    Schema(schema::SchemaArgs),
}

/// Runs the program.
pub(super) fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.log.install();
    let code = match cli.command {
        Command::Survey(args) => args.run(&cli.log),
        Command::Lab(command) => command.run(),
        Command::Schema(args) => args.run(),
    };
    ExitCode::from(code)
}

/// Tells of an error, with its causes, and gives the exit code of a failure.
fn fail(error: &anyhow::Error) -> u8 {
    tracing::error!("{}", told_once(error));
    FAILED
}

/// The error and its causes, each told once: many messages already end with the words of their cause.
fn told_once(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Tells of options that make no sense.
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
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write a: disk full");
        assert_eq!(super::told_once(&error), "cannot write a: disk full");
        let error = error.context("no dataset");
        assert_eq!(
            super::told_once(&error),
            "no dataset: cannot write a: disk full"
        );
    }
}
