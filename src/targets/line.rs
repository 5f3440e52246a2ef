//! Parses one target: an address, a prefix or a host name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::resolver::Unresolved;

/// The target that a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineTarget {
    Address(IpAddr),
    /// An address and a length that fits its family. Bits beyond the length may be set.
    Prefix(IpAddr, u8),
    /// A host name with valid syntax. It is resolved later.
    Name,
}

/// Why a line is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It looks like an IPv4 address, but is not one.
    #[error("not an IPv4 address: four numbers from 0 to 255, without leading zeros")]
    Ipv4,
    /// It looks like an IPv6 address, but is not one.
    #[error("not an IPv6 address")]
    Ipv6,
    /// An IPv6 address with a zone.
    #[error("an IPv6 address with a zone is valid on one link only, and cannot be surveyed")]
    Zone,
    /// The part before the `/` is not an address.
    #[error("not a prefix: the part before the `/` is not an address")]
    PrefixAddress,
    /// The part after the `/` is not a valid length.
    #[error("not a prefix: the length is a number from 0 to {0}")]
    PrefixLength(u8),
    /// The name cannot be a host name.
    #[error(
        "not a host name: up to 253 characters; each part has 1 to 63 letters, digits, `-` and `_`, and neither begins nor ends with `-`"
    )]
    Name,
    /// The name has letters outside ASCII.
    #[error("not a host name: write names outside ASCII in their `xn--` form")]
    NotAscii,
    /// There is text after the target.
    #[error(
        "more than one word: give one target per line, or a CSV with a column `target` in its header"
    )]
    Words,
    /// A row of CSV in a list without a CSV header.
    #[error("a comma: a CSV needs a header with a column `target`")]
    Comma,
    /// Columns that are not separated by commas.
    #[error("columns are separated by commas only, and the header needs a column `target`")]
    Separator,
    /// Quotes in a list that is not a CSV.
    #[error("quotes: only a CSV has them, and a CSV needs a header with a column `target`")]
    Quoted,
    /// A port after the target.
    #[error("a target has no port: leave it out, and set the port of all targets with --dest-port")]
    Port,
    /// A range of addresses.
    #[error("ranges are not supported: give a prefix, such as 192.0.2.0/24")]
    Range,
    /// The cell of the target is empty, but other cells are not.
    #[error("the target is missing")]
    Missing,
    /// A row has more or fewer cells than the header.
    #[error("{found} cells, but the header has {expected}")]
    Cells {
        /// Cells in the row.
        found: usize,
        /// Columns in the header.
        expected: usize,
    },
    /// A quoted cell without an end.
    #[error(
        "a quote is opened here and not closed within {} lines",
        super::csv_list::MOST_LINES
    )]
    OpenQuote,
    /// Bytes that are 0, such as those of UTF-16, or between entries.
    #[error(
        "it has NUL bytes: give one target per line, and save the list as UTF-8 if this part of it is UTF-16"
    )]
    Nul,
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    Encoding,
    /// Longer than any target with its labels may be.
    #[error("longer than {} bytes", super::reader::LONGEST)]
    Long,
    /// A host name without an address.
    #[error("cannot be resolved: {0}")]
    Unresolved(Unresolved),
    /// A host name in a blocklist.
    #[error("a blocklist holds addresses and prefixes, not host names")]
    BlockedName,
}

/// Parses a target. `text` must not begin or end with blanks.
pub(super) fn parse(text: &str) -> Result<LineTarget, Fault> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(LineTarget::Address(address.into()));
    }
    if text.contains('\0') {
        return Err(Fault::Nul);
    }
    if text.contains(',') {
        return Err(Fault::Comma);
    }
    if let Some(fault) = form_of_other_tools(text) {
        return Err(fault);
    }
    if text.contains(char::is_whitespace) {
        return Err(Fault::Words);
    }
    if let Some((address, length)) = text.split_once('/') {
        return prefix(address, length);
    }
    if text.contains(':') {
        return match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(LineTarget::Address(address.into())),
            Err(_) if text.contains('%') => Err(Fault::Zone),
            Err(_) => Err(Fault::Ipv6),
        };
    }
    name(text).map(|()| LineTarget::Name)
}

/// Recognises forms that other programs accept and this one does not. The message of the returned error gives the form to use.
fn form_of_other_tools(text: &str) -> Option<Fault> {
    if text.contains([';', '\t']) {
        return Some(Fault::Separator);
    }
    if text.starts_with('"') {
        return Some(Fault::Quoted);
    }
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (first.trim(), last.trim());
        let ends = last.parse::<IpAddr>().is_ok() || number(last);
        if ends && first.parse::<IpAddr>().is_ok() {
            return Some(Fault::Range);
        }
    }
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let takes_port = match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        // No IPv6 address has a single colon.
        None => host.parse::<Ipv4Addr>().is_ok() || name(host).is_ok(),
    };
    (takes_port && number(port)).then_some(Fault::Port)
}

fn prefix(address: &str, length: &str) -> Result<LineTarget, Fault> {
    let address: IpAddr = address.parse().map_err(|_| Fault::PrefixAddress)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    match length.parse::<u8>() {
        Ok(length) if digits && length <= most => Ok(LineTarget::Prefix(address, length)),
        _ => Err(Fault::PrefixLength(most)),
    }
}

/// Checks a name before it is resolved. A name whose last part is a number is refused as a wrong IPv4 address: resolvers read `1.2.3`,
/// `0x7f.1` and `300.1.1.1` as addresses in different ways, or ask the root servers.
fn name(text: &str) -> Result<(), Fault> {
    if !text.is_ascii() {
        return Err(Fault::NotAscii);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if number {
        return Err(Fault::Ipv4);
    }
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(part) {
        Ok(())
    } else {
        Err(Fault::Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_names_are_recognised() {
        let v4 = |a, b, c, d| IpAddr::from([a, b, c, d]);
        for (text, expected) in [
            ("192.0.2.1", LineTarget::Address(v4(192, 0, 2, 1))),
            (
                "2001:DB8::1",
                LineTarget::Address("2001:db8::1".parse().unwrap()),
            ),
            ("10.0.0.5/24", LineTarget::Prefix(v4(10, 0, 0, 5), 24)),
            ("0.0.0.0/0", LineTarget::Prefix(v4(0, 0, 0, 0), 0)),
            (
                "2001:db8::/128",
                LineTarget::Prefix("2001:db8::".parse().unwrap(), 128),
            ),
            ("www.example.net", LineTarget::Name),
            ("example.net.", LineTarget::Name),
            ("localhost", LineTarget::Name),
            ("1.2.3.4.in-addr.arpa", LineTarget::Name),
            ("_dns.3com.example", LineTarget::Name),
            ("0xg.example", LineTarget::Name),
            ("10-0-0-5.example", LineTarget::Name),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_number_is_never_a_host_name() {
        for text in [
            "1.2.3.4.5",
            "300.1.1.1",
            "1.2.3",
            "010.0.0.1",
            "127.1",
            "42",
            "0x7f.1",
            "0X7F000001",
            "1.2.3.4.",
            "a.0x",
            "host.7",
        ] {
            assert_eq!(parse(text), Err(Fault::Ipv4), "{text}");
        }
    }

    #[test]
    fn each_fault_is_recognised() {
        for (text, fault) in [
            ("10.0.0.0/33", Fault::PrefixLength(32)),
            ("10.0.0.0/", Fault::PrefixLength(32)),
            ("10.0.0.0/+8", Fault::PrefixLength(32)),
            ("10.0.0.0/255.0.0.0", Fault::PrefixLength(32)),
            ("2001:db8::/129", Fault::PrefixLength(128)),
            ("10/8", Fault::PrefixAddress),
            ("https://example.net", Fault::PrefixAddress),
            ("2001:db8:::1", Fault::Ipv6),
            ("192.0.2.1:80", Fault::Port),
            ("www.example.net:443", Fault::Port),
            ("[2001:db8::1]:80", Fault::Port),
            ("[2001:db8::1]", Fault::Ipv6),
            ("2001:db8::1::80", Fault::Ipv6),
            ("192.0.2.1-192.0.2.5", Fault::Range),
            ("192.0.2.1 - 192.0.2.5", Fault::Range),
            ("192.0.2.1-5", Fault::Range),
            ("2001:db8::1-2001:db8::5", Fault::Range),
            ("\"192.0.2.1\"", Fault::Quoted),
            ("region;target", Fault::Separator),
            ("eu;192.0.2.1", Fault::Separator),
            ("region\ttarget", Fault::Separator),
            ("fe80::1%eth0", Fault::Zone),
            ("1\u{0}9\u{0}2\u{0}.\u{0}", Fault::Nul),
            ("a..b", Fault::Name),
            ("-a.example", Fault::Name),
            ("a b", Fault::Words),
            ("192.0.2.1,64500", Fault::Comma),
            ("bücher.example", Fault::NotAscii),
            (&"a".repeat(64), Fault::Name),
            (&"a.".repeat(130), Fault::Name),
            (".", Fault::Name),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }
}
