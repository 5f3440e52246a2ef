//! Messages on standard error, for people or as JSON.

use std::fmt;
use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The form of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Options for messages. All messages go to standard error.
#[derive(Debug, Args)]
pub(super) struct LogOptions {
    /// The form of messages on standard error.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,

    /// Also report what the program does.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Show errors and warnings only: no progress and no summary.
    #[arg(long, global = true)]
    quiet: bool,
}

impl LogOptions {
    /// From now on, sends the program's messages to standard error.
    pub(super) fn install(&self) {
        let level = match self.verbose {
            0 => Level::WARN,
            _ => Level::INFO,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            // Standard error itself failed, so the error cannot be reported.
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Text => subscriber.event_format(ForPeople).init(),
            LogFormat::Json => subscriber.json().init(),
        }
    }

    /// Whether a progress bar may be shown.
    pub(super) fn shows_progress(&self) -> bool {
        !self.quiet && self.log_format == LogFormat::Text && std::io::stderr().is_terminal()
    }

    /// Whether the summary is written.
    pub(super) fn shows_summary(&self) -> bool {
        !self.quiet
    }

    /// Whether messages are JSON.
    pub(super) fn is_json(&self) -> bool {
        self.log_format == LogFormat::Json
    }
}

/// Writes `text` to standard error. If the terminal is gone (a dropped connection), the run goes on.
pub(super) fn tell(text: &str) {
    // The error has no receiver.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `error: message`, without time and module. These are messages of a command, not the log of a service.
struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let name = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        write!(writer, "{name}: ")?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
