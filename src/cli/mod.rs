//! The command line. Converts options to validated values, calls the library, and returns an exit code.

mod compact;
mod config;
mod datasets;
mod ecmp;
mod lab;
mod log;
mod names;
mod schema;
mod signals;
mod survey;
mod terminal;
mod values;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
/// The run ended at `--max-duration`.
const MAX_DURATION_OVER: u8 = 5;

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
    #[command(after_help = survey::EXAMPLES)]
    Survey(Box<survey::SurveyArgs>),
    /// Show the configuration of a survey.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run programs in the built-in simulated internet, or print its true paths.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// List, verify, compact and prune datasets.
    #[command(subcommand)]
    Datasets(datasets::DatasetsCommand),
    /// Summarise the load balancing in a dataset, or draw the graph of one target.
    Ecmp(ecmp::EcmpArgs),
    /// Print the schema of a table as JSON.
    Schema(schema::SchemaArgs),
}

/// Runs the program.
pub(super) fn main() -> ExitCode {
    let command = config::with_switches(Cli::command());
    let matches = command.clone().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.log.install();
    // A write beyond the file size limit (ulimit -f) is an error like others. By default, this signal ends the program. If the handler cannot
    // be installed, it still does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    let code = match cli.command {
        Command::Survey(args) => match config::Layers::read(*args, command, &["survey"], matches) {
            Ok(layers) => survey::run(layers, &cli.log),
            Err(error) => refuse(&error),
        },
        Command::Config(config::ConfigCommand::Show(args)) => {
            match config::Layers::read(*args, command, &["config", "show"], matches) {
                Ok(layers) => config::show(layers),
                Err(error) => refuse(&error),
            }
        }
        Command::Lab(command) => command.run(),
        Command::Datasets(command) => command.run(&cli.log),
        Command::Ecmp(args) => args.run(&cli.log),
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

/// Writes data to standard output. Returns the exit code.
fn write_stdout(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => OK,
        // The reader closed the pipe: a normal end.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => OK,
        Err(error) => fail(&anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        super::config::with_switches(super::Cli::command()).debug_assert();
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
