//! Prepares a real run: opens the lab's namespace, the transport and the ports, and tests them.
//!
//! The order is part of the security of a run:
//!
//! 1. Everything that needs privileges is opened.
//! 2. The privileges are given up.
//! 3. Only then is the first byte read from a socket, and the first thread started that handles packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Network, SurveyConfig};
use crate::dataset::{Output, Vantage};
use crate::lab::driver::{LabHost, Namespace, ReadyLab, enter_namespace};
use crate::lab::{LabError, LabNetwork, Respond};
use crate::targets::{NoNames, Resolve, Unresolved};
use crate::transport::{AddressFamilies, Transport};

use super::SurveyError;
use super::preflight::{self, CheckResults};
use super::privilege::{self, GivenUp};
use super::sockets;

/// The seed of the generated network. It is the same for every user, so that users can compare the network's truth.
pub const LAB_SEED: u64 = 1;

/// Represents the targets when the kernel is asked about one destination (RFC 2544). It is outside this network and inside the
/// lab's.
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

/// A network to connect to the lab's device.
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

/// The entered namespace of the lab, and the network to put into it.
pub(super) struct EnteredLab {
    namespace: Namespace,
    simulation: Simulation,
    /// Whether root entered the namespace. Inside, every user is root.
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

    /// Opens the device that leads to the network. The network does not answer yet.
    fn open_device(self) -> Result<ReadyLab, SurveyError> {
        let Simulation {
            vantage, network, ..
        } = self.simulation;
        Ok(ReadyLab::open(&self.namespace, network, vantage, None)?)
    }
}

/// The warning that threads of the calling program keep privileges; `None` if no thread does.
fn about_threads(given_up: &GivenUp) -> Option<String> {
    if let Some(error) = &given_up.unseen {
        return Some(format!(
            "/proc does not show whether all threads gave up their privileges ({error}); the threads of this survey did"
        ));
    }
    (!given_up.kept_by.is_empty()).then(|| {
        format!(
            "threads that started before the survey keep their privileges ({}): start the survey before them",
            given_up.kept_by.join(", ")
        )
    })
}

/// Enters the lab's namespace, if the run takes place in the lab. Call it before any thread starts.
pub(super) fn enter_lab(config: &SurveyConfig) -> Result<Option<EnteredLab>, SurveyError> {
    let Network::Lab { file } = &config.network else {
        return Ok(None);
    };
    EnteredLab::enter(lab_network(file.as_deref())?.into()).map(Some)
}

/// The resolver of host names. In the lab, only servers that the user named are asked. The system's resolver may lead out of
/// the namespace through the socket file of a local service. In virtual time there is no namespace.
pub(super) fn names<'a>(config: &SurveyConfig, resolve: &'a Resolve<'a>) -> &'a Resolve<'a> {
    match config.network {
        _ if !config.targets.resolvers.is_empty() => resolve,
        Network::Real => resolve,
        Network::Lab { .. } => &NoNames(Unresolved::Lab),
        Network::VirtualLab { .. } => &NoNames(Unresolved::LabInVirtualTime),
    }
}

/// The open resources of a real run.
pub(super) struct LiveSetup {
    /// The transport. It has been tested.
    pub transport: Transport,
    /// Warnings to show before the first probe.
    pub warnings: Vec<String>,
    pub lab: Option<LabHost>,
    lab_name: Option<String>,
    source: Option<IpAddr>,
    source_ipv6: Option<IpAddr>,
    findings: CheckResults,
    given_up: GivenUp,
}

impl LiveSetup {
    /// Opens the transport, gives up this process's privileges, tests the receive side, and starts the lab's network.
    ///
    /// `families` are those of the targets, `targets` is their number. `output` decides which user root continues as.
    pub fn open(
        config: &SurveyConfig,
        families: AddressFamilies,
        targets: u32,
        output: &Output,
        lab: Option<EnteredLab>,
    ) -> Result<Self, SurveyError> {
        let mut warnings = Vec::new();
        // Before the sockets, because the interface that they are bound to must exist.
        let lab_name = lab.as_ref().map(|lab| lab.simulation.name.clone());
        let by_root = lab
            .as_ref()
            .map_or_else(privilege::is_root, |lab| lab.by_root);
        let lab = lab.map(EnteredLab::open_device).transpose()?;
        privilege::raise();
        let mut transport = sockets::open(config, families, &mut warnings)?;
        // Everything that needs privileges is open now. Code that needs privileges must stand above this line.
        let given_up = privilege::give_up(output, by_root)?;
        warnings.extend(about_threads(&given_up));
        let mut ours = |wanted: bool, towards: IpAddr| {
            let source = wanted.then(|| transport.sender.source_for(towards).ok());
            source.flatten()
        };
        let source = ours(families.ipv4, SOME_TARGET.into());
        let source_ipv6 = ours(families.ipv6, SOME_IPV6_TARGET.into());
        let sources: Vec<IpAddr> = source.into_iter().chain(source_ipv6).collect();
        let findings = preflight::look(config, targets, SOME_TARGET, &mut transport, &sources);
        warnings.extend_from_slice(&findings.warnings);
        let lab = lab.map(ReadyLab::start).transpose()?;
        Ok(LiveSetup {
            source,
            source_ipv6,
            findings,
            given_up,
            transport,
            warnings,
            lab,
            lab_name,
        })
    }

    /// The result of giving up privileges.
    pub fn given_up(&self) -> &GivenUp {
        &self.given_up
    }

    /// The part of the manifest about this setup.
    pub fn describe(&self) -> Value {
        json!({
            "network": self.lab_name,
            "virtual_time": false,
            "transport": self.transport.name,
            "source_port": self.transport.ports.base(),
            "receive_buffer": self.transport.buffer.kind,
            "receive_buffer_bytes": self.transport.buffer.bytes,
            "conntrack": self.findings.conntrack,
            "conntrack_entries_expected": self.findings.expected_entries,
            "multipath_routes": self.findings.multipath_routes,
            "went_on_as_user": self.given_up.owner.as_ref().map(|owner| owner.user),
        })
    }

    /// The vantage point of the run.
    pub fn vantage(&self, config: &SurveyConfig) -> Vantage {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Vantage {
            id: config.vantage.clone(),
            // The source addresses towards targets in general. Each row has its own source address.
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
