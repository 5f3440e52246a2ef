//! A run of a dataset, and its parts.

use std::path::{Component, Path, PathBuf};

use super::ReadError;
use crate::dataset::manifest::{self, Manifest, path_plain};

/// A run: its manifest, and its parts by table.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    manifest: Manifest,
    directory: PathBuf,
    manifest_path: PathBuf,
    tables: Vec<(String, Vec<Part>)>,
}

/// A part of a table, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    path: PathBuf,
    listed: manifest::Part,
    partitions: Vec<(String, String)>,
}

impl Run {
    /// The run of a manifest, whose parts are below `directory`.
    pub(super) fn new(
        manifest: Manifest,
        directory: &Path,
        manifest_path: PathBuf,
    ) -> Result<Self, ReadError> {
        let mut tables = Vec::with_capacity(manifest.tables.len());
        for (name, section) in manifest.tables.iter() {
            // A table's name is the name of its folder.
            let first = Path::new(name).components().next();
            if !matches!(first, Some(Component::Normal(folder)) if folder == name) {
                return Err(ReadError::TableName {
                    manifest: manifest_path,
                    table: name.to_owned(),
                });
            }
            let parts = section.parts.iter().map(|listed| {
                Part::new(directory, listed).ok_or_else(|| ReadError::PartPath {
                    manifest: manifest_path.clone(),
                    part: listed.path.clone(),
                })
            });
            tables.push((name.to_owned(), parts.collect::<Result<_, _>>()?));
        }
        Ok(Run {
            manifest,
            directory: directory.to_owned(),
            manifest_path,
            tables,
        })
    }

    /// The run, with its only part at `path`. `None` if it does not have exactly one part. The manifest may have another name for it, because
    /// users rename files.
    pub(super) fn with_file(mut self, path: &Path) -> Option<Self> {
        let mut parts = self.tables.iter_mut().flat_map(|(_, parts)| parts);
        let only = parts.next()?;
        if parts.next().is_some() {
            return None;
        }
        only.path = path.to_owned();
        Some(self)
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.manifest.run_id
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's file.
    pub fn manifest_path(&self) -> &Path {
        &self.manifest_path
    }

    /// The directory of the dataset. Paths of parts in the manifest start there.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The folder with the run's manifest. Next to it are its stored targets, and its checkpoint if it is unfinished. `None` for a single file,
    /// and for a run of a version before such folders.
    pub fn folder(&self) -> Option<&Path> {
        let folder = self.manifest_path.parent()?;
        (folder != self.directory).then_some(folder)
    }

    /// The run as its manifest says now. `None` if the manifest is gone.
    ///
    /// # Errors
    /// As [`Dataset::open`](super::Dataset::open).
    pub fn read_again(&self) -> Result<Option<Run>, ReadError> {
        super::read_manifest(&self.directory, &self.manifest_path)
    }

    /// Whether a process writes into the night of this run now. See [`Dataset::is_written`](super::Dataset::is_written).
    ///
    /// # Errors
    /// [`ReadError::File`].
    pub fn is_written(&self) -> Result<bool, ReadError> {
        let night = self.folder().and_then(Path::parent);
        super::is_locked(night.unwrap_or(&self.directory))
    }

    /// The names of the tables in the manifest.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|(name, _)| name.as_str())
    }

    /// The parts of a table, in the order of writing. Empty if the run does not have the table.
    ///
    /// A part's path is below the directory by its name. It may be, or lead through, a link to another place: readers follow links.
    pub fn parts(&self, table: &str) -> &[Part] {
        let found = self.tables.iter().find(|(name, _)| name == table);
        found.map_or(&[], |(_, parts)| parts)
    }
}

impl Part {
    /// `None` if the path leads out of the directory.
    fn new(directory: &Path, listed: &manifest::Part) -> Option<Self> {
        let relative = Path::new(&listed.path);
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if listed.path.is_empty() || !relative.components().all(inside) {
            return None;
        }
        let folders = relative.parent().unwrap_or(Path::new("")).iter();
        let partitions = folders.filter_map(|folder| {
            let (key, value) = folder.to_str()?.split_once('=')?;
            Some((path_plain(key), path_plain(value)))
        });
        Some(Part {
            path: directory.join(relative),
            partitions: partitions.collect(),
            listed: listed.clone(),
        })
    }

    /// A whole file that no manifest lists.
    pub(in crate::dataset) fn unlisted(path: PathBuf, rows: u64, bytes: u64) -> Self {
        Part {
            path,
            partitions: Vec::new(),
            listed: manifest::Part {
                rows,
                bytes,
                ..manifest::Part::default()
            },
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path, rows, bytes and digest from the manifest.
    pub fn listed(&self) -> &manifest::Part {
        &self.listed
    }

    /// The value of a partition, such as `date` or `vp`, decoded. `None` if the part's path does not have it.
    ///
    /// `vp` is `id-` and the id of the vantage point. In runs of earlier versions it is the id alone. The manifest has the id in both cases.
    pub fn partition(&self, key: &str) -> Option<&str> {
        let found = self.partitions.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str) -> Option<Part> {
        let listed = manifest::Part {
            path: path.to_owned(),
            ..manifest::Part::default()
        };
        Part::new(Path::new("/data/out"), &listed)
    }

    #[test]
    fn partitions_are_decoded() {
        let part = part("hops/date=2026-03-01/vp=fra%201%2F%C3%A9/part-1-00000.parquet").unwrap();
        assert_eq!(part.partition("date"), Some("2026-03-01"));
        assert_eq!(part.partition("vp"), Some("fra 1/é"));
        assert_eq!(part.partition("run"), None);
    }

    #[test]
    fn a_table_s_name_is_that_of_a_folder() {
        let named = |name: &str| {
            let table = (name, manifest::TableSection::default());
            let manifest = Manifest {
                tables: [table].into_iter().collect(),
                ..Manifest::default()
            };
            Run::new(
                manifest,
                Path::new("/data/out"),
                PathBuf::from("/data/out/manifest.json"),
            )
        };
        assert!(named("hops").is_ok());
        for name in ["/home", "..", "../..", "", ".", "hops/", "a/b"] {
            let error = named(name).unwrap_err();
            assert!(matches!(error, ReadError::TableName { .. }), "{name}");
        }
    }

    #[test]
    fn a_part_outside_of_the_directory_is_refused() {
        for path in ["", "/etc/passwd", "../other/part.parquet", "hops/../../x"] {
            assert_eq!(part(path), None, "{path}");
        }
        assert!(part("./hops/x.parquet").is_some());
    }
}
