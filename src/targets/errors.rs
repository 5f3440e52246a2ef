//! Errors while targets are read.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::line::Fault;

/// Characters of a bad line that messages show.
const SHOWN: usize = 80;

/// Where an input stands.
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

/// A line without a valid target. Displayed as `file:line: what, why`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its place.
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
    /// An argument is no target.
    #[error("{0}")]
    Argument(BadLine),
    /// An argument is no target, but there is a file of that name.
    #[error("{0}; to read targets from it: -i {text}", text = .0.text)]
    ArgumentIsFile(BadLine),
    /// A bad line, when each bad line ends the run.
    #[error("{0} (left out without --strict)")]
    Strict(BadLine),
    /// A blocklist has a line that cannot be parsed. Going on could probe an address that must not be probed.
    #[error("{0} (nothing is probed until every line of a blocklist is understood)")]
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
    /// A CSV's header is ambiguous.
    #[error("{file}:{line}: the header has two columns `{column}`: rename one")]
    Header {
        /// The file.
        file: String,
        /// The header's line, from 1.
        line: u64,
        /// The name that two columns share.
        column: String,
    },
    /// So many targets that the user must confirm them.
    #[error(
        "{0} targets are more than {most}: allow them with --yes-large, or take fewer (longer prefixes, a lower --per-prefix)",
        most = super::LARGE
    )]
    Large(u128),
    /// More targets than a run can number.
    #[error("{0} targets are more than a run can take ({most}): split the input", most = u32::MAX)]
    TooMany(u128),
    /// Names and labels need more memory than a run can address.
    #[error(
        "names and labels of the targets take more than 4 GiB: split the input, or leave out columns"
    )]
    Labels,
    /// A number of hosts per /24 that is out of range.
    #[error("--per-prefix {0}: a /24 has 1 to 254 hosts to draw")]
    PerPrefix(u8),
}
