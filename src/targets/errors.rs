//! Errors while targets are read.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::line::Fault;

/// Characters of a bad line that messages show.
const SHOWN: usize = 80;

/// The place of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the command line.
    Argument,
    /// In an input file.
    Line {
        /// The file name as the user wrote it; `-` is standard input.
        file: Arc<str>,
        /// The line, from 1.
        line: u64,
    },
}

/// A line without a valid target. Displayed as `file:line: text, reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The place of the line.
    pub place: Place,
    /// The beginning of its text, with control characters escaped.
    pub text: String,
    /// The error.
    pub fault: Fault,
}

impl BadLine {
    pub(super) fn new(place: Place, text: &str, fault: Fault) -> Self {
        let mut shown: String = text.chars().take(SHOWN).flat_map(shown).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        BadLine {
            place,
            text: shown,
            fault,
        }
    }
}

/// Escapes characters that would disturb a terminal or a log.
fn shown(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Argument => write!(f, "argument `{}`, {}", self.text, self.fault),
            Place::Line { file, line } => {
                write!(f, "{file}:{line}: `{}`, {}", self.text, self.fault)
            }
        }
    }
}

/// Why the targets could not be loaded. Nothing was probed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// An argument is not a target.
    #[error("{0}")]
    Argument(BadLine),
    /// An argument is not a target, but there is a file of that name.
    #[error("{0}; to read targets from this file, give -i {text}", text = .0.text)]
    ArgumentIsFile(BadLine),
    /// A bad line, if the rules are strict.
    #[error("{0} (without --strict, the line is left out)")]
    Strict(BadLine),
    /// A blocklist has a line that cannot be parsed. Without that line, the run could probe an address that must not be probed.
    #[error("{0} (no probe is sent until every line of the blocklist is valid)")]
    Blocklist(BadLine),
    /// A file cannot be opened.
    #[error("cannot open {file}: {source}")]
    Open {
        /// The file.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file cannot be read to its end: a broken disk, a directory, or damaged compression.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The error of the system or of the decompressor.
        source: io::Error,
    },
    /// Two columns of a CSV have the same name.
    #[error("{file}:{line}: the header has two columns `{column}`: rename one of them")]
    Header {
        /// The file.
        file: String,
        /// The header's line, from 1.
        line: u64,
        /// The name that two columns share.
        column: String,
    },
    /// More targets than [`LARGE`](super::LARGE), without a confirmation.
    #[error(
        "{0} targets are more than {most}: allow them with --yes-large, or probe fewer (longer prefixes, a lower --per-prefix)",
        most = super::LARGE
    )]
    Large(u128),
    /// More targets than a run can number.
    #[error("{0} targets are more than one run can probe ({most}): split the input", most = u32::MAX)]
    TooMany(u128),
    /// Names and labels need more memory than a run can address.
    #[error(
        "the names and labels of the targets need more than 4 GiB: split the input, or leave out columns"
    )]
    Labels,
    /// The number of hosts per /24 is out of range.
    #[error("--per-prefix {0}: give a number from 1 to 254")]
    PerPrefix(u8),
}
