//! Opens the transport of a survey. Warns if it offers less than the user asked for.

use std::time::Duration;

use crate::config::SurveyConfig;
use crate::model::{Protocol, Rate};
use crate::transport::{
    self, AddressFamilies, Capabilities, Origin, ReceiveBuffer, Transport, TransportError,
    TransportOptions,
};

use super::words;

/// A warning is given if the receive buffer is full after less than this time at the full rate.
const SHORT_BUFFER: Duration = Duration::from_millis(100);

/// Opens the transport that the configuration asks for. Adds warnings to `warnings`.
pub(super) fn open(
    config: &SurveyConfig,
    families: AddressFamilies,
    warnings: &mut Vec<String>,
) -> Result<Transport, TransportError> {
    let transport = transport::open(&TransportOptions {
        choice: config.transport_choice(),
        protocol: config.protocol,
        families,
        source_port: config.source_port,
        flows: config.source_ports(),
        origin: Origin {
            sources: config.sources.clone(),
            interface: config.interface.clone(),
            tos: config.tos,
        },
        rate: config.rate,
    })?;
    if let Some(refused) = &transport.fell_back {
        warnings.push(fell_back(refused, transport.name, config.protocol));
    }
    let Transport {
        capabilities,
        buffer,
        ports,
        ..
    } = &transport;
    warnings.extend(short_buffer(buffer, capabilities, config.rate));
    if ports.moved() {
        warnings.push(words::ports_taken(
            config.protocol,
            config.source_port,
            ports.base(),
            config.source_ports(),
        ));
    }
    Ok(transport)
}

/// The warning that raw sockets were `refused` and that the transport `name` is used instead.
fn fell_back(refused: &TransportError, name: &str, protocol: Protocol) -> String {
    let remedy = match refused {
        TransportError::Privilege { remedy, .. } => remedy.to_string(),
        other => other.to_string(),
    };
    let (sockets, pace) = match protocol {
        Protocol::Icmp => ("ping sockets", ""),
        Protocol::Udp | Protocol::Tcp => (
            "ordinary UDP sockets",
            "one at a time for each target and flow, and ",
        ),
    };
    format!(
        "raw sockets are refused, so probes leave by {sockets} (--transport {name}): {pace}what only whole packets show (IP ID, most \
         of what is quoted) is null; for all of it: {remedy}"
    )
}

/// The warning that the receive buffer is short; `None` if it is not.
fn short_buffer(buffer: &ReceiveBuffer, capabilities: &Capabilities, rate: Rate) -> Option<String> {
    let holds = buffer.replies as f64 / rate.per_second();
    let counted = match capabilities.counts_drops {
        true => "they are counted",
        false => "uncounted",
    };
    let as_root = match buffer.is_larger_for_root {
        true => "run as root, ",
        false => "",
    };
    (holds < SHORT_BUFFER.as_secs_f64()).then(|| {
        format!(
            "the receive buffer holds only {:.0} ms of replies at {rate} probes/s: replies may be lost ({counted}); raise \
             net.core.rmem_max, {as_root}or lower --rate",
            holds * 1_000.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportChoice;

    #[test]
    fn the_warning_about_a_short_buffer_names_remedies_that_help() {
        let told = |replies, choice: TransportChoice, is_larger_for_root| {
            let buffer = ReceiveBuffer {
                kind: "socket",
                bytes: 212_992,
                replies,
                is_larger_for_root,
            };
            short_buffer(&buffer, &choice.capabilities(), Rate::THOUSAND)
        };
        assert_eq!(told(100, TransportChoice::Raw, true), None);
        let raw = told(99, TransportChoice::Raw, true).unwrap();
        assert!(
            raw.contains("99 ms")
                && raw.contains("they are counted")
                && raw.contains("run as root"),
            "{raw}"
        );
        let dgram = told(7, TransportChoice::Dgram, false).unwrap();
        assert!(
            dgram.contains("(uncounted)") && !dgram.contains("root"),
            "{dgram}"
        );
    }
}
