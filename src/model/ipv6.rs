//! IPv6 extension headers that are stepped over (RFC 8200, section 4), by the kernel's filters and by decoders alike.

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

/// Headers that are stepped over in a packet. RFC 8200, section 4.1, has an order with six.
pub const MOST_HEADERS: usize = 8;
