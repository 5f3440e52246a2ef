//! The sessions of a run: a run that was resumed has several.

use serde::{Deserialize, Serialize};

use super::{Counts, Packets, RunState, time_text};
use crate::model::{KernelDrops, Time};

/// One process that probed for a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// 0 for the first one.
    pub number: u32,
    /// The version of the program.
    pub tool_version: String,
    /// Its start.
    #[serde(with = "time_text")]
    pub started_at: Option<Time>,
    /// Its end. `None` while it runs, and if it was killed.
    #[serde(with = "time_text")]
    pub ended_at: Option<Time>,
    /// How it ended.
    pub state: RunState,
    /// Why it ended early. `None` if it did not.
    pub exit_reason: Option<String>,
    /// The number of its first probe. Probes of other sessions have numbers outside of its block.
    pub first_probe_id: u64,
    /// Rows that it removed when it began, by table: those of targets whose traces the session before had to interrupt. It probed these
    /// targets again.
    pub dropped_rows: Counts,
    /// Counts of packets.
    pub packets: Packets,
    /// Packets that were lost before the session read them.
    pub kernel_drops: KernelDrops,
}

impl Packets {
    /// The counts of both.
    #[must_use]
    pub(in crate::dataset) fn plus(&self, other: &Packets) -> Packets {
        let names = self.discarded.iter().chain(other.discarded.iter());
        let mut discarded: Vec<(&str, u64)> = Vec::new();
        for (name, count) in names {
            match discarded.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => discarded.push((name, *count)),
            }
        }
        Packets {
            received: self.received + other.received,
            discarded: discarded.into_iter().collect(),
        }
    }
}

/// The drops of both. A figure that one of them does not know is that of the other.
pub(super) fn add_drops(one: KernelDrops, other: KernelDrops) -> KernelDrops {
    let add = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (known, None) | (None, known) => known,
    };
    KernelDrops {
        receive_buffer: add(one.receive_buffer, other.receive_buffer),
        lab_device: add(one.lab_device, other.lab_device),
    }
}
