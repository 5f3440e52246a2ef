//! `--pcap`: every packet that a survey received, in a file.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::host::World;
use super::lab::{config, network, repository, survey};
use super::program::{Started, pathsurvey, run};
use crate::rows::{Dataset, manifest, verified_parts};
use crate::support::{Ignored, Outcome};

/// A packet of a file: its stamp in µs since the epoch, and its bytes.
type Packet = (i64, Vec<u8>);

/// Reads a file of packets, by the format's description; every byte must belong to one.
fn read(path: &Path) -> Vec<Packet> {
    let bytes = fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    // Magic, link type.
    assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 101));
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let [seconds, nanos, captured, length] = [0, 4, 8, 12].map(|field| word(at + field));
        assert!(nanos < 1_000_000_000 && captured == length);
        let begin = at + 16;
        at = begin + captured as usize;
        let stamp = i64::from(seconds) * 1_000_000 + i64::from(nanos / 1_000);
        packets.push((stamp, bytes[begin..at].to_vec()));
    }
    packets
}

/// The packets are the network's, to the byte.
pub fn every_packet() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("replies.pcap");
    let mut config = config(&["198.18.0.0/24", "198.18.3.0/24"]);
    config.timeout = Duration::from_secs(1);
    config.pcap = Some(path.clone());
    let surveyed = survey(network("loss.toml"), config)?;
    surveyed.account();
    let dataset = &surveyed.dataset;
    let packets = read(&path);
    assert_eq!(packets.len() as u64, dataset.count("/packets/received"));
    assert_eq!(
        dataset.count("/run/setup/pcap/packets"),
        packets.len() as u64
    );
    assert_eq!(
        dataset.count("/run/setup/pcap/bytes"),
        fs::metadata(&path).unwrap().len()
    );
    let mut kept: Vec<&[u8]> = packets.iter().map(|(_, packet)| &packet[..]).collect();
    let mut delivered: Vec<&[u8]> = surveyed
        .log
        .iter()
        .flat_map(|recorded| &recorded.deliveries)
        .map(|delivery| &delivery.packet[..])
        .collect();
    kept.sort_unstable();
    delivered.sort_unstable();
    assert!(kept == delivered, "{} and {}", kept.len(), delivered.len());
    // Duplicates and late ones are rows, too: a row for each packet.
    let replies = dataset.hops.iter().filter(|row| row.reply.is_some());
    assert_eq!(replies.count(), packets.len());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let hour_ago = (now.as_secs() - 3_600) as i64 * 1_000_000;
    let today = hour_ago..=now.as_micros() as i64;
    assert!(packets.iter().all(|(stamp, _)| today.contains(stamp)));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    Ok(())
}

/// An interrupted survey's file is whole, and has what the manifest says.
pub fn interrupted() -> Outcome {
    let world = World::start(&network("generated-clean.toml"))?;
    let directory = tempfile::tempdir().unwrap();
    let (night, path) = (
        directory.path().join("night"),
        directory.path().join("replies.pcap"),
    );
    let list = repository().join("sample-targets/lab.csv");
    let mut command = world.survey(
        &night,
        &["--rate", "3k", "-w", "1", "--seal-interval", "0.2"],
    );
    command.arg("-i").arg(list).arg("--pcap").arg(&path);
    let mut survey = Started::new(command);
    survey.until("a part was sealed", || {
        let manifest = manifest(&night)?;
        let parts = manifest["tables"]["hops"]["parts"].as_array()?.len();
        (parts >= 1).then_some(())
    });
    assert!(!path.exists());
    survey.signal("INT");
    assert_eq!(survey.wait().code(), Some(130));
    let (log, _) = world.stop();
    let dataset = Dataset::read(&night);
    assert_eq!(dataset.manifest["state"], "interrupted");
    let packets = read(&path);
    assert_eq!(packets.len() as u64, dataset.count("/packets/received"));
    assert!(packets.len() >= log.len() && !log.is_empty());
    Ok(())
}

/// The disk for the packets fills up: the survey ends, says why, and everything that was written is whole.
pub fn full_disk() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::create_dir(place("small")).unwrap();
    // The small disk is seen by these programs only, and gone with the last of them.
    let script = "mount -t tmpfs -o size=256k none \"$1\" || exit 77\n\
                  \"$2\" survey --lab -i \"$3\" -o \"$4\" --pcap \"$1/replies.pcap\"\n\
                  code=$?; cp \"$1/replies.pcap\" \"$5\"; ls -A \"$1\" >\"$6\"; exit $code";
    let program = pathsurvey(&[]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(place("small"))
        .arg(program)
        .arg(repository().join("sample-targets/lab.csv"))
        .arg(place("night"))
        .arg(place("copy.pcap"))
        .arg(place("listing"));
    let (code, _, told) = run(command);
    if code == Some(77) {
        return Err(Ignored(told));
    }
    assert_eq!(code, Some(1), "{told}");
    let cause = "cannot write";
    assert!(
        told.contains(cause) && told.contains("replies.pcap") && told.contains("--pcap"),
        "{told}"
    );
    let left = manifest(&place("night")).unwrap();
    assert_eq!(left["state"], "failed");
    assert!(
        left["exit_reason"].as_str().unwrap().contains(cause),
        "{left}"
    );
    verified_parts(&place("night"), &left, "hops");
    let packets = read(&place("copy.pcap"));
    assert!(!packets.is_empty());
    assert_eq!(
        fs::read_to_string(place("listing")).unwrap(),
        "replies.pcap\n"
    );
    Ok(())
}
