//! Bytes ⇄ model: how a probe looks on the wire, and what a reply says.
//!
//! Encoders fill a buffer of exactly the size they announce. Decoders take untrusted bytes, check them once, and give
//! owned values that cannot be wrong, or the reason why the packet is discarded. Nothing here knows which
//! probes are live: that is the matcher's business.
//!
//! | file | what it holds |
//! |---|---|
//! | `checksum` | one's complement sums (RFC 1071) and their adjustment (RFC 1624) |
//! | `token` | the secrets of a run: IP ID order, check and tag of a probe |
//! | `udp` | UDP probes over IPv4 |
//! | `icmp` | ICMPv4 error messages |
//! | `quote` | the quoted packet inside them |
//! | `extensions` | ICMP extension structures (RFC 4884, RFC 4950) |

pub mod checksum;
pub mod extensions;
pub mod icmp;
pub mod quote;
pub mod token;
pub mod udp;
