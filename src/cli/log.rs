//! Messages on standard error, as text or as JSON.

use std::fmt;
use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The format of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// One line of text per message.
    Text,
    /// One JSON object per message.
    Json,
}

/// Options for messages. All messages go to standard error.
#[derive(Debug, Args)]
pub(super) struct LogOptions {
    /// The format of messages on standard error.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,

    /// Show informational messages as well.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Show errors and warnings only, without progress and summary.
    #[arg(long, global = true)]
    quiet: bool,
}

impl LogOptions {
    /// Starts writing the program's messages to standard error.
    pub(super) fn install(&self) {
        let level = match self.verbose {
            0 => Level::WARN,
            _ => Level::INFO,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            // Such an error means that standard error failed. It cannot be reported there.
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Text => subscriber.event_format(TextFormat).init(),
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

/// Writes `text` to standard error. Ignores errors, so that the run goes on if the terminal is closed (a dropped connection).
pub(super) fn write_stderr(text: &str) {
    // The error cannot be reported.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes `error: message`, without time and module, as command-line programs do.
struct TextFormat;

impl<S, N> FormatEvent<S, N> for TextFormat
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
