//! The checkpoint of a run: the parts that are about to get their final names, and the counts of the rows so far.
//!
//! A sealing takes these steps. Each is durable before the next one begins.
//!
//! 1. The parts are written under temporary names.
//! 2. The checkpoint lists them.
//! 3. The parts get their final names.
//! 4. The manifest lists them.
//!
//! So a part in the folder of a table is always in the checkpoint or in the manifest. If the process ends between two steps, the next
//! process does the rest of them ([`settle`](super::settle)).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::RunFolder;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::{Named, Part};
use crate::dataset::{DatasetError, Totals};

/// Version of the checkpoint's format. A run with another version is not resumed.
pub(in crate::dataset) const CHECKPOINT_VERSION: u32 = 1;

/// The checkpoint of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::dataset) struct Checkpoint {
    pub checkpoint_version: u32,
    pub run_id: String,
    /// Sealings that a manifest may lack.
    pub sealings: Vec<Sealing>,
    /// Parts that are to be removed. Their rows are no longer part of the run.
    pub dropped: Vec<String>,
    /// Counts of the rows of all sealings, for the manifest.
    pub counted: Totals,
    /// The same without the rows that a resumed run drops.
    pub kept: Totals,
}

/// The parts of one sealing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::dataset) struct Sealing {
    /// By table.
    pub parts: Named<Part>,
}

impl Checkpoint {
    /// Replaces the checkpoint of a run.
    pub fn write(&self, folder: &RunFolder, disk: &Disk) -> Result<(), DatasetError> {
        let mut text = serde_json::to_vec(self).expect("numbers, texts and lists");
        text.push(b'\n');
        let temporary = folder.temporary(super::layout::CHECKPOINT);
        files::replace(temporary, folder.checkpoint(), &text, disk)?;
        Ok(())
    }

    /// Reads the checkpoint of a run. `None` if there is no such file, which is the case until the first sealing.
    pub fn read(path: &Path) -> Result<Option<Self>, DatasetError> {
        let text = match files::read_regular(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DatasetError::file("read", path)(error)),
        };
        let refused = |why: String| DatasetError::Checkpoint {
            path: path.to_owned(),
            why,
        };
        let version: Version =
            serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if version.checkpoint_version != CHECKPOINT_VERSION {
            return Err(refused(format!(
                "its checkpoint_version is {}, and this program knows version {CHECKPOINT_VERSION}",
                version.checkpoint_version
            )));
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| refused(error.to_string()))
    }
}

#[derive(Deserialize)]
struct Version {
    checkpoint_version: u32,
}
