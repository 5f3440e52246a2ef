//! What ends a path: complaints from the way, targets that answer from another address, addresses that come back.

mod addresses;
mod complaints;
mod recurrences;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use pathsurvey::config::SurveyConfig;
use pathsurvey::model::{Anomaly, HopRecord, Protocol, Purpose, TcpFlags, TraceRecord};
use pathsurvey::targets::Families;

use super::experiment::{Observed, config, inline, observe, rate};
use super::traces;

/// Every kind of probe.
const PROBES: [(Protocol, TcpFlags); 5] = [
    (Protocol::Udp, TcpFlags::Syn),
    (Protocol::Icmp, TcpFlags::Syn),
    (Protocol::Tcp, TcpFlags::Syn),
    (Protocol::Tcp, TcpFlags::Ack),
    (Protocol::Tcp, TcpFlags::Psh),
];

/// The target, and the address that it may answer from.
fn target(v6: bool) -> IpAddr {
    match v6 {
        false => Ipv4Addr::new(198, 18, 0, 1).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0x1000, 0, 0, 0, 0, 1).into(),
    }
}

fn router(v6: bool, number: u8) -> IpAddr {
    match v6 {
        false => Ipv4Addr::new(10, 0, 0, number).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0xff00, 0, 0, 0, 0, number.into()).into(),
    }
}

/// A chain of routers with these numbers, which their addresses show; `extra` gives more lines of a router by its place from 1 on.
/// Behind the last of them are the targets of both families, with the lines of `host`.
fn chain(numbers: &[u8], host: &str, extra: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (place, number) in (1..).zip(numbers) {
        let (v4, v6) = (router(false, *number), router(true, *number));
        let _ = writeln!(text, "[[router]]\nname = \"r{place}\"");
        let _ = writeln!(text, "address = \"{v4}\"\naddress6 = \"{v6}\"");
        if place < numbers.len() {
            let _ = writeln!(text, "next = [\"r{}\"]", place + 1);
        }
        let _ = writeln!(text, "{}", extra(place));
    }
    for prefix in ["198.18.0.0/24", "2001:db8:1000::/64"] {
        let last = numbers.len();
        let _ = writeln!(text, "[[target]]\nprefix = \"{prefix}\"\nat = \"r{last}\"");
        let _ = writeln!(text, "unlimited = true\n{host}");
    }
    text
}

/// A survey of the one target.
fn one(v6: bool, (protocol, tcp_flags): (Protocol, TcpFlags)) -> SurveyConfig {
    let target = target(v6).to_string();
    let mut survey = config(&[target.as_str()], 1);
    survey.rate = rate(1_000.0);
    survey.targets.families = Families::Both;
    // Fewer probes are known at a time, which makes for short runs.
    survey.timeout = Duration::from_secs(1);
    survey.late_window = Duration::from_secs(1);
    (survey.protocol, survey.tcp_flags) = (protocol, tcp_flags);
    survey
}

/// Runs it over the network that `toml` describes.
fn run(survey: SurveyConfig, toml: &str) -> Observed {
    let run = observe(survey, inline(toml));
    traces::check(&run);
    assert_eq!(run.traces.len(), 1);
    run
}

fn anomalies(trace: &TraceRecord) -> Vec<&'static str> {
    trace.anomalies.iter().map(Anomaly::as_str).collect()
}

/// Who answered the first probe at each TTL up to the trace's last.
fn responders(run: &Observed) -> Vec<Option<IpAddr>> {
    let mut rows: Vec<&HopRecord> = run
        .hops
        .iter()
        .filter(|row| row.purpose == Purpose::Trace && row.reply_index == 0)
        .collect();
    rows.sort_by_key(|row| row.ttl);
    rows.iter().map(|row| row.responder()).collect()
}
