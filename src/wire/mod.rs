//! Bytes ⇄ model: how a probe looks on the wire, and what a reply says.
//!
//! Encoders fill a buffer of exactly the size they announce. Decoders take untrusted bytes, check them once, and give
//! owned values that cannot be wrong, or the reason why the packet is discarded. Nothing here knows which
//! probes are live: that is the matcher's business.
//!
//! | file | what it holds |
//! |---|---|
//! | `checksum` | one's complement sums (RFC 1071) and their adjustment (RFC 1624) |
//! | `token` | the secrets of a run: serials, check and tag of a probe |
//! | `ip` | IP headers of probes |
//! | `payload` | the marks behind a transport header |
//! | `protocol` | what a protocol of probes must provide, and the one place that chooses it |
//! | `udp`, `echo`, `tcp` | the protocols: layout, quotes, answers and evidence |
//! | `format` | what all probes of a run have in common |
//! | `outer` | a received packet, from its IP header on |
//! | `headers` | IPv6 extension headers, in quotes and in front of answers |
//! | `fragments` | fragments, put together again |
//! | `icmp` | ICMP errors and echo replies, both versions |
//! | `socket_error` | replies as the kernel tells ordinary sockets of them |
//! | `quote` | the quoted packet inside an error |
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
