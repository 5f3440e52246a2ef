//! The survey's sockets where there is no privilege, or none is wanted.

use crate::config::SurveyConfig;
use crate::transport::dgram::{Dgram, DgramOptions};
use crate::transport::raw::TransportError;

use super::SurveyError;
use super::packets::Ears;
use super::setup::{Buffer, Opened, origin};

/// Opens ordinary UDP sockets.
pub(super) fn open(config: &SurveyConfig) -> Result<Opened, SurveyError> {
    let opened = Dgram::open(&DgramOptions {
        source_port: config.source_port,
        flows: config.flows,
        tos: config.tos,
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
pub(super) fn instead_of(refused: &TransportError) -> String {
    let remedy = match refused {
        TransportError::Privilege { program, .. } => {
            format!("`sudo setcap cap_net_raw+ep {program}`")
        }
        _ => "CAP_NET_RAW".to_owned(),
    };
    format!(
        "raw sockets are refused, so probes leave by ordinary UDP sockets (--transport dgram): one at a time for each target and \
         flow, and what only whole packets show (IP ID, most of what is quoted) is null; for all of it run as root, or grant the \
         right once with {remedy}"
    )
}
