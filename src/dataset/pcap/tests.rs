//! Capture files as they are written, cut and ended.

use std::fs::{self, File};

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
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0,
            0, 0
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
