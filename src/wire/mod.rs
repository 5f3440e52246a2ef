//! Converts between bytes and the model: encodes probes and decodes replies.
//!
//! - An encoder fills a buffer of exactly the size that it announces.
//! - A decoder takes untrusted bytes and checks them once. It returns owned values that cannot be wrong, or the reason why the
//!   packet is discarded.
//! - Nothing here knows the pending probes. The matcher looks them up.
//!
//! | file | what it holds |
//! |---|---|
//! | `checksum` | one's complement sums (RFC 1071) and their adjustment (RFC 1624) |
//! | `token` | the secrets of a run: serials, check and tag of a probe |
//! | `ip` | IP headers of probes |
//! | `payload` | the marks after a transport header |
//! | `protocol` | what a protocol of probes must provide, and the one place that chooses it |
//! | `udp`, `echo`, `tcp` | the protocols: layout, quotes, answers and evidence |
//! | `format` | the properties that all probes of a run share |
//! | `outer` | a received packet, starting with its IP header |
//! | `headers` | IPv6 extension headers, in quoted packets and in replies |
//! | `fragments` | reassembly of fragments |
//! | `icmp` | ICMP errors and echo replies, both versions |
//! | `socket_error` | replies that the kernel delivers to ordinary sockets |
//! | `quote` | the quoted packet of an ICMP error |
//! | `extensions` | ICMP extension structures (RFC 4884, RFC 4950, RFC 5837) |

pub mod checksum;
pub mod echo;
pub mod extensions;
pub mod format;
mod fragments;
mod headers;
pub mod icmp;
pub mod ip;
mod outer;
pub mod payload;
pub mod protocol;
pub mod quote;
mod socket_error;
pub mod tcp;
pub mod token;
pub mod udp;

#[cfg(test)]
mod testing;

pub use fragments::{Reassembler, Taken};
pub use outer::decode;
pub use socket_error::{decode_datagram, decode_echo, decode_error};
