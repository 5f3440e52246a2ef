//! The IPv6 extension headers that the kernel's filters and our decoders skip (RFC 8200, section 4).

/// Hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Routing.
pub const ROUTING: u8 = 43;
/// Fragment.
pub const FRAGMENT: u8 = 44;
/// Authentication (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// Destination options.
pub const DESTINATION: u8 = 60;

/// Most headers that are skipped in a packet. The order in RFC 8200, section 4.1, has six.
pub const MOST_HEADERS: usize = 8;
