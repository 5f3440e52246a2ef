//! Checks before the first probe. They find problems that would make a survey wrong or harm others, and give a remedy for each.
//! They also collect facts for the manifest. No packet leaves the machine, and no result ends the run.

mod addresses;
mod conntrack;
pub(super) mod loopback;
mod next_hops;
pub(super) mod sourceless;
mod sys;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::SurveyConfig;
use crate::model::Protocol;
use crate::transport::loopback::{leads_back, show_echo_to_tracking, show_to_tracking};
use crate::transport::{PacketReceiver, PacketSender, PortBlock, Transport};

use loopback::{LoopbackProbe, LoopbackTest};

pub(super) use conntrack::Conntrack;

/// How long to wait for all test packets on loopback together. They arrive at once, unless the machine is very busy.
const LOOPBACK_PATIENCE: Duration = Duration::from_secs(2);

/// The results of the checks.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckResults {
    /// Warnings, each with its remedy.
    pub warnings: Vec<String>,
    /// The table of connection tracking; `None` if connections are not tracked.
    pub conntrack: Option<Conntrack>,
    /// The most entries of that table that this survey will hold at a time.
    pub expected_entries: Option<u64>,
    /// The interface that probes leave by.
    pub interface: Option<String>,
    /// Whether there are routes over several next hops; `None` if the kernel does not answer.
    pub multipath_routes: Option<bool>,
    /// Whether the system clock is synchronised, and the kernel's estimate of its error in µs.
    pub clock: Option<(bool, i64)>,
}

/// Runs all checks. Tests the receive side if the transport can send whole packets.
///
/// `towards` is an address that represents the targets. `sources` are this machine's source addresses, at most one per family.
pub(super) fn look(
    config: &SurveyConfig,
    targets: u32,
    towards: Ipv4Addr,
    transport: &mut Transport,
    sources: &[IpAddr],
) -> CheckResults {
    let ports = &transport.ports;
    let mut loopback_sender = transport.loopback_sender.take();
    let test = match &mut loopback_sender {
        Some(sender) => Some(ReceiverTest::begin(
            config,
            ports,
            sources,
            &mut *transport.receiver,
            &mut **sender,
        )),
        None => {
            show_probe_to_tracking(config, ports, sources);
            None
        }
    };
    // Connection tracking has now seen packets from the run's ports, so an active table holds at least one entry. It has not seen
    // replies yet.
    let conntrack = Conntrack::read(config.protocol, config.tcp_flags);
    let expected_entries =
        conntrack.map(|table| table.expected(tuples(config, targets), config.rate.per_second()));
    let mut warnings = test.map_or_else(Vec::new, ReceiverTest::finish);
    warnings.extend(
        conntrack
            .zip(expected_entries)
            .and_then(|(table, expected)| table.warning(expected)),
    );
    let if_inet6 = addresses::of_thread("if_inet6");
    warnings.extend(
        sources
            .iter()
            .filter_map(|source| temporary_source(&if_inet6, *source)),
    );
    warnings.extend(
        sources
            .iter()
            .filter_map(|source| unnamed_source(&config.sources, *source)),
    );
    let multipath_routes = next_hops::several();
    warnings.extend(next_hops::warning(multipath_routes, config));
    CheckResults {
        warnings,
        multipath_routes,
        conntrack,
        expected_entries,
        interface: interface(sources, towards, &if_inet6),
        clock: sys::clock_state().ok(),
    }
}

/// Sends a packet like a probe over loopback, so that connection tracking makes an entry if it tracks the run's probes.
fn show_probe_to_tracking(config: &SurveyConfig, ports: &PortBlock, sources: &[IpAddr]) {
    // If the ports are bound to an interface, the packet might leave by that interface.
    if config.interface.is_some() {
        return;
    }
    for source in sources.iter().copied().filter(|ours| leads_back(*ours)) {
        // Connection tracking also sees a packet that does not arrive. If the packet cannot be sent, nothing is learned.
        let _ = match config.protocol {
            Protocol::Icmp => show_echo_to_tracking(source),
            Protocol::Udp | Protocol::Tcp => show_to_tracking(ports, source),
        };
    }
}

/// The number of different addresses and ports among the probes.
fn tuples(config: &SurveyConfig, targets: u32) -> u64 {
    let ports = match config.port_per_ttl {
        true => u64::from(config.max_ttl.0) + 1 - u64::from(config.first_ttl.0),
        false => config.destination_ports().into(),
    };
    u64::from(targets) * u64::from(config.source_ports()) * ports
}

/// The test of the receive side, with the protocol and the ports of the probes.
struct ReceiverTest<'a> {
    test: io::Result<LoopbackTest>,
    receiver: &'a mut dyn PacketReceiver,
    sender: &'a mut dyn PacketSender,
    protocol: Protocol,
    ports: RangeInclusive<u16>,
}

impl<'a> ReceiverTest<'a> {
    fn begin(
        config: &SurveyConfig,
        ports: &PortBlock,
        sources: &[IpAddr],
        receiver: &'a mut dyn PacketReceiver,
        sender: &'a mut dyn PacketSender,
    ) -> Self {
        let probe = LoopbackProbe {
            protocol: config.protocol,
            tcp_flags: config.tcp_flags,
            tos: config.tos,
            source_port: ports.base(),
            destination_port: config.destination_port,
            // Two runs on one machine are two processes.
            mark: (std::process::id() % u32::from(u16::MAX)) as u16 + 1,
        };
        ReceiverTest {
            test: LoopbackTest::begin(sender, &probe, sources),
            receiver,
            sender,
            protocol: config.protocol,
            ports: ports.ports(),
        }
    }

    /// Completes the test and returns the warnings.
    fn finish(self) -> Vec<String> {
        let replies = self
            .test
            .and_then(|test| test.finish(self.sender, self.receiver, LOOPBACK_PATIENCE));
        match replies {
            Ok(replies) => replies
                .iter()
                .filter_map(|reply| loopback::warning(reply, self.protocol, &self.ports))
                .collect(),
            Err(error) => vec![format!(
                "the receiver could not be tested over loopback ({error})"
            )],
        }
    }
}

/// The warning that a source address is temporary; `None` if it is not.
fn temporary_source(if_inet6: &str, source: IpAddr) -> Option<String> {
    let IpAddr::V6(address) = source else {
        return None;
    };
    addresses::temporary_ipv6(if_inet6, address).then(|| {
        let interface = addresses::ipv6_interface(if_inet6, address).unwrap_or("INTERFACE");
        format!(
            "probes would leave from {address}, a temporary address that changes within hours: runs on different days could not \
             be compared, and the address does not tell who is probing; prefer the permanent one \
             (sysctl net.ipv6.conf.{interface}.use_tempaddr=1)"
        )
    })
}

/// The warning that the kernel chose `source`, although `asked` names a source of the other family. The user may expect that
/// the named source is used for all probes. `None` if there is nothing to warn about.
fn unnamed_source(asked: &[IpAddr], source: IpAddr) -> Option<String> {
    let [named] = asked else {
        return None;
    };
    let (family, other, only) = match source {
        IpAddr::V4(_) => ("IPv4", "IPv6", "-6"),
        IpAddr::V6(_) => ("IPv6", "IPv4", "-4"),
    };
    (named.is_ipv4() != source.is_ipv4()).then(|| {
        format!(
            "--source {named} is for {other} alone: {family} probes would leave from {source}, the kernel's choice; give --source \
             once more for {family}, or {only} to leave its targets out"
        )
    })
}

fn interface(sources: &[IpAddr], towards: Ipv4Addr, if_inet6: &str) -> Option<String> {
    sources.iter().find_map(|source| match source {
        IpAddr::V4(_) => {
            addresses::ipv4_interface(&addresses::of_thread("route"), towards).map(str::to_owned)
        }
        IpAddr::V6(address) => addresses::ipv6_interface(if_inet6, *address).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_source_is_named_with_its_interface_and_remedy() {
        let table = "20010db80000000012345678abcdef01 02 40 00 01    wlan0\n\
                     20010db8000000000000000000000005 02 40 00 80    wlan0\n";
        let told = |source: &str| temporary_source(table, source.parse().unwrap());
        let warning = told("2001:db8::1234:5678:abcd:ef01").unwrap();
        assert!(
            warning.contains("2001:db8::1234:5678:abcd:ef01")
                && warning.contains("conf.wlan0.use_tempaddr=1"),
            "{warning}"
        );
        assert_eq!(told("2001:db8::5"), None);
        assert_eq!(told("192.0.2.1"), None);
    }

    #[test]
    fn a_source_for_one_family_brings_a_warning_about_the_other() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (four, six) = (address("192.0.2.1"), address("2001:db8::1"));
        let told = unnamed_source(&[four], six).unwrap();
        for part in [
            "--source 192.0.2.1",
            "IPv6 probes",
            "from 2001:db8::1",
            " -4 ",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let told = unnamed_source(&[six], four).unwrap();
        for part in [
            "--source 2001:db8::1",
            "IPv4 probes",
            "from 192.0.2.1",
            " -6 ",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(unnamed_source(&[four], four), None);
        assert_eq!(unnamed_source(&[], six), None);
        assert_eq!(unnamed_source(&[four, six], six), None);
    }

    #[test]
    fn the_state_of_the_clock_can_be_read() {
        let (_, error) = sys::clock_state().unwrap();
        assert!(error >= 0, "{error}");
    }
}
