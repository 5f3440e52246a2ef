//! The survey's sockets where there is no privilege, or none is wanted.

use crate::config::SurveyConfig;
use crate::model::Protocol;
use crate::transport::dgram::{Dgram, DgramOptions};
use crate::transport::{DgramProtocol, TransportError};

use super::SurveyError;
use super::packets::Ears;
use super::setup::{Buffer, Opened, origin};

/// Opens ordinary sockets of the configured protocol.
pub(super) fn open(config: &SurveyConfig) -> Result<Opened, SurveyError> {
    let opened = Dgram::open(&DgramOptions {
        protocol: match config.protocol {
            Protocol::Icmp => DgramProtocol::Icmp,
            // Of TCP there are none: the configuration is refused before.
            Protocol::Udp | Protocol::Tcp => DgramProtocol::Udp,
        },
        source_port: config.source_port,
        flows: config.flows,
        origin: origin(config),
    })?;
    let buffer = Buffer {
        kind: "error_queue",
        bytes: opened.buffer_bytes,
        replies: opened.buffered_errors(),
    };
    Ok(Opened {
        sender: Box::new(opened.sender),
        ears: Ears::Sockets(Box::new(opened.listener)),
        tester: None,
        ports: opened.ports,
        buffer,
    })
}

/// What to tell where raw sockets were `refused` and ordinary ones take their place.
pub(super) fn instead_of(refused: &TransportError, protocol: Protocol) -> String {
    let remedy = match refused {
        TransportError::Privilege { program, .. } => {
            format!("`sudo setcap cap_net_raw+ep {program}`")
        }
        _ => "CAP_NET_RAW".to_owned(),
    };
    let (sockets, pace) = match protocol {
        Protocol::Icmp => ("ping sockets", ""),
        Protocol::Udp | Protocol::Tcp => (
            "ordinary UDP sockets",
            "one at a time for each target and flow, and ",
        ),
    };
    format!(
        "raw sockets are refused, so probes leave by {sockets} (--transport dgram): {pace}what only whole packets show (IP ID, most \
         of what is quoted) is null; for all of it run as root, or grant the right once with {remedy}"
    )
}
