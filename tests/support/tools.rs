//! Other programs that trace paths: whether they are installed, and what they print.

use std::net::IpAddr;
use std::process::Command;

use crate::support::Ignored;

/// Ignores the case unless `program` is installed and is the implementation that we mean.
pub fn installed(program: &str, version: &str, says: &str) -> Result<(), Ignored> {
    let output = Command::new(program)
        .arg(version)
        .output()
        .map_err(|error| Ignored(format!("{program} cannot be run: {error}")))?;
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    if told.contains(says) {
        return Ok(());
    }
    let first = told.lines().next().unwrap_or_default();
    Err(Ignored(format!("another {program} is installed: {first}")))
}

/// Ignores the case unless a traceroute with our options is installed.
pub fn traceroute_installed() -> Result<(), Ignored> {
    installed("traceroute", "--version", "Modern traceroute for Linux")
}

/// Ignores the case unless scamper is installed.
pub fn scamper_installed() -> Result<(), Ignored> {
    installed("scamper", "-v", "scamper version")
}

/// The hops in the output of either program: one line per hop, with TTL and address or `*`.
pub fn hops(printed: &str) -> Vec<(u8, Option<IpAddr>)> {
    printed
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let ttl = words.next()?.parse().ok()?;
            Some((ttl, words.next()?.parse().ok()))
        })
        .collect()
}
