//! Firewall rules of the kernel's own, in the test's namespace: a survey tells before its first probe what they keep from it,
//! and nothing else; and what it tells is so.
//!
//! Rules for input stand between the kernel and raw sockets, through which root hears IPv4. IPv6 comes through a packet ring,
//! which hears packets before those rules: only what is dropped at the device is lost to it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::host::World;
use super::lab::network;
use super::program::{Started, run};
use crate::others::installed;
use crate::rows::{columns, manifest};
use crate::support::{Ignored, Outcome};

/// A target of each family, and the options that have a survey of them soon over, however much of it is silent.
const TARGETS: [&str; 2] = ["198.18.0.9", "2001:db8:1000::9"];
const SOON: [&str; 8] = ["-w", "0.5", "-q", "1", "-c", "0", "--late-window", "0.1"];

/// Stands for the rules of a host that lets in nothing but answers, on loopback neither.
const ANSWERS_ALONE: &str = "table inet t {
    chain in {
        type filter hook input priority 0; policy drop;
        ct state invalid drop
        ct state established,related accept
    }
}";

/// The test's namespace, with a network of both families in it.
fn world() -> Result<World, Ignored> {
    installed("nft", "--version", "nftables")?;
    World::start(&network("dual-stack.toml"))
}

/// Puts `rules` in the place of those that there are.
fn filter(rules: &str) {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("flush ruleset\n{rules}\n");
    nft.stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(nft.wait().unwrap().success(), "{rules}");
}

/// A chain with one rule, in a table of `family`.
fn chain(family: &str, hook: &str, rule: &str) -> String {
    format!("table {family} t {{\nchain in {{\ntype filter hook {hook} priority 0;\n{rule}\n}}\n}}")
}

/// One rule for what comes in, behind routing and before sockets.
fn on_input(rule: &str) -> String {
    chain("inet", "input", rule)
}

/// One rule for what comes in, at the devices.
fn at_the_devices(rule: &str) -> String {
    chain("netdev", "ingress devices = { lo, lab0 }", rule)
}

/// What a survey came to.
struct Survey {
    manifest: Value,
    /// The warnings, in the manifest and on standard error.
    warnings: Vec<String>,
    /// Address family and kind of every reply.
    replies: BTreeSet<(i64, String)>,
}

impl Survey {
    fn of(world: &World, options: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let night = place.path().join("night");
        let (code, _, told) = run(world.survey(&night, &[options, &SOON].concat()));
        assert_eq!(code, Some(0), "{told}");
        let manifest = manifest(&night).unwrap();
        let warnings: Vec<String> = manifest["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|warning| warning.as_str().unwrap().to_owned())
            .collect();
        for warning in &warnings {
            assert!(told.contains(warning), "{warning}: {told}");
        }
        let rows = columns(&night, &manifest, "hops", &["ip_version", "reply_kind"]);
        let answered = rows.iter().filter_map(|row| {
            let kind = row["reply_kind"].as_str()?.to_owned();
            Some((row["ip_version"].as_i64().unwrap(), kind))
        });
        let replies: BTreeSet<_> = answered.collect();
        Survey {
            manifest,
            warnings,
            replies,
        }
    }

    /// Checks that the warnings say these things and no others, one each.
    fn told(&self, expected: &[&[&str]]) {
        let Survey { warnings, .. } = self;
        assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
        for (warning, parts) in warnings.iter().zip(expected) {
            for part in *parts {
                assert!(warning.contains(part), "{part}: {warning}");
            }
        }
    }

    fn heard(&self, version: i64, kind: &str) -> bool {
        self.replies.contains(&(version, kind.to_owned()))
    }
}

/// How each protocol is asked for, and what its target answers.
const PROTOCOLS: [(&[&str], &str); 5] = [
    (&["--protocol", "udp"], "port_unreachable"),
    (&["--protocol", "icmp"], "echo_reply"),
    (&["--protocol", "tcp"], "rst"),
    (&["--protocol", "tcp", "--tcp-flags", "ack"], "rst"),
    (&["--protocol", "tcp", "--tcp-flags", "psh"], "rst"),
];

/// Surveys the targets of `families` with every protocol: nothing to warn of, and everything is heard.
fn everything_heard(world: &World, tracked: bool, families: &[i64]) {
    for (protocol, answer) in PROTOCOLS {
        let targets = families
            .iter()
            .map(|version| TARGETS[usize::from(*version == 6)]);
        let options: Vec<&str> = protocol.iter().copied().chain(targets).collect();
        let survey = Survey::of(world, &options);
        survey.told(&[]);
        for version in families {
            for kind in ["time_exceeded", answer] {
                assert!(survey.heard(*version, kind), "{options:?}: {kind}");
            }
        }
        let vantage = &survey.manifest["vantage"];
        assert_eq!(vantage["conntrack"], tracked, "{options:?}");
    }
}

/// No rules; then no `lo` to test over, then no IPv6.
pub fn without_rules() -> Outcome {
    let world = world()?;
    everything_heard(&world, false, &[4, 6]);
    everything_heard(&world, false, &[6]);
    installed("ip", "-V", "iproute2")?;
    let mut ip = Command::new("ip");
    let done = ip.args(["link", "set", "lo", "down"]).status().unwrap();
    assert!(done.success());
    everything_heard(&world, false, &[4, 6]);
    let mut ip = Command::new("ip");
    let done = ip.args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(done.success());
    std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    everything_heard(&world, false, &[4]);
    world.stop();
    Ok(())
}

/// Rules that take answers for what they are and let in nothing else.
pub fn answers_let_in() -> Outcome {
    let world = world()?;
    filter(ANSWERS_ALONE);
    everything_heard(&world, true, &[4, 6]);
    everything_heard(&world, true, &[6]);
    world.stop();
    Ok(())
}

/// What is dropped before it reaches the receiver is told, kind by kind.
pub fn what_is_dropped() -> Outcome {
    let world = world()?;
    let [four, six] = TARGETS;
    let exceeded = [
        "an ICMP time exceeded",
        "every router",
        "types 3, 11 and 12",
    ];
    let unreachable = ["an ICMP destination unreachable", "every target"];

    filter(&on_input("icmp type time-exceeded drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&exceeded]);
    assert!(!survey.heard(4, "time_exceeded") && survey.heard(4, "port_unreachable"));
    assert!(survey.heard(6, "time_exceeded"));

    filter(&on_input("icmp type destination-unreachable drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&unreachable]);
    assert!(survey.heard(4, "time_exceeded") && !survey.heard(4, "port_unreachable"));

    filter(&on_input("icmp type echo-reply drop"));
    let survey = Survey::of(&world, &["--protocol", "icmp", four, six]);
    survey.told(&[&["an ICMP echo reply", "every target", "type 0"]]);
    assert!(survey.heard(4, "time_exceeded") && !survey.heard(4, "echo_reply"));
    assert!(survey.heard(6, "echo_reply"));
    // Nobody waits for it here.
    Survey::of(&world, &TARGETS).told(&[]);

    filter(&on_input("tcp dport 24000-24003 drop"));
    for flags in ["syn", "ack", "psh"] {
        let tcp = ["--protocol", "tcp", "--tcp-flags", flags, "--flows", "4"];
        let survey = Survey::of(&world, &[&tcp[..], &TARGETS].concat());
        survey.told(&[&[
            "a TCP reset over IPv4",
            "every target",
            "ports 24000 to 24003",
        ]]);
        assert!(survey.heard(4, "time_exceeded") && !survey.heard(4, "rst"));
        assert!(survey.heard(6, "rst"));
    }

    filter(&on_input("meta l4proto udp drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&[
        "a UDP datagram over IPv4",
        "answers with one",
        "port 24000 in",
    ]]);
    assert!(survey.heard(4, "port_unreachable"));

    filter(&on_input("meta l4proto icmp drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&unreachable, &exceeded]);
    assert!(survey.replies.iter().all(|(version, _)| *version == 6));
    world.stop();
    Ok(())
}

/// IPv6 is heard before the rules for input, so that these are nothing to warn of, and behind those at the devices.
pub fn what_is_dropped_in_ipv6() -> Outcome {
    let world = world()?;
    filter(&on_input("meta nfproto ipv6 drop"));
    for (options, answer) in PROTOCOLS {
        let survey = Survey::of(&world, &[options, &TARGETS].concat());
        survey.told(&[]);
        assert!(survey.heard(6, "time_exceeded") && survey.heard(6, answer));
    }
    let exceeded = ["an ICMPv6 time exceeded", "every router", "types 1 to 4"];
    let unreachable = ["an ICMPv6 destination unreachable", "every target"];

    filter(&at_the_devices("icmpv6 type time-exceeded drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&exceeded]);
    assert!(!survey.heard(6, "time_exceeded") && survey.heard(6, "port_unreachable"));
    assert!(survey.heard(4, "time_exceeded"));

    filter(&at_the_devices("icmpv6 type destination-unreachable drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&unreachable]);
    assert!(survey.heard(6, "time_exceeded") && !survey.heard(6, "port_unreachable"));

    filter(&at_the_devices("icmpv6 type echo-reply drop"));
    let survey = Survey::of(&world, &[&["--protocol", "icmp"], &TARGETS[..]].concat());
    survey.told(&[&["an ICMPv6 echo reply", "every target", "type 129"]]);
    assert!(!survey.heard(6, "echo_reply") && survey.heard(4, "echo_reply"));

    filter(&at_the_devices("meta protocol ip6 tcp dport 24000 drop"));
    let survey = Survey::of(&world, &[&["--protocol", "tcp"], &TARGETS[..]].concat());
    survey.told(&[&["a TCP reset over IPv6", "every target", "port 24000 in"]]);
    assert!(!survey.heard(6, "rst") && survey.heard(4, "rst"));

    filter(&at_the_devices("meta protocol ip6 udp dport 24000 drop"));
    let survey = Survey::of(&world, &TARGETS);
    survey.told(&[&[
        "a UDP datagram over IPv6",
        "answers with one",
        "port 24000 in",
    ]]);
    assert!(survey.heard(6, "port_unreachable"));
    world.stop();
    Ok(())
}

/// What the kernel says of connection tracking in the test's namespace.
const TRACKING: &str = "/proc/sys/net/netfilter";
/// The seconds that an entry stays which saw one datagram and no answer.
const TIMEOUT: &str = "nf_conntrack_udp_timeout";
/// Wants connections tracked, and lets everything pass.
const TRACKED: &str = "ct state invalid counter";

/// Whether connections are tracked is in the manifest, and nothing is warned of where the table has room.
pub fn tracking() -> Outcome {
    let world = world()?;
    let is_tracked = |expected: bool, options: &[&str]| {
        let survey = Survey::of(&world, &[options, &TARGETS].concat());
        survey.told(&[]);
        let vantage = &survey.manifest["vantage"];
        assert_eq!(vantage["conntrack"], expected, "{options:?}");
        let table = &survey.manifest["run"]["setup"]["conntrack"];
        assert_eq!(table.is_null(), !expected, "{options:?}: {table}");
    };
    let transports = [&["--transport", "raw"][..], &["--transport", "dgram"]];
    for options in transports {
        is_tracked(false, options);
    }
    // What the run sends is kept out, and nobody else sends anything.
    let untracked = "table inet u {\nchain out {\ntype filter hook output priority raw;\nudp sport 24000 notrack\n}\n}";
    filter(&format!("{}\n{untracked}", on_input(TRACKED)));
    is_tracked(false, &[]);
    filter(&on_input(TRACKED));
    for options in transports {
        is_tracked(true, options);
    }
    world.stop();
    Ok(())
}

/// In a namespace of its own, whose table holds nothing from before: what shows tracking is ours, of each protocol and family,
/// and without whole packets.
pub fn tracking_is_found(options: &[&str]) -> Outcome {
    let world = world()?;
    filter(&on_input(TRACKED));
    let survey = Survey::of(&world, &[options, &TARGETS].concat());
    survey.told(&[]);
    assert_eq!(survey.manifest["vantage"]["conntrack"], true);
    world.stop();
    Ok(())
}

/// A table that the survey would overflow is told with its figures.
///
/// The table's size is the whole machine's and not ours to change, the time that its entries stay is the namespace's: they are
/// made to stay so long that more are expected than fit.
pub fn table_too_small() -> Outcome {
    let world = world()?;
    filter(&on_input(TRACKED));
    let read = |name: &str| std::fs::read_to_string(format!("{TRACKING}/{name}"));
    let most: u64 = read("nf_conntrack_max").unwrap().trim().parse().unwrap();
    // A host in each /24 of 198.18.0.0/15, each of 32 TTLs its port.
    let tuples_of_a_flow = 512 * 32;
    let flows = most / tuples_of_a_flow + 1;
    let tuples = tuples_of_a_flow * flows;
    std::fs::write(format!("{TRACKING}/{TIMEOUT}"), tuples.to_string()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let night = place.path().join("night");
    let flows = flows.to_string();
    let options = ["198.18.0.0/15", "--port-per-ttl", "--flows", &flows];
    let mut survey = Started::new(world.survey(&night, &options));
    let told = survey.until("the survey began", || manifest(&night));
    survey.signal("INT");
    survey.wait();
    let setup = &told["run"]["setup"];
    assert_eq!(setup["conntrack_entries_expected"], tuples, "{setup}");
    assert_eq!(setup["conntrack"]["most"], most);
    assert_eq!(setup["conntrack"]["timeout_s"], tuples);
    let entries = setup["conntrack"]["entries"].as_u64().unwrap();
    let warnings = told["warnings"].as_array().unwrap();
    let [warning] = &warnings[..] else {
        panic!("{warnings:#?}")
    };
    let wanted = (entries + tuples).next_power_of_two();
    for part in [
        format!("holds {entries} entries of at most {most}"),
        format!("add up to {tuples}:"),
        format!("nf_conntrack_max={wanted}"),
    ] {
        assert!(
            warning.as_str().unwrap().contains(&part),
            "{part}: {warning}"
        );
    }
    world.stop();
    Ok(())
}
