//! The destination of the dataset, from `-o` and `--format`.

use std::path::{Path, PathBuf};

use crate::model::named;

named! {
    /// The format of a single stream of hops.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Format: "a format" {
        /// Comma-separated values with a header; absent cells are empty.
        Csv = "csv",
        /// One JSON object a line; absent values are null.
        JsonLines = "jsonl",
        /// Apache Parquet.
        Parquet = "parquet",
        /// Arrow IPC: the file format in files, the stream format in streams.
        Arrow = "arrow",
    }
}

impl Format {
    fn of_suffix(path: &Path) -> Option<Format> {
        match suffix(path)?.as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            "parquet" => Some(Format::Parquet),
            "arrow" => Some(Format::Arrow),
            _ => None,
        }
    }
}

/// The destination of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A directory of Parquet parts: hops, traces and manifest.
    Directory(PathBuf),
    /// One file of hops, with its manifest beside it as `FILE.manifest.json`; or a FIFO or device, written in place.
    File {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
    },
    /// A stream of hops on standard output, without a manifest.
    Stdout {
        /// Its format. Never Parquet, which cannot be read before its end.
        format: Format,
    },
}

/// Why `-o` and `--format` do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OutputError {
    /// `-o ""`.
    #[error("-o wants a directory, a file or `-` for standard output")]
    Empty,
    /// `-o -` alone.
    #[error(
        "-o - writes to standard output in a format of your choice: add --format csv, jsonl or arrow"
    )]
    StdoutNeedsFormat,
    /// `-o - --format parquet`.
    #[error(
        "parquet cannot be read from a stream: write it to a file (-o FILE.parquet), or choose --format arrow, csv or jsonl"
    )]
    ParquetOnStdout,
    /// The suffix and `--format` name different formats.
    #[error(
        "{path} and --format {format} disagree: leave out --format, or name the file *.{format}"
    )]
    Disagree {
        /// The path as given.
        path: String,
        /// The format as given.
        format: Format,
    },
    /// A suffix of files that we do not write.
    #[error(
        "the suffix of {0} names no format of this program: name it *.csv, *.jsonl, *.parquet or *.arrow for a single file of hops, end it with / for a directory, or add --format"
    )]
    UnknownSuffix(String),
}

/// Suffixes that certainly mean a file.
const FILE_SUFFIXES: [&str; 14] = [
    "json", "txt", "tsv", "gz", "zst", "bz2", "xz", "zip", "feather", "avro", "orc", "xml", "db",
    "warts",
];

impl Output {
    /// The path, for messages.
    pub fn path(&self) -> &Path {
        match self {
            Output::Directory(path) | Output::File { path, .. } => path,
            Output::Stdout { .. } => Path::new("standard output"),
        }
    }

    /// Parses `-o` and `--format`, without a look at the file system. A known suffix means a file, and `-` means standard output. Anything
    /// else is a directory, unless `--format` is given.
    ///
    /// # Errors
    /// [`OutputError`], which says what to write instead.
    pub fn parse(text: &str, format: Option<Format>) -> Result<Output, OutputError> {
        if text.is_empty() {
            return Err(OutputError::Empty);
        }
        if text == "-" {
            return match format {
                None => Err(OutputError::StdoutNeedsFormat),
                Some(Format::Parquet) => Err(OutputError::ParquetOnStdout),
                Some(format) => Ok(Output::Stdout { format }),
            };
        }
        let path = PathBuf::from(text);
        if text.ends_with('/') {
            return match format {
                None | Some(Format::Parquet) => Ok(Output::Directory(path)),
                Some(format) => Err(OutputError::Disagree {
                    path: text.to_owned(),
                    format,
                }),
            };
        }
        match (Format::of_suffix(&path), format) {
            (Some(named), Some(asked)) if named != asked => Err(OutputError::Disagree {
                path: text.to_owned(),
                format: asked,
            }),
            (Some(format), _) | (None, Some(format)) => Ok(Output::File { path, format }),
            (None, None) => match suffix(&path) {
                Some(suffix) if FILE_SUFFIXES.contains(&suffix.as_str()) => {
                    Err(OutputError::UnknownSuffix(text.to_owned()))
                }
                _ => Ok(Output::Directory(path)),
            },
        }
    }
}

fn suffix(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, format: Format) -> Result<Output, OutputError> {
        Ok(Output::File {
            path: path.into(),
            format,
        })
    }

    #[test]
    fn suffixes_choose_the_format() {
        assert_eq!(Output::parse("a/b.csv", None), file("a/b.csv", Format::Csv));
        assert_eq!(
            Output::parse("b.JSONL", None),
            file("b.JSONL", Format::JsonLines)
        );
        assert_eq!(
            Output::parse("x.parquet", Some(Format::Parquet)),
            file("x.parquet", Format::Parquet)
        );
        assert_eq!(
            Output::parse("hops.out", Some(Format::Arrow)),
            file("hops.out", Format::Arrow)
        );
    }

    #[test]
    fn anything_else_is_a_directory() {
        for text in ["nightly", "a/b/", "nights.2026", "a.csv/", "./-"] {
            assert_eq!(
                Output::parse(text, None),
                Ok(Output::Directory(text.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn contradictions_are_refused() {
        use OutputError::*;
        let refused = |text, format| Output::parse(text, format).err();
        assert_eq!(refused("", None), Some(Empty));
        assert_eq!(refused("-", None), Some(StdoutNeedsFormat));
        assert_eq!(refused("-", Some(Format::Parquet)), Some(ParquetOnStdout));
        assert_eq!(
            refused("a.json", None),
            Some(UnknownSuffix("a.json".into()))
        );
        assert_eq!(
            refused("a.csv.gz", None),
            Some(UnknownSuffix("a.csv.gz".into()))
        );
        for text in ["a.csv", "a/"] {
            assert!(
                matches!(refused(text, Some(Format::Arrow)), Some(Disagree { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn names_read_back() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        let refused = "feather".parse::<Format>().map_err(|why| why.to_string());
        let text = "`feather` is not a format: give csv, jsonl, parquet or arrow";
        assert_eq!(refused, Err(text.to_owned()));
    }
}
