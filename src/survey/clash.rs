//! Refuses runs that would write to a file that they read, or write two outputs to one file.
//!
//! The check comes before any file is opened. It compares files, not names: links, hard links and `./` make no difference.
//!
//! | the shared file | the check |
//! |---|---|
//! | a regular file that the run reads and writes | refuses |
//! | a regular file that the run reads and removes, because it is in a folder of temporary files | refuses |
//! | a regular file, a pipe or a socket that both outputs write | refuses |
//! | a device, or a pipe that is read and written | allows: `-i /dev/stdin -o /dev/stdout` on a terminal |
//!
//! A list may lie in the directory of the dataset, because a run writes only files of its own there.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::config::{Network, SurveyConfig};
use crate::dataset::{Occupied, Output};

/// Standard input as a path.
const STDIN: &str = "/proc/self/fd/0";

/// An option and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    option: &'static str,
    path: PathBuf,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.path.display())
    }
}

/// Two options that share a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileClash {
    /// The output itself is an input.
    #[error("{output} would write to the file that {input} reads: give {option} another path", option = .output.option)]
    Overwrites {
        /// The output.
        output: Given,
        /// The input.
        input: Given,
    },
    /// A file that goes with the output is an input.
    #[error("{output} also writes {file}, which {input} reads: give {option} another path", option = .output.option, file = .file.display())]
    WritesBeside {
        /// The output.
        output: Given,
        /// The file.
        file: PathBuf,
        /// The input.
        input: Given,
    },
    /// An input is in a folder whose files are removed.
    #[error("{output} removes the files in {folder}, where {input} lies: move that file to another directory", folder = .folder.display())]
    Removes {
        /// The output.
        output: Given,
        /// The folder.
        folder: PathBuf,
        /// The input.
        input: Given,
    },
    /// Both outputs write one file.
    #[error("{dataset} and {capture} write to the same file ({file}): give them different paths", file = .file.display())]
    Twice {
        /// The dataset.
        dataset: Given,
        /// The capture file.
        capture: Given,
        /// The file.
        file: PathBuf,
    },
    /// The capture file would be among the parts of a table, or be removed.
    #[error("{capture} lies in {folder}, which holds only files of {dataset}: give --pcap another path", folder = .folder.display())]
    Within {
        /// The dataset.
        dataset: Given,
        /// The capture file.
        capture: Given,
        /// The folder.
        folder: PathBuf,
    },
}

/// Returns an error if the outputs of a run clash with its inputs, or with each other.
pub(super) fn check(config: &SurveyConfig, output: &Output) -> Result<(), FileClash> {
    check_against(config, output, &inputs(config))
}

/// Returns an error if the outputs of a run clash with the file that its configuration was read from.
///
/// # Errors
/// [`FileClash`] names both files.
pub fn check_config_file(
    file: &Path,
    config: &SurveyConfig,
    output: &Output,
) -> Result<(), FileClash> {
    let file = Given {
        option: "--config",
        path: file.to_owned(),
    };
    check_against(config, output, &[file])
}

fn check_against(
    config: &SurveyConfig,
    output: &Output,
    inputs: &[Given],
) -> Result<(), FileClash> {
    let dataset = Given {
        option: "-o",
        path: match output {
            Output::Stdout { .. } => PathBuf::from("-"),
            Output::Directory(path) | Output::File { path, .. } => path.clone(),
        },
    };
    let occupied = output.occupies();
    let capture = config.pcap.as_ref().map(|path| Given {
        option: "--pcap",
        path: path.clone(),
    });
    let captured = capture.map(|capture| {
        let occupied = Occupied::by_capture(&capture.path);
        (capture, occupied)
    });
    for input in inputs {
        against_input(&dataset, &occupied, input)?;
        if let Some((capture, occupied)) = &captured {
            against_input(capture, occupied, input)?;
        }
    }
    match &captured {
        Some((capture, files)) => against_capture(&dataset, &occupied, capture, files),
        None => Ok(()),
    }
}

/// The files that a run reads.
fn inputs(config: &SurveyConfig) -> Vec<Given> {
    let given = |option| {
        move |path: &PathBuf| Given {
            option,
            path: path.clone(),
        }
    };
    let network = match &config.network {
        Network::Lab { file } | Network::VirtualLab { file } => file.as_ref(),
        Network::Real => None,
    };
    let lists = config.targets.files.iter().map(given("-i"));
    lists
        .chain(config.targets.blocklists.iter().map(given("-b")))
        .chain(network.map(given("--lab")))
        .collect()
}

fn against_input(output: &Given, occupied: &Occupied, input: &Given) -> Result<(), FileClash> {
    let read = match input.path.as_os_str() == "-" {
        true => End::of(Path::new(STDIN)),
        false => End::of(&input.path),
    };
    let clash = occupied
        .files
        .iter()
        .find(|file| End::of(file).is(&read, Node::keeps_bytes));
    let (output, input) = (output.clone(), input.clone());
    if let Some(file) = clash {
        let file = file.clone();
        return Err(match Some(&file) == occupied.files.first() {
            true => FileClash::Overwrites { output, input },
            false => FileClash::WritesBeside {
                output,
                file,
                input,
            },
        });
    }
    match read.folder_among(&occupied.emptied) {
        Some(folder) => Err(FileClash::Removes {
            output,
            folder,
            input,
        }),
        None => Ok(()),
    }
}

fn against_capture(
    dataset: &Given,
    occupied: &Occupied,
    capture: &Given,
    files: &Occupied,
) -> Result<(), FileClash> {
    let (dataset, capture) = (dataset.clone(), capture.clone());
    for file in &files.files {
        let end = End::of(file);
        let mixes = |node: &Node| node.keeps_bytes() || node.stream;
        if occupied
            .files
            .iter()
            .any(|other| End::of(other).is(&end, mixes))
        {
            let file = file.clone();
            return Err(FileClash::Twice {
                dataset,
                capture,
                file,
            });
        }
        let folders = [&*occupied.emptied, &*occupied.tables].concat();
        if let Some(folder) = end.folder_among(&folders) {
            return Err(FileClash::Within {
                dataset,
                capture,
                folder,
            });
        }
    }
    Ok(())
}

/// A file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    device: u64,
    inode: u64,
    regular: bool,
    /// A pipe or a socket. Its reader would get a mixture of two outputs.
    stream: bool,
}

impl Node {
    fn of(about: &Metadata) -> Self {
        Node {
            device: about.dev(),
            inode: about.ino(),
            regular: about.is_file(),
            stream: about.file_type().is_fifo() || about.file_type().is_socket(),
        }
    }

    /// Whether what is written is there for readers later, and replaces what was there.
    fn keeps_bytes(&self) -> bool {
        self.regular
    }
}

/// The end of a path.
#[derive(Debug)]
struct End {
    /// The file, if it is there.
    node: Option<Node>,
    /// The path without links and detours.
    name: PathBuf,
}

impl End {
    fn of(path: &Path) -> Self {
        let name = plain(path);
        // A descriptor of a pipe has no plain name.
        let about = fs::metadata(path).or_else(|_| fs::metadata(&name));
        End {
            node: about.ok().as_ref().map(Node::of),
            name,
        }
    }

    /// Whether both are one file: the same file of a kind that `counts`, or the same name for a file that is not there yet.
    fn is(&self, other: &End, counts: impl Fn(&Node) -> bool) -> bool {
        match (&self.node, &other.node) {
            (Some(node), Some(other)) => node == other && counts(node),
            (None, None) => self.name == other.name,
            _ => false,
        }
    }

    /// The first of `folders` that the file lies in.
    fn folder_among(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        let around = |folder: &&PathBuf| self.name.starts_with(plain(folder));
        folders.iter().find(around).cloned()
    }
}

/// Returns the path without links, `.` and `..`. Folders that do not exist yet are no links, so their `..` leads back.
fn plain(path: &Path) -> PathBuf {
    let mut known = path.to_owned();
    let mut missing = Vec::new();
    let start = loop {
        match fs::canonicalize(if known.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &known
        }) {
            Ok(start) => break start,
            // A file with a slash behind its name is no directory, but means that file.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            // The path cannot be followed, for example because of missing rights.
            Err(_) => return path.to_owned(),
        }
        let mut before = known.components();
        let Some(last) = before.next_back() else {
            return path.to_owned();
        };
        missing.push(last.as_os_str().to_owned());
        known = before.as_path().to_owned();
    };
    let mut found = start;
    for name in missing.iter().rev() {
        match Path::new(name).components().next() {
            Some(Component::ParentDir) => {
                found.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(_) => found.push(name),
        }
    }
    found
}
