//! Single values of a network file. A bad value is refused with a hint at what to write instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use toml::Spanned;

use super::RateLimitFile;
use crate::lab::packet::address::is_forwarded;
use crate::lab::packet::wrapping::{ExtensionHeader, Headers, MOST_HEADERS, Wrapping};
use crate::lab::topology::RateLimit;

/// An error in a file, and its position.
#[derive(Debug)]
pub(in crate::lab) struct Problem {
    /// Byte offset in the file.
    pub(in crate::lab) at: usize,
    pub(in crate::lab) problem: String,
    pub(in crate::lab) remedy: String,
}

pub(in crate::lab) fn problem<T>(
    at: &Spanned<T>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Problem {
    Problem {
        at: at.span().start,
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

pub(in crate::lab) fn address_v4(text: &Spanned<String>) -> Result<Ipv4Addr, Problem> {
    parsed_address(text, "IPv4", "10.0.0.1")
}

pub(in crate::lab) fn address_v6(text: &Spanned<String>) -> Result<Ipv6Addr, Problem> {
    parsed_address(text, "IPv6", "2001:db8:f000::1")
}

fn parsed_address<A>(text: &Spanned<String>, family: &str, example: &str) -> Result<A, Problem>
where
    A: std::str::FromStr + Copy + Into<IpAddr>,
{
    let remedy = format!("write a plain {family} address such as {example}");
    let parsed: A = text.get_ref().parse().map_err(|_| {
        problem(
            text,
            format!("`{}` is no {family} address", text.get_ref()),
            remedy.as_str(),
        )
    })?;
    if !is_forwarded(parsed.into()) {
        return Err(problem(
            text,
            format!("no machine can have the address {}", parsed.into()),
            remedy,
        ));
    }
    Ok(parsed)
}

pub(in crate::lab) fn prefix(text: &Spanned<String>) -> Result<IpNet, Problem> {
    let written = text.get_ref();
    let parsed = written
        .parse::<IpNet>()
        .or_else(|_| written.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            problem(
                text,
                format!("`{written}` is no prefix"),
                "write an address such as 198.18.0.1, or a prefix such as 198.18.0.0/24 or 2001:db8:1000::/48",
            )
        })?;
    if parsed.trunc() != parsed {
        return Err(problem(
            text,
            format!("`{written}` has bits set behind its length"),
            format!("write {}", parsed.trunc()),
        ));
    }
    Ok(parsed)
}

/// IPv6 needs lines of at least 1,280 bytes (RFC 8200, section 5).
pub(in crate::lab) fn mtu<T>(at: &Spanned<T>, mtu: u16) -> Result<u16, Problem> {
    if mtu >= 1280 {
        return Ok(mtu);
    }
    Err(problem(
        at,
        format!("mtu = {mtu} is too small for IPv6"),
        "give 1280 to 65535, or leave it out",
    ))
}

pub(in crate::lab) fn checked_share<T>(
    at: &Spanned<T>,
    name: &str,
    value: f64,
) -> Result<f64, Problem> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(problem(
        at,
        format!("{name} = {value} is no share"),
        "give a number from 0 to 1",
    ))
}

pub(in crate::lab) fn nanoseconds<T>(
    at: &Spanned<T>,
    name: &str,
    millis: f64,
) -> Result<u64, Problem> {
    if (0.0..=3_600_000.0).contains(&millis) {
        return Ok((millis * 1e6).round() as u64);
    }
    Err(problem(
        at,
        format!("{name} = {millis} is no delay"),
        "give milliseconds from 0 to 3600000",
    ))
}

pub(in crate::lab) fn rate_limit(limit: &Spanned<RateLimitFile>) -> Result<RateLimit, Problem> {
    let RateLimitFile { per_second, burst } = *limit.get_ref();
    if !(0.001..=1e9).contains(&per_second) || burst == 0 {
        return Err(problem(
            limit,
            format!("a limit of {per_second} a second, {burst} at once, cannot be kept"),
            "give per_second from 0.001 to 1e9 and a burst of at least 1; for none at all, silent = true",
        ));
    }
    Ok(RateLimit {
        interval: (1e9 / per_second).round() as u64,
        burst,
    })
}

/// `quote_bytes`: a number, or "all".
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) enum QuoteBytesFile {
    Bytes(u16),
    All,
}

impl<'de> Deserialize<'de> for QuoteBytesFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(QuoteBytesVisitor)
    }
}

struct QuoteBytesVisitor;

impl Visitor<'_> for QuoteBytesVisitor {
    type Value = QuoteBytesFile;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a number of bytes from 8 to 65535, or \"all\"")
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<QuoteBytesFile, E> {
        let unexpected = || E::invalid_value(Unexpected::Signed(bytes), &self);
        u16::try_from(bytes)
            .map(QuoteBytesFile::Bytes)
            .map_err(|_| unexpected())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<QuoteBytesFile, E> {
        match text {
            "all" => Ok(QuoteBytesFile::All),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// How many bytes are quoted behind the IP header. `None`: as many as fit.
pub(in crate::lab) fn quote_bytes(
    given: Option<&Spanned<QuoteBytesFile>>,
) -> Result<Option<u16>, Problem> {
    match given.map(|at| (at, *at.get_ref())) {
        Some((at, QuoteBytesFile::Bytes(..8))) => Err(problem(
            at,
            "routers quote at least 8 bytes behind the IP header (RFC 792)",
            "give 8 or more, or \"all\" for all that fits",
        )),
        Some((_, QuoteBytesFile::Bytes(bytes))) => Ok(Some(bytes)),
        Some((_, QuoteBytesFile::All)) | None => Ok(None),
    }
}

/// `quote_headers` and `answer_headers`.
pub(in crate::lab) fn headers(given: &[Spanned<ExtensionHeader>]) -> Result<Headers, Problem> {
    if let Some(further) = given.get(MOST_HEADERS) {
        return Err(problem(
            further,
            format!("more than {MOST_HEADERS} extension headers"),
            "give fewer",
        ));
    }
    let headers: Vec<_> = given.iter().map(|header| *header.get_ref()).collect();
    Ok(Headers::new(&headers))
}

/// `answer_headers` and `answer_fragments`.
pub(in crate::lab) fn wrapping(
    given: &[Spanned<ExtensionHeader>],
    fragments: Option<&Spanned<u16>>,
) -> Result<Wrapping, Problem> {
    if let Some(at) = fragments {
        let size = *at.get_ref();
        if size == 0 || size % 8 != 0 {
            return Err(problem(
                at,
                format!("fragments of {size} bytes"),
                "give a multiple of 8: offsets count in eights",
            ));
        }
        let atomic = given
            .iter()
            .find(|header| *header.get_ref() == ExtensionHeader::Fragment);
        if let Some(atomic) = atomic {
            return Err(problem(
                atomic,
                "a fragment header of a packet that is not cut, and answer_fragments",
                "keep one",
            ));
        }
    }
    Ok(Wrapping {
        headers: headers(given)?,
        fragments: fragments.map(|size| *size.get_ref()),
    })
}
