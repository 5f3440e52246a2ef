//! Reads a configuration file: TOML with the long names of options, or the manifest of a run.
//!
//! | content | recognised by | relative paths start at |
//! |---|---|---|
//! | TOML | everything else | the directory of the file; the current directory if the file is a pipe |
//! | a manifest | `{` as the first character | the current directory, as in the run that wrote it |
//!
//! A manifest repeats its survey, but for what would damage the results of the old run or mix with them: see [`NOT_REPEATED`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use toml::de::DeTable;

use pathsurvey::config::SurveyConfig;
use pathsurvey::dataset::manifest::Manifest;

use super::entry::{Entry, nearest};
use super::settings::settings;
use super::{COMMAND_LINE_ONLY, OF_THE_PROGRAM, name_of, options_of};

/// The largest file, in bytes. A manifest lists all parts of its run.
const MOST_BYTES: u64 = 256 << 20;

/// The options that a manifest does not repeat.
///
/// | option | otherwise |
/// |---|---|
/// | `seed` | all nights would have the same order of probing |
/// | `survey-id`, `date` | the new run would count as a part of the old night |
/// | `if-exists` | it could remove the old run |
/// | `pcap` | it would replace the old capture file |
///
/// The output is not in the manifest.
const NOT_REPEATED: [&str; 5] = ["seed", "survey-id", "date", "if-exists", "pcap"];

/// A configuration file, read and checked.
pub(super) struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
    /// Whether the file is a manifest of a run that read targets from standard input.
    read_stdin: bool,
}

impl ConfigFile {
    /// Reads a file with options of `survey`.
    ///
    /// # Errors
    /// The text names the file, the line and what is accepted.
    pub fn read(path: &Path, survey: &Command) -> Result<Self, String> {
        let shown = path.display();
        let source = match path.as_os_str() == "-" {
            true => Path::new("/dev/stdin"),
            false => path,
        };
        let (bytes, is_regular) =
            content(source).map_err(|why| format!("--config {shown}: {why}"))?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            return Self::of_manifest(path, bytes);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = line_of(bytes, error.valid_up_to());
            format!("{shown}:{line}: the text is not UTF-8: save the file as UTF-8")
        })?;
        let folder = match is_regular {
            true => path.parent().unwrap_or(Path::new("")),
            false => Path::new(""),
        };
        Ok(ConfigFile {
            path: path.to_owned(),
            entries: of_toml(path, text, folder, survey)?,
            read_stdin: false,
        })
    }

    fn of_manifest(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        let shown = path.display();
        let manifest = Manifest::parse(bytes).map_err(|error| format!("{shown}: {error}"))?;
        let config = SurveyConfig::from_json(&manifest.config)
            .map_err(|error| format!("{shown}: {error}"))?;
        let settings = settings(&config).into_iter();
        let repeated = settings.filter(|setting| !NOT_REPEATED.contains(&setting.name));
        // A value that follows from others follows from them again, also if the command line changes those.
        let entries = repeated
            .filter(|setting| setting.follows.is_none())
            .filter_map(|setting| {
                let values = setting.value?.texts();
                Some(Entry {
                    name: setting.name.to_owned(),
                    values,
                    line: None,
                })
            });
        Ok(ConfigFile {
            path: path.to_owned(),
            entries: entries.collect(),
            read_stdin: config
                .targets
                .files
                .iter()
                .any(|list| list.as_os_str() == "-"),
        })
    }

    /// Returns an error if the targets of a repeated run came from standard input, and the command line names no list.
    pub fn check_stdin(&self, given: &ArgMatches) -> Result<(), String> {
        use clap::parser::ValueSource::CommandLine;
        let named = given.value_source("input_file") == Some(CommandLine);
        match self.read_stdin && !named {
            true => Err(format!(
                "{}: this run read its targets from standard input: give a list with -i FILE, or -i - to read standard input again",
                self.path.display()
            )),
            false => Ok(()),
        }
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The values of an option. `None`: the file does not have the option.
    pub fn values_of(&self, name: &str) -> Option<&[String]> {
        self.entry(name).map(|entry| &*entry.values)
    }

    /// The file and line of an option. `None`: the file does not have the option.
    pub fn place_of(&self, name: &str) -> Option<String> {
        let file = self.path.display();
        self.entry(name).map(|entry| match entry.line {
            Some(line) => format!("{file}:{line}"),
            None => file.to_string(),
        })
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// Reads a file. Returns also whether it is a regular one.
fn content(path: &Path) -> Result<(Vec<u8>, bool), String> {
    let cannot = |error: std::io::Error| format!("cannot read the configuration: {error}");
    let file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if about.is_dir() {
        return Err(
            "this is a directory: give a TOML file, or the manifest.json of a run".to_owned(),
        );
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    match bytes.len() as u64 > MOST_BYTES {
        true => Err(format!(
            "the file is larger than {} MiB: give a TOML file, or the manifest.json of a run",
            MOST_BYTES >> 20
        )),
        false => Ok((bytes, about.is_file())),
    }
}

fn of_toml(path: &Path, text: &str, folder: &Path, survey: &Command) -> Result<Vec<Entry>, String> {
    let at = |offset: usize, why: String| {
        let line = line_of(text.as_bytes(), offset);
        format!("{}:{line}: {why}", path.display())
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let what = error.span().and_then(|span| text.get(span));
        let what = what.filter(|what| !what.is_empty() && !what.contains('\n'));
        let what = what.map_or_else(String::new, |what| format!(" (`{what}`)"));
        at(
            offset,
            format!("{}{what}", error.message().replace('\n', "; ")),
        )
    })?;
    let mut pairs: Vec<_> = table.get_ref().iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in pairs {
        let (name, start) = (key.get_ref().as_ref(), key.span().start);
        let Some(option) = options_of(survey).find(|option| name_of(option) == name) else {
            let why = match value.get_ref().as_table() {
                Some(_) => format!(
                    "`{name}` is a table: write all options without tables and without dots in their names"
                ),
                None => unknown(name, survey),
            };
            return Err(at(start, why));
        };
        let values = super::entry::texts(option, value.get_ref(), folder)
            .and_then(|values| super::entry::check(option, values))
            .map_err(|why| at(value.span().start, format!("{name}: {why}")))?;
        entries.push(Entry {
            name: name.to_owned(),
            values,
            line: Some(line_of(text.as_bytes(), start)),
        });
    }
    let on = |name: &str| {
        let entry = entries.iter().find(|entry| entry.name == name)?;
        (entry.values == ["true"]).then_some(entry.line)?
    };
    match (on("ipv4"), on("ipv6")) {
        (Some(first), Some(second)) => Err(format!(
            "{}:{}: ipv4 and ipv6 (line {}) are both true: leave both out to probe both families",
            path.display(),
            first.max(second),
            first.min(second)
        )),
        _ => Ok(entries),
    }
}

/// Says that a file has no such option, and which name is close.
fn unknown(name: &str, survey: &Command) -> String {
    if COMMAND_LINE_ONLY.contains(&name) || OF_THE_PROGRAM.contains(&name) {
        return format!("`{name}` is an option of the command line only: remove this line");
    }
    match nearest(name, options_of(survey).map(name_of)) {
        Some(close) => format!("unknown option `{name}`: did you mean `{close}`?"),
        None => format!(
            "unknown option `{name}`: `pathsurvey survey --help` lists the options; their long names are the names here"
        ),
    }
}

/// The number of the line that holds the byte at `offset`.
fn line_of(text: &[u8], offset: usize) -> usize {
    let before = &text[..offset.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
