//! What a real run needs before its first probe: the lab's namespace, sockets, ports; and a test that they work.
//!
//! In this order: everything is opened that takes privileges, the privileges are given up, and only then the first byte is
//! read from a socket and the first thread started that handles packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Network, SurveyConfig, Transport};
use crate::dataset::{Output, Vantage};
use crate::lab::driver::{LabHost, Namespace, ReadyLab, enter_namespace};
use crate::lab::{LabError, LabNetwork, Respond};
use crate::targets::{NoNames, Resolve, Unresolved};
use crate::transport::raw::{Answers, BufferKind, RawReceiver, RawSender};
use crate::transport::{Origin, PacketSender, PortBlock, TransportError};

use super::SurveyError;
use super::packets::Ears;
use super::preflight::{self, Findings, Outfit};
use super::privilege::{self, GivenUp};
use super::unprivileged;
use super::words;

/// The seed of the generated network: the same for every user, so that its truth can be talked about.
pub const LAB_SEED: u64 = 1;

/// The receive buffer holds a second of replies at the full rate, within these bounds (bytes).
const LEAST_BUFFER: usize = 8 << 20;
const MOST_BUFFER: usize = 256 << 20;
/// What a reply takes, bytes: a slot of a packet ring; in a socket's buffer less than half of that.
const BYTES_PER_REPLY: f64 = 2_048.0;
/// A buffer for less than this at the full rate is worth a warning.
const SHORT_BUFFER: Duration = Duration::from_millis(100);
/// Stands for the targets where one destination is asked about (RFC 2544): off this network, and inside the lab's.
const SOME_TARGET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The same for IPv6 (RFC 3849).
const SOME_IPV6_TARGET: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The simulated network of `file`, or the generated one.
pub fn lab_network(file: Option<&Path>) -> Result<LabNetwork, LabError> {
    match file {
        Some(file) => LabNetwork::from_file(file),
        None => Ok(LabNetwork::generated(LAB_SEED)),
    }
}

/// A network to put behind the lab's device.
pub struct Simulation {
    /// Its name in the manifest.
    pub name: String,
    /// The vantage point's address.
    pub vantage: Ipv4Addr,
    /// The network.
    pub network: Box<dyn Respond>,
}

impl From<LabNetwork> for Simulation {
    fn from(network: LabNetwork) -> Self {
        Simulation {
            name: network.name().to_owned(),
            vantage: network.vantage(),
            network: Box::new(network),
        }
    }
}

/// The lab's namespace, entered, and the network to be put into it.
pub struct EnteredLab {
    namespace: Namespace,
    simulation: Simulation,
    /// Whether it was root who entered: inside everybody is.
    by_root: bool,
}

impl EnteredLab {
    /// Enters a namespace for `simulation`. Call it before any thread starts.
    pub fn enter(simulation: Simulation) -> Result<Self, SurveyError> {
        let by_root = privilege::is_root();
        let namespace = enter_namespace()?;
        Ok(EnteredLab {
            namespace,
            simulation,
            by_root,
        })
    }

    /// Opens the device that leads to the network, which does not answer yet.
    fn open_device(self) -> Result<ReadyLab, SurveyError> {
        let Simulation {
            vantage, network, ..
        } = self.simulation;
        Ok(ReadyLab::open(&self.namespace, network, vantage, None)?)
    }
}

/// What to tell where other threads than ours keep privileges.
fn about_threads(given_up: &GivenUp) -> Option<String> {
    (!given_up.kept_by.is_empty()).then(|| {
        format!(
            "threads that were there before the survey keep their privileges ({}): start it before them",
            given_up.kept_by.join(", ")
        )
    })
}

/// Enters the lab's namespace, if the run is to take place there. Call it before any thread starts.
pub fn enter_lab(config: &SurveyConfig) -> Result<Option<EnteredLab>, SurveyError> {
    let Network::Lab { file } = &config.network else {
        return Ok(None);
    };
    EnteredLab::enter(lab_network(file.as_deref())?.into()).map(Some)
}

/// Who is asked for host names. In the lab only a server that was named: the system's way to others may lead out of the
/// namespace (a socket file of a local service), and in virtual time there is no namespace at all.
pub fn names<'a>(config: &SurveyConfig, resolve: &'a Resolve<'a>) -> &'a Resolve<'a> {
    match config.network {
        _ if !config.targets.resolvers.is_empty() => resolve,
        Network::Real => resolve,
        Network::Lab { .. } => &NoNames(Unresolved::Lab),
        Network::VirtualLab { .. } => &NoNames(Unresolved::LabInVirtualTime),
    }
}

/// Sockets and ports of either transport.
pub(super) struct Opened {
    pub sender: Box<dyn PacketSender>,
    pub ears: Ears,
    /// Sends packets to ourselves, where whole packets can be sent.
    pub tester: Option<Box<dyn PacketSender>>,
    pub ports: Arc<PortBlock>,
    pub buffer: Buffer,
}

/// A receive buffer.
pub(super) struct Buffer {
    /// In the manifest.
    pub kind: &'static str,
    pub bytes: usize,
    /// About how many replies it holds.
    pub replies: usize,
}

/// Opens the transport that the configuration asks for; where it leaves the choice to us, raw sockets unless they are refused.
fn open_sockets(
    config: &SurveyConfig,
    families: (bool, bool),
    warnings: &mut Vec<String>,
) -> Result<Opened, SurveyError> {
    if config.transport == Transport::Dgram {
        return unprivileged::open(config);
    }
    match open_raw(config, families) {
        Err(SurveyError::Transport(refused @ TransportError::Privilege { .. }))
            if config.transport == Transport::Auto && config.against_dgram().is_none() =>
        {
            warnings.push(unprivileged::instead_of(&refused, config.protocol));
            unprivileged::open(config)
        }
        opened => opened,
    }
}

/// Where the configuration lets probes leave from.
pub(super) fn origin(config: &SurveyConfig) -> Origin {
    Origin {
        sources: config.sources.clone(),
        interface: config.interface.clone(),
        tos: config.tos,
    }
}

fn open_raw(config: &SurveyConfig, families: (bool, bool)) -> Result<Opened, SurveyError> {
    let wanted = (config.rate.per_second() * BYTES_PER_REPLY) as usize;
    let ports = PortBlock::bind(config.protocol, config.source_port, config.flows)?;
    let answers = Answers {
        ipv4: families.0,
        ipv6: families.1,
        protocol: Some(config.protocol),
        ports: ports.ports(),
    };
    let receiver = RawReceiver::open_for(&answers, wanted.clamp(LEAST_BUFFER, MOST_BUFFER))?;
    let buffer = receiver.buffer();
    let sender = RawSender::open_from(&origin(config))?;
    let tester = RawSender::open()?;
    Ok(Opened {
        sender: Box::new(sender),
        ears: Ears::Packets(Box::new(receiver)),
        tester: Some(Box::new(tester)),
        ports: Arc::new(ports),
        buffer: Buffer {
            kind: match buffer.kind {
                BufferKind::Socket => "socket",
                BufferKind::Ring => "packet_ring",
                BufferKind::SmallSocket => "small_socket",
            },
            bytes: buffer.bytes,
            replies: buffer.packets(),
        },
    })
}

/// Everything open that a real run needs.
pub(super) struct LiveSetup {
    pub sender: Box<dyn PacketSender>,
    pub ears: Ears,
    /// The source port of flow 0.
    pub source_port: u16,
    /// Things worth telling before the first probe.
    pub warnings: Vec<String>,
    pub lab: Option<LabHost>,
    /// Held for as long as the run lasts.
    _ports: Arc<PortBlock>,
    lab_name: Option<String>,
    buffer: Buffer,
    source: Option<IpAddr>,
    source_ipv6: Option<IpAddr>,
    findings: Findings,
    given_up: GivenUp,
}

impl LiveSetup {
    /// Opens sockets and ports, gives up this process's privileges, tests the receiver, and starts the lab's network. `families`
    /// says whether there are IPv4 and IPv6 targets, `targets` how many in all; `output` decides whom root goes on as.
    pub fn open(
        config: &SurveyConfig,
        families: (bool, bool),
        targets: u32,
        output: &Output,
        lab: Option<EnteredLab>,
    ) -> Result<Self, SurveyError> {
        let mut warnings = Vec::new();
        // Before the sockets: what they are bound to must be there.
        let lab_name = lab.as_ref().map(|lab| lab.simulation.name.clone());
        let by_root = lab
            .as_ref()
            .map_or_else(privilege::is_root, |lab| lab.by_root);
        let lab = lab.map(EnteredLab::open_device).transpose()?;
        let Opened {
            mut sender,
            mut ears,
            mut tester,
            ports,
            buffer,
        } = open_sockets(config, families, &mut warnings)?;
        let holds = buffer.replies as f64 / config.rate.per_second();
        if holds < SHORT_BUFFER.as_secs_f64() {
            let remedy = match ears {
                Ears::Packets(_) => "raise net.core.rmem_max, run as root, or lower --rate",
                Ears::Sockets(_) => "raise net.core.rmem_max, or lower --rate",
            };
            let counted = match ears {
                Ears::Packets(_) => "they are counted",
                Ears::Sockets(_) => "uncounted",
            };
            warnings.push(format!(
                "the receive buffer holds only {:.0} ms of replies at {} probes/s: replies may be lost ({counted}); {remedy}",
                holds * 1_000.0,
                config.rate
            ));
        }
        if ports.moved() {
            warnings.push(words::ports_taken(
                config.protocol,
                config.source_port,
                ports.base(),
                config.flows,
            ));
        }
        // Everything that takes privileges is open: what needs some must go above this line.
        let given_up = privilege::give_up(output, by_root)?;
        warnings.extend(about_threads(&given_up));
        let mut ours = |wanted: bool, towards: IpAddr| {
            let source = wanted.then(|| sender.source_for(towards).ok());
            source.flatten()
        };
        let source = ours(families.0, SOME_TARGET.into());
        let source_ipv6 = ours(families.1, SOME_IPV6_TARGET.into());
        let sources: Vec<IpAddr> = source.into_iter().chain(source_ipv6).collect();
        let outfit = Outfit {
            ears: &mut ears,
            tester: tester.as_mut().map(|tester| &mut **tester as _),
            ports: &ports,
            sources: &sources,
        };
        let findings = preflight::look(config, targets, SOME_TARGET, outfit);
        warnings.extend_from_slice(&findings.warnings);
        let lab = lab.map(ReadyLab::start).transpose()?;
        Ok(LiveSetup {
            source,
            source_ipv6,
            findings,
            given_up,
            sender,
            ears,
            source_port: ports.base(),
            warnings,
            lab,
            _ports: ports,
            lab_name,
            buffer,
        })
    }

    /// Whether the sockets are ordinary ones, which keep headers to themselves.
    pub fn is_unprivileged(&self) -> bool {
        matches!(self.ears, Ears::Sockets(_))
    }

    /// What became of the privileges.
    pub fn given_up(&self) -> &GivenUp {
        &self.given_up
    }

    /// What the manifest says of it.
    pub fn describe(&self) -> Value {
        json!({
            "network": self.lab_name,
            "virtual_time": false,
            "transport": match self.is_unprivileged() {
                true => "dgram",
                false => "raw",
            },
            "source_port": self.source_port,
            "receive_buffer": self.buffer.kind,
            "receive_buffer_bytes": self.buffer.bytes,
            "conntrack": self.findings.conntrack,
            "conntrack_entries_expected": self.findings.expected_entries,
            "multipath_routes": self.findings.multipath_routes,
            "went_on_as_user": self.given_up.owner.as_ref().map(|owner| owner.user),
        })
    }

    /// Where the run is made from.
    pub fn vantage(&self, config: &SurveyConfig) -> Vantage {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Vantage {
            id: config.vantage.clone(),
            // The address towards the default route; each row has its own.
            source_ipv4: self.source,
            source_ipv6: self.source_ipv6,
            interface: self.findings.interface.clone(),
            clock_synchronised: self.findings.clock.map(|(synchronised, _)| synchronised),
            clock_error_us: self.findings.clock.map(|(_, error)| error),
            conntrack: Some(self.findings.conntrack.is_some()),
            kernel: kernel.map(|release| release.trim().to_owned()),
            dont_fragment: Some(config.mtu),
            ..Vantage::default()
        }
    }
}
