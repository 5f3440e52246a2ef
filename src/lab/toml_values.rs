//! Single values of a network file: checked, or refused with what to write instead.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Spanned;

use super::toml_file::RateLimitFile;
use super::topology::RateLimit;

/// What is wrong with a file, and where.
#[derive(Debug)]
pub(super) struct Problem {
    /// Byte offset in the file.
    pub(super) at: usize,
    pub(super) problem: String,
    pub(super) remedy: String,
}

pub(super) fn problem<T>(
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

pub(super) fn address(text: &Spanned<String>) -> Result<Ipv4Addr, Problem> {
    let remedy = "write a plain IPv4 address such as 10.0.0.1";
    let parsed: Ipv4Addr = text.get_ref().parse().map_err(|_| {
        problem(
            text,
            format!("`{}` is no IPv4 address", text.get_ref()),
            remedy,
        )
    })?;
    if parsed.is_multicast()
        || parsed.is_broadcast()
        || parsed.is_unspecified()
        || parsed.is_loopback()
    {
        return Err(problem(
            text,
            format!("no machine can have the address {parsed}"),
            remedy,
        ));
    }
    Ok(parsed)
}

pub(super) fn prefix(text: &Spanned<String>) -> Result<Ipv4Net, Problem> {
    let written = text.get_ref();
    let parsed = written
        .parse::<Ipv4Net>()
        .or_else(|_| written.parse::<Ipv4Addr>().map(Ipv4Net::from))
        .map_err(|_| {
            problem(
                text,
                format!("`{written}` is no IPv4 prefix"),
                "write an address such as 198.18.0.1 or a prefix such as 198.18.0.0/24",
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

pub(super) fn checked_share<T>(at: &Spanned<T>, name: &str, value: f64) -> Result<f64, Problem> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(problem(
        at,
        format!("{name} = {value} is no share"),
        "give a number from 0 to 1",
    ))
}

pub(super) fn nanoseconds<T>(at: &Spanned<T>, name: &str, millis: f64) -> Result<u64, Problem> {
    if (0.0..=3_600_000.0).contains(&millis) {
        return Ok((millis * 1e6).round() as u64);
    }
    Err(problem(
        at,
        format!("{name} = {millis} is no delay"),
        "give milliseconds from 0 to 3600000",
    ))
}

pub(super) fn rate_limit(limit: &Spanned<RateLimitFile>) -> Result<RateLimit, Problem> {
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

pub(super) fn quote_bytes(bytes: Option<&Spanned<u16>>) -> Result<Option<u16>, Problem> {
    match bytes {
        Some(at) if *at.get_ref() < 8 => Err(problem(
            at,
            "routers quote at least 8 bytes behind the IP header (RFC 792)",
            "give 8 or more, or leave quote_bytes out to quote all that fits",
        )),
        given => Ok(given.map(|bytes| *bytes.get_ref())),
    }
}
