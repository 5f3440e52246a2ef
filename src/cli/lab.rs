//! `pathsurvey lab`: runs programs in the simulated internet, or prints its true paths.

use std::ffi::OsString;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use pathsurvey::lab::TruthFlow;
use pathsurvey::lab::driver::{LabHost, enter_namespace, exec_in_lab};
use pathsurvey::model::Ttl;
use pathsurvey::survey::lab_network;

use super::values::{whole, whole_or_hex};
use super::{OK, fail};

/// The commands of `lab`.
#[derive(Debug, Subcommand)]
pub(super) enum LabCommand {
    /// Run a program inside the simulated internet, over real sockets, and exit with its exit code.
    ///
    /// Example: pathsurvey lab exec -- traceroute -n -q1 198.18.7.9
    Exec(ExecArgs),
    /// Print the true path of a flow.
    Truth(TruthArgs),
}

/// Options of `lab exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// A network file [default: the generated network].
    #[arg(long, value_name = "NETWORK.toml")]
    network: Option<PathBuf>,

    /// The program and its arguments.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Options of `lab truth`.
#[derive(Debug, Args)]
pub(super) struct TruthArgs {
    /// The target's IPv4 or IPv6 address.
    target: IpAddr,

    /// The kind of probes: UDP datagrams, TCP SYNs or ICMP echo requests.
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value_t = TruthProtocol::Udp)]
    protocol: TruthProtocol,

    /// The flow's source port (ICMP identifier).
    #[arg(long, value_name = "PORT", default_value_t = 24_000, value_parser = whole(0..=u16::MAX))]
    source_port: u16,

    /// The flow's destination port (ICMP checksum) [default: UDP 33434, TCP 80, ICMP 0].
    #[arg(long, value_name = "PORT", value_parser = whole_or_hex(0..=u16::MAX))]
    dest_port: Option<u16>,

    /// The IPv6 flow label [default: 0].
    #[arg(long, value_name = "LABEL", value_parser = whole_or_hex(0..=(1_u32 << 20) - 1))]
    flow_label: Option<u32>,

    /// The highest TTL to print.
    #[arg(short = 'm', long, value_name = "TTL", default_value_t = 32, value_parser = whole(1..=u8::MAX))]
    max_ttl: u8,

    /// A network file [default: the generated network].
    #[arg(long, value_name = "NETWORK.toml")]
    network: Option<PathBuf>,
}

/// The kind of a flow's probes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TruthProtocol {
    Udp,
    Tcp,
    Icmp,
}

impl LabCommand {
    /// Runs the command. Returns the exit code.
    pub(super) fn run(&self) -> u8 {
        let done = match self {
            LabCommand::Exec(args) => args.run(),
            LabCommand::Truth(args) => args.run().map(|()| OK),
        };
        done.unwrap_or_else(|error| fail(&error))
    }
}

impl ExecArgs {
    fn run(&self) -> anyhow::Result<u8> {
        let network = lab_network(self.network.as_deref())?;
        let vantage = network.vantage();
        let namespace = enter_namespace()?;
        let host = LabHost::start(&namespace, Box::new(network), vantage)?;
        let (program, arguments) = self.command.split_first().context("no command was given")?;
        let ended = exec_in_lab(&namespace, program, arguments)?;
        let counts = host.stop().context("the lab's network broke")?;
        tracing::info!(
            "the lab took {} packets and delivered {}",
            counts.read,
            counts.delivered
        );
        Ok(u8::try_from(ended).unwrap_or(u8::MAX))
    }
}

impl TruthArgs {
    fn flow(&self) -> TruthFlow {
        let (target, source) = (self.target, self.source_port);
        let port = |default| self.dest_port.unwrap_or(default);
        let flow = match self.protocol {
            TruthProtocol::Udp => TruthFlow::udp(target, source, port(33_434)),
            TruthProtocol::Tcp => TruthFlow::tcp(target, source, port(80)),
            TruthProtocol::Icmp => TruthFlow::echo(target, source, port(0)),
        };
        match self.flow_label {
            Some(label) => flow.with_flow_label(label),
            None => flow,
        }
    }

    fn run(&self) -> anyhow::Result<()> {
        let network = lab_network(self.network.as_deref())?;
        let truth = network.truth(self.flow(), Ttl(self.max_ttl));
        match write!(std::io::stdout(), "{truth}") {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(()),
        }
    }
}
