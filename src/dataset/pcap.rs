//! Packets as received, in the file format of tcpdump and Wireshark.
//!
//! The format is pcap with nanosecond timestamps (magic 0xa1b23c4d, little-endian) and link type RAW (101: packets begin with the IP header):
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>.
//!
//! | event | the file |
//! |---|---|
//! | the run ends | gets its final name |
//! | an error | holds all packets before the error, whole |
//! | the run is killed | stays under the temporary name `.NAME.partial`; it is readable, but may end within a packet |
//!
//! If the path is a link, the file behind it is replaced. A stream, such as a FIFO that Wireshark reads, is written in place. If its reader
//! closes it, packets are no longer written, and nothing else changes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::files::{self, Disk, Stream, TemporaryFile};
use super::place::{self, Place};
use super::{DatasetError, Remains};

const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
/// The largest packet.
const SNAP_LENGTH: u32 = 65_535;
const LINK_RAW: u32 = 101;

const RECORD_HEADER: usize = 16;

const NANOS: u64 = 1_000_000_000;

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// Packets.
    pub packets: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether the reader closed the stream early, so that later packets are missing.
    pub reader_left: bool,
}

/// A file or stream of packets that is being written. If it is dropped without [`seal`](PcapFile::seal), a file keeps its temporary name, or
/// is removed if it holds no packet.
#[derive(Debug)]
pub struct PcapFile {
    target: Target,
    /// The file's final name, or the name of the stream.
    subject: PathBuf,
    /// What was written completely.
    kept: Kept,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Target {
    File(TemporaryFile),
    Stream(Stream),
}

impl PcapFile {
    /// Starts a file for `path`. An existing file is replaced when this one is sealed. A stream is written in place: opening a FIFO waits for its
    /// reader.
    ///
    /// # Errors
    /// [`DatasetError::InUse`] if another run writes there, [`DatasetError::Unfit`] and [`DatasetError::BrokenOff`].
    pub fn create(path: &Path) -> Result<Self, DatasetError> {
        Self::create_on(&Disk::default(), path)
    }

    pub(super) fn create_on(disk: &Disk, path: &Path) -> Result<Self, DatasetError> {
        let (target, subject) = match place::look(path).map_err(failed("create", path))? {
            Place::File(real) => {
                let temporary = files::beside(&real, ".", ".partial");
                let file = TemporaryFile::create_locked(temporary, real.clone(), disk)
                    .map_err(|error| error.leaving(Remains::NoPackets))?;
                (Target::File(file), real)
            }
            Place::Stream(stream) => {
                let stream = stream.open().map_err(failed("open", path))?;
                let stream = Stream::new(stream, path, disk);
                (Target::Stream(stream), path.to_owned())
            }
            Place::Unfit(kind) => {
                let path = path.to_owned();
                return Err(DatasetError::Unfit { path, kind });
            }
        };
        let mut pcap = PcapFile {
            target,
            subject,
            kept: Kept {
                packets: 0,
                bytes: 0,
                reader_left: false,
            },
            buffer: header(),
        };
        let (written, result) = pcap.put();
        pcap.kept.bytes = written as u64;
        pcap.unless_left(result).map_err(failed("create", path))?;
        Ok(pcap)
    }

    /// Writes packets and passes them to the operating system. Each starts at its IP header, and has a timestamp in nanoseconds of the wall
    /// clock.
    ///
    /// # Errors
    /// [`DatasetError::BrokenOff`]. The file then holds as many of these packets as there was room for.
    pub fn write<'a>(
        &mut self,
        packets: impl Iterator<Item = (&'a [u8], u64)>,
    ) -> Result<(), DatasetError> {
        if self.kept.reader_left {
            return Ok(());
        }
        self.buffer.clear();
        for (packet, stamp) in packets {
            put_record(&mut self.buffer, packet, stamp);
        }
        let (written, result) = self.put();
        let (packets, bytes) = whole_records(&self.buffer[..written]);
        self.kept.packets += packets;
        self.kept.bytes += bytes;
        if let Target::File(file) = &mut self.target {
            if result.is_err() {
                // If this fails, the beginning of a packet remains at the end. Readers can handle that as well.
                let _ = file.cut(self.kept.bytes);
            }
            if self.kept.packets > 0 {
                file.kept_length().mark_at(self.kept.bytes);
            }
        }
        self.unless_left(result)
            .map_err(failed("write", &self.subject))
    }

    /// What the user should know about the file system.
    pub fn notices(&self) -> Vec<String> {
        match &self.target {
            Target::File(file) => file.notices(),
            Target::Stream(_) => Vec::new(),
        }
    }

    /// Writes the buffer. Returns how many bytes were written, also after an error.
    fn put(&mut self) -> (usize, io::Result<()>) {
        let target: &mut dyn Write = match &mut self.target {
            Target::File(file) => file,
            Target::Stream(stream) => stream,
        };
        let mut written = 0;
        while written < self.buffer.len() {
            match target.write(&self.buffer[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// If the reader closed the stream, records that and ignores the error.
    fn unless_left(&mut self, result: io::Result<()>) -> io::Result<()> {
        match (&self.target, result) {
            (Target::Stream(_), Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.kept.reader_left = true;
                Ok(())
            }
            (_, result) => result,
        }
    }

    /// Syncs the file and gives it its final name. A stream is synced and closed.
    ///
    /// # Errors
    /// [`DatasetError::BrokenOff`].
    pub fn seal(self) -> Result<Kept, DatasetError> {
        match self.target {
            Target::File(file) => {
                let temporary = files::beside(&self.subject, ".", ".partial");
                let subject = &self.subject;
                file.seal().map_err(|error| {
                    let left = match &error {
                        // The kernel may have dropped what it could not write.
                        DatasetError::File {
                            operation: "sync",
                            path,
                            ..
                        } if path == subject => Remains::UnsyncedPackets(temporary),
                        _ if temporary.exists() => Remains::AllPackets(temporary),
                        _ => Remains::Packets,
                    };
                    error.leaving(left)
                })?;
            }
            // The end of a stream that its reader closed fails with that error again.
            Target::Stream(_) if self.kept.reader_left => {}
            Target::Stream(stream) => stream.close().map_err(failed("write", &self.subject))?,
        }
        Ok(self.kept)
    }
}

/// Adds the operation and the file or stream to an I/O error.
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatasetError {
    let error = DatasetError::file(operation, path);
    let left = match operation {
        "write" => Remains::Packets,
        _ => Remains::NoPackets,
    };
    move |source| error(source).leaving(left)
}

fn header() -> Vec<u8> {
    let mut header = Vec::with_capacity(24);
    header.extend_from_slice(&MAGIC.to_le_bytes());
    header.extend(VERSION.iter().flat_map(|part| part.to_le_bytes()));
    // Reserved.
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
    header.extend_from_slice(&LINK_RAW.to_le_bytes());
    header
}

fn put_record(to: &mut Vec<u8>, packet: &[u8], stamp: u64) {
    let captured = packet.len() as u32;
    for word in [
        (stamp / NANOS) as u32,
        (stamp % NANOS) as u32,
        captured,
        captured.max(length_on_the_wire(packet)),
    ] {
        to.extend_from_slice(&word.to_le_bytes());
    }
    to.extend_from_slice(packet);
}

/// The number of whole records at the start of `bytes`, and their length in bytes.
fn whole_records(bytes: &[u8]) -> (u64, u64) {
    let (mut packets, mut at) = (0, 0);
    while let Some(captured) = bytes.get(at + 8..at + 12) {
        let captured = u32::from_le_bytes([captured[0], captured[1], captured[2], captured[3]]);
        let end = at + RECORD_HEADER + captured as usize;
        if end > bytes.len() {
            break;
        }
        (packets, at) = (packets + 1, end);
    }
    (packets, at as u64)
}

/// The length in the IP header, because a receiver may have truncated the packet. 0 if the header has none.
fn length_on_the_wire(packet: &[u8]) -> u32 {
    let word = |at: usize| match packet.get(at..at + 2) {
        Some(bytes) => u32::from(u16::from_be_bytes([bytes[0], bytes[1]])),
        None => 0,
    };
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => word(2),
        Some(6) => 40 + word(4),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
