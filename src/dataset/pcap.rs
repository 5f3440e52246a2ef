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

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::files::{self, Disk, TemporaryFile};
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
    Stream(File),
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
                    .map_err(|error| error.leaving(Remains::Packets))?;
                (Target::File(file), real)
            }
            Place::Stream(stream) => {
                let stream = stream.open().map_err(failed("open", path))?;
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

    /// Syncs the file and gives it its final name. A stream needs neither.
    ///
    /// # Errors
    /// [`DatasetError::BrokenOff`].
    pub fn seal(self) -> Result<Kept, DatasetError> {
        if let Target::File(file) = self.target {
            file.seal()
                .map_err(|error| error.leaving(Remains::Packets))?;
        }
        Ok(self.kept)
    }
}

/// Adds the operation and the file or stream to an I/O error.
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatasetError {
    let error = DatasetError::file(operation, path);
    move |source| error(source).leaving(Remains::Packets)
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
mod tests {
    use std::fs;

    use super::*;

    const STAMP: u64 = 1_772_323_200_123_456_789;

    fn packet(total: u16, captured: usize) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.resize(captured, 7);
        packet
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("replies.pcap");
        let mut file = PcapFile::create(&path).unwrap();
        assert!(!path.exists());
        let (whole, cut) = (packet(56, 56), packet(3_000, 2_048));
        let packets = [(&whole[..], STAMP), (&cut[..], STAMP + NANOS)];
        file.write(packets.into_iter()).unwrap();
        let kept = file.seal().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((kept.packets, kept.bytes), (2, bytes.len() as u64));
        // Written by hand from the format's description.
        assert_eq!(
            bytes[..24],
            [
                0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101,
                0, 0, 0
            ]
        );
        let words = |at: usize| {
            [0, 4, 8, 12]
                .map(|word| u32::from_le_bytes(bytes[at + word..at + word + 4].try_into().unwrap()))
        };
        assert_eq!(words(24), [1_772_323_200, 123_456_789, 56, 56]);
        assert_eq!(bytes[40..96], whole);
        assert_eq!(words(96), [1_772_323_201, 123_456_789, 2_048, 3_000]);
        assert_eq!(bytes[112..], cut);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_leaves_whole_packets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("replies.pcap");
        let (disk, _room) = Disk::of_size(24 + 2 * 72);
        let mut file = PcapFile::create_on(&disk, &path).unwrap();
        let packet = packet(56, 56);
        let twice = || [(&packet[..], STAMP); 2].into_iter();
        file.write(twice()).unwrap();
        let told = file.write(twice()).unwrap_err().to_string();
        assert!(
            told.contains("replies.pcap") && told.contains("--pcap") && told.contains("free space"),
            "{told}"
        );
        let kept = file.seal().unwrap();
        assert_eq!((kept.packets, kept.bytes), (2, 24 + 2 * 72));
        assert_eq!(fs::read(&path).unwrap().len(), 24 + 2 * 72);
    }

    #[test]
    fn a_disk_that_is_full_within_a_packet_keeps_those_before() {
        let packet = packet(56, 56);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("replies.pcap");
        for seals in [true, false] {
            // Two packets fit, and the beginning of the third.
            let (disk, room) = Disk::of_size(24 + 2 * 72 + 30);
            let mut file = PcapFile::create_on(&disk, &path).unwrap();
            let thrice = || [(&packet[..], STAMP); 3].into_iter();
            file.write(thrice()).unwrap_err();
            let partial = directory.path().join(".replies.pcap.partial");
            let written = fs::read(&partial).unwrap();
            assert_eq!(whole_records(&written[24..]), (2, 2 * 72));
            assert_eq!(written.len(), 24 + 2 * 72);
            // If space becomes free again, the next packets follow the last whole one.
            room.fetch_add(100, std::sync::atomic::Ordering::Relaxed);
            file.write(thrice().take(1)).unwrap();
            let at = match seals {
                true => {
                    assert_eq!(file.seal().unwrap().packets, 3);
                    &path
                }
                false => {
                    drop(file);
                    &partial
                }
            };
            let bytes = fs::read(at).unwrap();
            assert_eq!(whole_records(&bytes[24..]), (3, bytes.len() as u64 - 24));
            fs::remove_file(at).unwrap();
        }
    }

    #[test]
    fn a_file_without_room_for_a_packet_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        for room in [10, 24 + 10] {
            let (disk, room) = Disk::of_size(room);
            let started = PcapFile::create_on(&disk, &directory.path().join("replies.pcap"));
            let packet = packet(56, 56);
            match started {
                Ok(mut file) => file.write([(&packet[..], STAMP)].into_iter()).unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
            assert!(room.load(std::sync::atomic::Ordering::Relaxed) >= 10);
        }
    }

    #[test]
    fn records_are_counted_as_far_as_they_are_whole() {
        let mut records = Vec::new();
        for length in [56, 0, 56] {
            put_record(&mut records, &packet(56, 56)[..length], STAMP);
        }
        let ends = [72, 88, 160];
        for cut in 0..=records.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let bytes = whole.checked_sub(1).map_or(0, |last| ends[last]);
            assert_eq!(
                whole_records(&records[..cut]),
                (whole as u64, bytes as u64),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_place_in_use_or_taken_by_a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("replies.pcap");
        let first = PcapFile::create(&path).unwrap();
        assert!(matches!(
            PcapFile::create(&path),
            Err(DatasetError::InUse(_))
        ));
        drop(first);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let refused = |path: &Path| PcapFile::create(path).unwrap_err().to_string();
        let told = refused(&directory.path().join("no/such/file"));
        assert!(told.contains("in a directory that is there"), "{told}");
        let told = refused(directory.path());
        assert!(told.contains("is a directory"), "{told}");
    }

    #[test]
    fn a_link_stays_and_its_file_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("data")).unwrap();
        std::os::unix::fs::symlink("data/night.pcap", at("replies.pcap")).unwrap();
        PcapFile::create(&at("replies.pcap"))
            .unwrap()
            .seal()
            .unwrap();
        assert!(at("replies.pcap").is_symlink());
        assert_eq!(fs::read(at("data/night.pcap")).unwrap(), header());
        for (place, files) in [("", 2), ("data", 1)] {
            assert_eq!(fs::read_dir(at(place)).unwrap().count(), files);
        }
    }

    /// What the reader gets if it closes the stream after `most` bytes, and the number of packets that the writer reports.
    fn through_a_fifo(most: u64) -> (Vec<u8>, Kept) {
        use std::io::Read;
        use std::os::unix::fs::FileTypeExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let read = path.clone();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let stream = File::open(read).unwrap();
            stream.take(most).read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut file = PcapFile::create(&path).unwrap();
        let packet = packet(56, 56);
        // More than a pipe holds (pipe(7)), so that a closed pipe is noticed.
        for _ in 0..1_000 {
            let twice = [(&packet[..], STAMP); 2];
            file.write(twice.into_iter()).unwrap();
        }
        let kept = file.seal().unwrap();
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        (reader.join().unwrap(), kept)
    }

    #[test]
    fn a_fifo_gets_every_packet_until_its_reader_leaves() {
        let (bytes, kept) = through_a_fifo(u64::MAX);
        assert_eq!((kept.packets, kept.bytes), (2_000, bytes.len() as u64));
        assert!(!kept.reader_left);
        assert_eq!(whole_records(&bytes[24..]).0, 2_000);
        let (_, kept) = through_a_fifo(100);
        assert!(kept.reader_left && kept.packets < 2_000, "{kept:?}");
    }
}
