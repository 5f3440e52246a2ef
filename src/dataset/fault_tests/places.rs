//! The calls of a run that fail, one after the other.

use super::Call;

/// The output of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `-o OUT`
    Directory,
    /// `-o OUT.csv`
    File,
    /// `-o -`, or another stream.
    Stream,
    /// `--pcap OUT.pcap`
    Pcap,
}

/// A call that fails from some time of the run on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub kind: Kind,
    pub call: Call,
    /// The call as the table names it.
    pub name: &'static str,
    /// Only calls on paths with this text fail.
    pub on: &'static str,
    /// How many of them succeed before.
    pub after: usize,
}

const fn place(
    kind: Kind,
    call: Call,
    name: &'static str,
    on: &'static str,
    after: usize,
) -> Place {
    Place {
        kind,
        call,
        name,
        on,
        after,
    }
}

/// The parts of the sealing in the middle of the run.
const PART: &str = "-00002.parquet";
const MANIFEST: &str = "manifest.json";
const CHECKPOINT: &str = "checkpoint.json";

use Call::{Close, Lock, MakeDirectory, Open, Rename, Sync, SyncDirectory, Write};
use Kind::{Directory, File, Pcap, Stream};

pub(super) const PLACES: &[Place] = &[
    place(Directory, MakeDirectory, "mkdir of the dataset", "", 0),
    place(Directory, MakeDirectory, "mkdir of a partition", "hops", 0),
    place(Directory, Open, "open of the lock", ".lock", 0),
    place(Directory, Open, "open of a part", PART, 0),
    place(Directory, Lock, "flock of the dataset", "", 0),
    place(Directory, Write, "write of a part", PART, 0),
    place(Directory, Write, "write of the manifest", MANIFEST, 4),
    place(Directory, Write, "write of the checkpoint", CHECKPOINT, 2),
    place(Directory, Sync, "fsync of a part", PART, 0),
    place(Directory, Sync, "fsync of the manifest", MANIFEST, 4),
    place(Directory, Sync, "fsync of the checkpoint", CHECKPOINT, 2),
    place(Directory, SyncDirectory, "fsync of the directory", "", 0),
    place(Directory, SyncDirectory, "fsync of a partition", "hops", 0),
    place(Directory, Rename, "rename of a part", PART, 0),
    place(Directory, Rename, "rename of the checkpoint", CHECKPOINT, 2),
    place(Directory, Rename, "rename of the manifest", MANIFEST, 4),
    place(File, Open, "open", "", 0),
    place(File, Lock, "flock", "", 0),
    place(File, Write, "write", "", 4),
    place(File, Sync, "fsync", "", 0),
    place(File, SyncDirectory, "fsync of its directory", "", 0),
    place(File, Rename, "rename", "", 0),
    place(File, Rename, "rename of the manifest", MANIFEST, 0),
    place(Stream, Write, "write", "", 4),
    place(Stream, Sync, "fsync", "", 0),
    place(Stream, Close, "close", "", 0),
    place(Pcap, Open, "open", "", 0),
    place(Pcap, Lock, "flock", "", 0),
    place(Pcap, Write, "write", "", 2),
    place(Pcap, Sync, "fsync", "", 0),
    place(Pcap, Rename, "rename", "", 0),
];
