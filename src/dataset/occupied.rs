//! The files that a run writes or removes, known before the first one is opened.
//!
//! Callers compare them with the files that a run reads. Nothing is created or changed here.

use std::path::{Path, PathBuf};

use super::directory::{MANIFEST, MANIFEST_LOCK, PARTIAL, RUNS};
use super::output::Output;
use super::place::{self, Place, Stream};
use super::{files, tables};

/// Standard output as a path.
const STDOUT: &str = "/dev/stdout";

/// The files of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// Files that are replaced, or streams that are written into. The first one is the output itself. If the path of the output is a link, this
    /// is the end of the link.
    pub files: Vec<PathBuf>,
    /// Folders whose files are removed when a run starts.
    pub emptied: Vec<PathBuf>,
    /// Folders that hold nothing but parts, or files about runs.
    pub tables: Vec<PathBuf>,
}

impl Output {
    /// The files that a run into this output writes or removes.
    pub fn occupies(&self) -> Occupied {
        match self {
            Output::Directory(root) => {
                // Of every strategy: runs of all of them may be in one directory.
                let tables = tables::of(true).iter();
                let tables = tables.map(|table| table.schema().name);
                Occupied {
                    files: vec![root.clone(), root.join(MANIFEST), root.join(MANIFEST_LOCK)],
                    emptied: vec![root.join(PARTIAL)],
                    tables: tables.chain([RUNS]).map(|name| root.join(name)).collect(),
                }
            }
            Output::File { path, .. } => {
                let (mut files, replaced) = file(path);
                if replaced {
                    let output = files[0].clone();
                    let manifest = |(before, behind)| files::beside(&output, before, behind);
                    let names = [("", ".manifest.json"), (".", ".manifest.json.partial")];
                    files.extend(names.map(manifest));
                }
                Occupied {
                    files,
                    ..Occupied::default()
                }
            }
            Output::Stdout { .. } => Occupied {
                files: vec![PathBuf::from(STDOUT)],
                ..Occupied::default()
            },
        }
    }
}

impl Occupied {
    /// The files that a run with a capture file ([`PcapFile`](super::PcapFile)) at `path` writes.
    pub fn by_capture(path: &Path) -> Self {
        Occupied {
            files: file(path).0,
            ..Occupied::default()
        }
    }
}

/// The end of `path`. If the file is replaced, and not written in place, also the files beside it:
///
/// | file | what a run does |
/// |---|---|
/// | `.NAME.partial` | writes into it |
/// | `.NAME.partial.old` | replaces it by the unfinished file of an earlier run |
/// | `.NAME.lock` | writes and removes it, if the file system has no locks |
/// | `.NAME.lock.claim` | the same, if the lock file is that of a dead process |
///
/// Also returns whether the file is replaced.
fn file(path: &Path) -> (Vec<PathBuf>, bool) {
    match place::look(path) {
        Ok(Place::File(real)) => {
            let behind = [".partial", ".partial.old", ".lock", ".lock.claim"];
            let beside = behind.map(|behind| files::beside(&real, ".", behind));
            (std::iter::once(real).chain(beside).collect(), true)
        }
        Ok(Place::Stream(Stream::Descriptor(descriptor))) => {
            (vec![format!("/proc/self/fd/{descriptor}").into()], false)
        }
        // What cannot be written is an error when it is opened.
        Ok(Place::Stream(Stream::Node(_)) | Place::Unfit(_)) | Err(_) => {
            (vec![path.to_owned()], false)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn output(text: &str) -> Occupied {
        Output::parse(text, None).unwrap().occupies()
    }

    #[test]
    fn a_file_has_its_manifest_and_its_temporary_files_beside_it() {
        let names = [
            "x.csv",
            ".x.csv.partial",
            ".x.csv.partial.old",
            ".x.csv.lock",
            ".x.csv.lock.claim",
            "x.csv.manifest.json",
            ".x.csv.manifest.json.partial",
        ];
        assert_eq!(output("x.csv").files, names.map(PathBuf::from));
        assert_eq!(
            Occupied::by_capture(Path::new("x.csv")).files,
            names[..5].iter().map(PathBuf::from).collect::<Vec<_>>()
        );
        assert_eq!(output("/dev/null").files[0], Path::new("/dev/null"));
    }

    #[test]
    fn the_file_behind_a_link_is_meant() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        symlink("real.csv", at("link.csv")).unwrap();
        let files = output(at("link.csv").to_str().unwrap()).files;
        assert_eq!(files[0].file_name(), Some("real.csv".as_ref()));
        let beside = files.iter().filter_map(|file| file.file_name());
        for name in [".real.csv.partial.old", "real.csv.manifest.json"] {
            assert!(beside.clone().any(|file| file == name), "{name}");
        }
    }

    #[test]
    fn a_directory_has_a_manifest_and_folders() {
        let found = output("out");
        assert_eq!(
            found.files,
            ["out", "out/manifest.json", "out/.manifest.lock"].map(PathBuf::from)
        );
        assert_eq!(found.emptied, [PathBuf::from("out/.partial")]);
        let folders = [
            "hops", "traces", "graphs", "nodes", "links", "diamonds", "runs",
        ];
        assert_eq!(
            found.tables,
            folders.map(|name| Path::new("out").join(name))
        );
    }
}
