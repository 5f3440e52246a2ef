//! What stands next to us: hosts on the link, gateways and our own kernel, when they do not answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use pathsurvey::lab::driver::enter_namespace;
use serde_json::Value;

use super::host::{World, allowed};
use super::lab::network;
use super::program::{pathsurvey, run};
use crate::support::{Ignored, Outcome};

/// Runs `ip` with the words of each line.
pub fn ip(lines: &[&str]) -> Outcome {
    for line in lines {
        let status = Command::new("ip")
            .args(line.split_whitespace())
            .status()
            .map_err(|error| Ignored(format!("ip cannot be run: {error}")))?;
        assert!(status.success(), "ip {line}");
    }
    Ok(())
}

/// Two links on which hosts are asked for and none answers.
const LINKS: [&str; 10] = [
    "link add near0 type veth peer name far0",
    "link add near1 type veth peer name far1",
    "link set far0 addrgenmode none up",
    "link set far1 addrgenmode none up",
    "link set near0 addrgenmode none up",
    "link set near1 addrgenmode none up",
    "addr add 10.99.0.1/16 dev near0",
    "addr add 10.98.0.1/16 dev near1",
    "addr add fd99::1/64 dev near0 nodad",
    "addr add fd98::1/64 dev near1 nodad",
];

/// Exit code, rows, manifest and messages of a survey.
struct Survey {
    rows: Vec<Value>,
    manifest: Value,
    told: String,
}

fn survey(options: &[&str]) -> Survey {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hops.jsonl");
    let mut arguments = vec!["survey", "--allow-special", "-o", out.to_str().unwrap()];
    arguments.extend(["--late-window", "1", "-c", "1"]);
    arguments.extend(options);
    let (code, _, told) = run(pathsurvey(&arguments));
    assert_eq!(code, Some(0), "{options:?}: {told}");
    let rows = std::fs::read_to_string(&out).unwrap();
    let manifest = std::fs::read(Path::new(&format!("{}.manifest.json", out.display()))).unwrap();
    Survey {
        rows: rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        manifest: serde_json::from_slice(&manifest).unwrap(),
        told,
    }
}

/// How many rows have which status and reason.
fn endings<'a>(rows: impl Iterator<Item = &'a Value>) -> BTreeMap<String, usize> {
    let mut endings = BTreeMap::new();
    for row in rows {
        let reason = row["reason"].as_str().unwrap_or("-");
        let ending = format!("{} {reason}", row["status"].as_str().unwrap());
        *endings.entry(ending).or_default() += 1;
    }
    endings
}

/// The gateways and two hosts on the link do not answer: our kernel says so, from whichever of our addresses.
pub fn our_own_kernel() -> Outcome {
    allowed(enter_namespace())?;
    ip(&LINKS)?;
    ip(&[
        "route add default via 10.99.0.9",
        "-6 route add default via fd99::9",
    ])?;
    let targets = ["198.18.0.1", "10.99.0.50", "2001:db8::1", "fd99::50"];
    let transports = [
        ["udp", "raw"],
        ["icmp", "raw"],
        ["tcp", "raw"],
        ["udp", "dgram"],
        ["icmp", "dgram"],
    ];
    let sources: [&[&str]; 3] = [
        // The probe's own.
        &[],
        // That of another interface.
        &[
            "route replace local 10.99.0.1 dev near0 table local src 10.98.0.1",
            "-6 route del local fd99::1 dev near0 table local",
            "-6 route add local fd99::1 dev near0 table local src fd98::1",
        ],
        &["route replace local 10.99.0.1 dev near0 table local src 127.0.0.1"],
    ];
    for (nth, changes) in sources.into_iter().enumerate() {
        ip(changes)?;
        // The kernel gives up after three seconds: before the timeout here, and after it in the last round.
        let timeout = if nth == 2 { "2" } else { "5" };
        for [protocol, transport] in transports {
            let options = [
                "--protocol",
                protocol,
                "--transport",
                transport,
                "-w",
                timeout,
            ];
            let Survey {
                rows,
                manifest,
                told,
            } = survey(&[&options[..], &targets].concat());
            let context = format!("{protocol} {transport} {nth}: {told}");
            for target in targets {
                let mut of = rows.iter().filter(|row| row["destination"] == target);
                assert!(of.clone().count() > 0, "{target}: {context}");
                assert!(
                    of.all(|row| row["responder"].is_null()),
                    "{target}: {context}"
                );
            }
            if nth < 2 {
                let expected = BTreeMap::from([("send_error host_unreachable".to_owned(), 4)]);
                assert_eq!(endings(rows.iter()), expected, "{context}");
                assert_eq!(manifest["packets"]["discarded"]["local"], 4, "{context}");
            } else {
                let told_late = endings(rows.iter());
                assert!(
                    told_late.contains_key("send_error host_unreachable"),
                    "{told_late:?} {context}"
                );
            }
        }
    }
    Ok(())
}

/// Thousands of hosts that are not there, and the lab's targets behind another interface.
fn absent_hosts(transport: &str) -> Outcome {
    let size: u32 = std::fs::read_to_string("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1_024);
    if size > 10_000 {
        return Err(Ignored(format!(
            "gc_thresh3 is {size}: more hosts than this test has"
        )));
    }
    let world = World::start(&network("clean.toml"))?;
    ip(&LINKS)?;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    // The kernel takes as many as its table has places in six seconds, and a probe waits for ten: this is more than that.
    let count = 6 * size;
    let hosts = (0..count).map(|nth| std::net::Ipv4Addr::from_bits(0x0A63_0100 + nth));
    let lines: Vec<String> = hosts.map(|host| host.to_string()).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    let options = [
        "198.18.0.0/24",
        "-i",
        list.to_str().unwrap(),
        "--transport",
        transport,
        "-r",
        "4000",
        "-w",
        "4",
        "--window",
        "50000",
    ];
    let Survey {
        rows,
        manifest,
        told,
    } = survey(&options);
    world.stop();
    // The kernel's table is the machine's: whoever comes next must find it empty.
    ip(&["link del near0"])?;
    let is_routed = |row: &&Value| row["destination"].as_str().unwrap().starts_with("198.18.");
    let routed = endings(rows.iter().filter(is_routed));
    // Everybody behind the other interface is reached, and nothing of that was held back for good.
    let reached = rows.iter().filter(is_routed);
    let reached = reached.filter(|row| row["responder"] == row["destination"] && row["ttl"] == 5);
    assert_eq!(reached.count(), 256, "{routed:?}\n{told}");
    assert!(
        routed.keys().all(|ending| ending == "replied -"),
        "{routed:?}"
    );
    // Of the others nobody answers. Our kernel tells of a thousand a second at most.
    let absent = endings(rows.iter().filter(|row| !is_routed(row)));
    let known = [
        "send_error host_unreachable",
        "send_error neighbour_table_full",
        "send_error neighbour_queue_full",
        "timeout -",
    ];
    assert!(
        absent.keys().all(|ending| known.contains(&&**ending)),
        "{absent:?}"
    );
    // Every host has its end.
    let distinct: std::collections::BTreeSet<&str> = rows
        .iter()
        .filter(|row| !is_routed(row))
        .map(|row| row["destination"].as_str().unwrap())
        .collect();
    assert_eq!(distinct.len(), count as usize);
    // The first probes of a table's worth of hosts are under way while the others wait; what waits too long is named.
    assert!(
        absent.contains_key("send_error neighbour_table_full"),
        "{absent:?}"
    );
    let not_sent = manifest["run"]["not_sent"].as_array().unwrap();
    assert!(
        not_sent
            .iter()
            .any(|entry| entry["reason"].as_str().unwrap() == "neighbour_table_full"),
        "{not_sent:?}"
    );
    let warned = told
        .lines()
        .any(|line| line.starts_with("warning: ") && line.contains("probes had to wait"));
    assert!(warned, "{told}");
    let named = told.lines().any(|line| {
        line.contains("not sent")
            && line.contains("hosts on the link")
            && line.contains("gc_thresh3")
    });
    assert!(named, "{told}");
    Ok(())
}

pub fn absent_hosts_with_raw_sockets() -> Outcome {
    absent_hosts("raw")
}

pub fn absent_hosts_with_ordinary_sockets() -> Outcome {
    absent_hosts("dgram")
}

/// A machine whose only IPv6 address is that of its link.
pub fn no_ipv6_address() -> Outcome {
    allowed(enter_namespace())?;
    ip(&[
        "link add near0 type veth peer name far0",
        "link set far0 addrgenmode none up",
        "link set near0 addrgenmode none up",
        "addr add fe80::99/64 dev near0 nodad",
        "-6 route add default dev near0",
    ])?;
    for transport in ["raw", "dgram"] {
        let options = ["--transport", transport, "-w", "1"];
        let targets = ["2001:db8::1", "2001:db8::2", "fd00::1", "127.0.0.1"];
        let Survey { rows, told, .. } = survey(&[&options[..], &targets].concat());
        let warning = told
            .lines()
            .find(|line| line.starts_with("warning: all 3 IPv6"));
        let warning = warning.unwrap_or_else(|| panic!("{told}"));
        assert!(
            warning.contains("link-local")
                && warning.contains("a global IPv6 address")
                && warning.contains("-4"),
            "{warning}"
        );
        let six = rows.iter().filter(|row| row["ip_version"] == 6);
        let expected = BTreeMap::from([("send_error no_source_address".to_owned(), 3)]);
        assert_eq!(endings(six), expected, "{told}");
        let mut four = rows.iter().filter(|row| row["ip_version"] == 4);
        assert!(four.any(|row| row["responder"] == "127.0.0.1"), "{told}");
    }
    Ok(())
}

/// Our own kernel answers as a target.
pub fn our_own_addresses() -> Outcome {
    allowed(enter_namespace())?;
    ip(&LINKS)?;
    let targets = ["127.0.0.9", "::1", "10.99.0.1", "10.98.0.1", "fd98::1"];
    for [protocol, transport] in [
        ["udp", "raw"],
        ["udp", "dgram"],
        ["icmp", "raw"],
        ["icmp", "dgram"],
        ["tcp", "raw"],
    ] {
        let options = ["--protocol", protocol, "--transport", transport];
        let Survey { rows, told, .. } = survey(&[&options[..], &targets].concat());
        for target in targets {
            let of = rows.iter().filter(|row| row["destination"] == target);
            let all = of.clone().count();
            let answered = of.filter(|row| row["responder"] == target).count();
            assert!(
                all > 0 && answered == all,
                "{protocol} {transport} {target}: {answered} of {all}, {told}"
            );
        }
    }
    Ok(())
}
