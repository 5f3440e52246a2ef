//! The interface that a probe protocol provides, and the one place that chooses a protocol.
//!
//! A protocol is one file that implements [`ProbeProtocol`], and one arm of [`of`]. [`ProbeFormat`] holds what all protocols
//! share: ports, flows, sizes and IP header fields.
//!
//! A protocol that is to be an option of the command line also needs a name in [`Protocol`]. The compiler then leads to the places
//! outside the engine that know protocols: the filter and the ports of raw sockets, the tests before the first probe, the names of
//! kernel settings in warnings. Two findings about traces still go by the protocol's name: `nat` and `other_address`.
//!
//! A probe is identified by the same terms in every protocol:
//!
//! | term | meaning |
//! |---|---|
//! | open facts | destination, flow (by the field that varies: [`Vary`](crate::model::Vary)), TTL |
//! | serial | 16 secret bits that identify one transmission; also sent as the IP ID |
//! | check | 16 secret bits in the transport header |
//! | tag | 64 secret bits in the payload |
//!
//! A protocol only reads and compares. It does not know the pending probes; `engine::matcher` looks them up.
//!
//! A program can survey with a protocol of its own without an arm in [`of`]: it puts the protocol into its [`ProbeFormat`]. Quotes of
//! that protocol come as [`QuotedTransport::Other`], and the `quoted_*` columns of its header fields are null. Its replies without a
//! quote are discarded as `other_type`, because a packet is read before its run is known.

use std::fmt;
use std::net::IpAddr;

use super::checksum::{self, Sum};
use super::echo::Echo;
use super::format::{AnsweredFlow, Marked, ProbeFormat};
use super::ip::Ends;
use super::tcp::Tcp;
use super::token::{Marks, TokenMaker};
use super::udp::Udp;
use crate::model::{
    DiscardReason, Echoed, Evidence, FlowId, Protocol, ProtocolName, QuotedProbe, QuotedTransport,
    Reply, ReplyKind, TcpFlags, Ttl,
};

/// Returns the protocol of a run. `tcp_flags` selects the TCP segment that is sent.
pub fn of(protocol: Protocol, tcp_flags: TcpFlags) -> &'static dyn ProbeProtocol {
    match protocol {
        Protocol::Udp => &Udp,
        Protocol::Icmp => &Echo,
        Protocol::Tcp => Tcp::sending(tcp_flags),
    }
}

/// Returns the protocol with this IP protocol number; `None` if no [`Protocol`] has the number.
pub(super) fn numbered(number: u8, ipv6: bool) -> Option<&'static dyn ProbeProtocol> {
    Protocol::ALL
        .into_iter()
        .map(|protocol| of(protocol, TcpFlags::default()))
        .find(|protocol| protocol.number(ipv6) == number)
}

/// A probe protocol: layout, encoding, reading of quotes and answers, and evidence.
///
/// A transport part starts after the IP header. `run` holds what all probes of the run share.
pub trait ProbeProtocol: fmt::Debug + Sync {
    /// The name in the `protocol` column.
    fn name(&self) -> ProtocolName;

    /// The IP protocol number of a probe.
    fn number(&self, ipv6: bool) -> u8;

    /// Whether probes have ports. Otherwise an identifier names the flow.
    fn has_ports(&self) -> bool {
        true
    }

    /// Whether a target without a service answers with an ICMP error. Hosts limit the rate of errors.
    fn draws_errors_from_targets(&self) -> bool {
        true
    }

    // Layout and encoding.

    /// The size of a probe's transport part, in bytes. `wanted` is the requested size, if any. The result may be larger.
    fn size(&self, run: &ProbeFormat, ttl: Ttl, wanted: Option<usize>) -> usize;

    /// The check and the tag to send. `drawn` holds those that [`TokenMaker::marks`] computed.
    fn marks(
        &self,
        _run: &ProbeFormat,
        drawn: Marks,
        _tokens: &TokenMaker,
        _destination: IpAddr,
        _flow: FlowId,
    ) -> Marks {
        drawn
    }

    /// Writes the transport part of a probe. `transport` has the size that [`size`](Self::size) returned.
    fn encode(&self, run: &ProbeFormat, probe: &Marked, ends: &Ends, transport: &mut [u8]);

    /// The transport checksum of a probe.
    fn checksum(&self, _run: &ProbeFormat, probe: &Marked, _ends: &Ends) -> u16 {
        probe.marks.check
    }

    /// The position of the checksum in the transport part, in bytes.
    fn checksum_offset(&self) -> usize;

    // Quotes.

    /// Whether a quote of 8 transport bytes shows the TTL that the probe was sent with.
    fn shows_ttl(&self, run: &ProbeFormat) -> bool;

    /// Whether only one probe of a flow may be pending at a time, because a short quote shows neither its TTL nor a secret.
    fn is_one_by_one(&self, _run: &ProbeFormat) -> bool {
        false
    }

    /// Reads a quoted transport part. It may be cut short anywhere.
    fn read_quote(&self, transport: &[u8], ipv6: bool) -> QuotedTransport;

    /// Returns what a quote shows of a probe. Returns `None` if the quote has another protocol. Also returns `None` if it is
    /// shorter than the 8 transport bytes that every router must quote (RFC 792).
    fn shown(&self, run: &ProbeFormat, quoted: &QuotedTransport) -> Option<Shown>;

    /// Whether the fields that are neither open facts nor secrets are the ones that were sent.
    fn agrees(&self, run: &ProbeFormat, quote: &Quote, sent: &Marked) -> bool {
        !run.port_per_ttl || quote.shown.dst_port == Some(run.port_at(sent.flow, sent.ttl))
    }

    // Evidence.

    /// Whether the check proves the serial as well.
    fn check_holds_serial(&self) -> bool {
        false
    }

    /// Whether the check covers the addresses, so that address translation changes it.
    fn check_covers_addresses(&self, ipv6: bool) -> bool;

    /// Whether the quoted check is the one that was sent.
    fn check_is_as_sent(&self, sent: &Marked, quote: &Quote) -> bool {
        let same = |shown| checksum::same(shown, sent.marks.check);
        quote.shown.checksum.is_some_and(same)
    }

    /// Whether the quoted check is the one that was sent, adjusted to the quoted addresses and ports that differ (RFC 1624).
    fn check_is_adjusted(&self, run: &ProbeFormat, sent: &Marked, quote: &Quote) -> bool {
        let number = quote.shown.source_number.unwrap_or_default();
        let mut old = Sum::default().word(run.src_port(sent.flow));
        let mut new = Sum::default().word(number);
        if self.check_covers_addresses(sent.destination.is_ipv6()) {
            let source = quote.packet.source.unwrap_or(sent.source);
            old = old.ip(sent.source).ip(sent.destination);
            new = new.ip(source).ip(quote.packet.destination);
        }
        if self.has_ports() {
            old = old.word(run.port_at(sent.flow, sent.ttl));
            new = new.word(quote.shown.dst_port.unwrap_or_default());
        }
        quote.shown.checksum.is_some_and(|shown| {
            checksum::same(shown, checksum::adjusted(sent.marks.check, old, new))
        })
    }

    // Answers that quote nothing.

    /// Reads the transport part of an answer that is not an ICMP message.
    fn read_answer(&self, _transport: &[u8]) -> Result<(ReplyKind, Echoed), DiscardReason> {
        Err(DiscardReason::OtherType)
    }

    /// Returns how to find the probe that an answer belongs to.
    fn answer(&self, _run: &ProbeFormat, _echoed: &Echoed) -> Result<Answer, DiscardReason> {
        Err(DiscardReason::OtherType)
    }

    /// Returns the evidence that `reply` answers `sent`, whose proof it repeats. Returns `None` if an open fact contradicts
    /// that.
    fn answer_evidence(
        &self,
        _run: &ProbeFormat,
        _reply: &Reply,
        _sent: &Marked,
    ) -> Option<Evidence> {
        None
    }
}

/// The fields of a probe that a quote shows, in terms that every protocol shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Source port or identifier.
    pub source_number: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// The TTL that the probe was sent with.
    pub ttl: Option<Ttl>,
    /// Transport checksum.
    pub checksum: Option<u16>,
    /// The tag.
    pub tag: Option<u64>,
    /// The serial, if the transport part repeats it.
    pub serial: Option<u16>,
}

/// A quoted packet of the run's protocol, and what it shows of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Quote<'a> {
    /// The packet.
    pub packet: &'a QuotedProbe,
    /// The fields that it shows after the IP header.
    pub shown: Shown,
}

impl Quote<'_> {
    /// The serials that the quote may hold: the IP ID, and the serial in the transport part.
    pub fn serials(&self) -> impl Iterator<Item = u16> + use<> {
        let (ip_id, inner) = (self.packet.ip_id, self.shown.serial);
        let inner = inner.filter(|_| inner != ip_id);
        [ip_id, inner].into_iter().flatten()
    }
}

/// How to find the probe that an answer without a quote belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The flow.
    pub flow: AnsweredFlow,
    /// The TTL of the probe, if the answer shows it.
    pub ttl: Option<Ttl>,
    /// The secrets that the answer may repeat, in the order in which to try them.
    pub proofs: [Option<Proof>; 2],
    /// The source port of the answer, if an answer need not repeat any secret. Such an answer weakly matches the pending probe
    /// of the flow.
    pub weak_from_port: Option<u16>,
}

/// The secrets that an answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The serial.
    pub serial: u16,
    /// The secret that proves it.
    pub secret: Secret,
}

/// A secret that an answer repeats together with the serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// 64 bits. Sufficient, whatever address the answer comes from.
    Tag(u64),
    /// 16 bits, or 32 together with the serial. An answer from another address than the one probed must match a pending probe.
    Check(u16),
}

impl Proof {
    /// Whether `marks` contain the secret.
    pub fn holds(&self, marks: &Marks) -> bool {
        match self.secret {
            Secret::Tag(tag) => marks.tag == tag,
            Secret::Check(check) => marks.check == check,
        }
    }
}
