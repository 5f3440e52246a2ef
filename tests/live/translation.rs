//! Boxes that change addresses: what came back changed is said to be so, and how.

use std::net::Ipv4Addr;
use std::time::Duration;

use pathsurvey::lab::LabNetwork;

use super::lab::{Surveyed, changed, config, network, survey};
use super::truth::{all_alike, rows_agree};
use crate::rows::Hop;
use crate::support::{Ignored, Outcome};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const VANTAGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What RFC 1624 makes of a UDP checksum where PUBLIC takes the place of VANTAGE, modulo 65535.
fn public_delta() -> u16 {
    let sum = |address: Ipv4Addr| {
        let [a, b, c, d] = address.octets().map(u64::from);
        (a + c) * 256 + b + d
    };
    ((sum(VANTAGE) + 2 * 65_535 - sum(PUBLIC)) % 65_535) as u16
}

/// By how much the quoted checksum differs from the one that was sent, modulo 65535.
fn delta(row: &Hop) -> u16 {
    let quoted = u64::from(row.reply.as_ref().unwrap().quoted.checksum);
    let sent = u64::from(row.probe_checksum.unwrap());
    ((quoted + 65_535 - sent) % 65_535) as u16
}

/// Every answer from beyond the first router, which is the translator in all of these.
fn beyond(surveyed: &Surveyed) -> impl Iterator<Item = &Hop> {
    surveyed.dataset.hops.iter().filter(|row| row.ttl > 1)
}

fn evidence<'a>(rows: impl Iterator<Item = &'a Hop>, name: &str) -> usize {
    rows.filter(|row| row.evidence.as_deref() == Some(name))
        .count()
}

/// Surveys `network`, in which every trace must come out as in a network without the translator.
fn behind_nat(network: LabNetwork) -> Result<Surveyed, Ignored> {
    let mut config = config(&["198.18.0.0/24"]);
    config.timeout = Duration::from_secs(1);
    let surveyed = survey(network, config)?;
    surveyed.account();
    rows_agree(&surveyed.network, &surveyed.dataset, true);
    let reached = ("completed", true, Some(4));
    let shape = "1:r 2:r 3:r 4:r d:r";
    assert_eq!(
        all_alike(&surveyed.dataset, [198, 18, 0], shape, reached),
        256
    );
    let first = surveyed.dataset.hops.iter().filter(|row| row.ttl == 1);
    assert_eq!(evidence(first, "full"), 256);
    Ok(surveyed)
}

/// `nat.toml` with `restore` as given, and everybody beyond the translator quoting but 8 bytes of the probe.
fn short_quotes(restore: &str) -> LabNetwork {
    let restore = format!("restore = \"{restore}\"");
    changed(
        "nat.toml",
        &[
            ("restore = \"address_only\"", &restore),
            ("next = [\"last\"]", "next = [\"last\"]\nquote_bytes = 8"),
            (
                "address = \"10.0.2.1\"",
                "address = \"10.0.2.1\"\nquote_bytes = 8",
            ),
            ("unlimited = true", "unlimited = true\nquote_bytes = 8"),
        ],
    )
}

/// Long quotes hold the tag, which no translator touches: all are sure, and they teach what the translator does.
pub fn nat_with_long_quotes() -> Outcome {
    let surveyed = behind_nat(network("nat.toml"))?;
    assert_eq!(evidence(beyond(&surveyed), "full"), 256 * 4);
    assert!(beyond(&surveyed).all(|row| delta(row) == public_delta()));
    assert_eq!(
        surveyed.dataset.manifest["nat_checksum_delta"],
        public_delta()
    );
    Ok(())
}

/// Short quotes come with the source put right and the checksum left as it was: weak, until 64 of them agree.
pub fn nat_is_learned() -> Outcome {
    let surveyed = behind_nat(short_quotes("address_only"))?;
    assert_eq!(
        surveyed.dataset.count("/nat_checksum_delta"),
        u64::from(public_delta())
    );
    assert_eq!(evidence(beyond(&surveyed), "weak"), 64);
    assert_eq!(evidence(beyond(&surveyed), "rewritten"), 256 * 4 - 64);
    for row in beyond(&surveyed) {
        assert_eq!(row.reply.as_ref().unwrap().quoted.source, VANTAGE);
        assert_eq!(delta(row), public_delta());
    }
    Ok(())
}

/// Where the quoted source is the public address, the checksum follows from it.
pub fn nat_that_restores_nothing() -> Outcome {
    let surveyed = behind_nat(short_quotes("none"))?;
    assert_eq!(evidence(beyond(&surveyed), "rewritten"), 256 * 4);
    for row in beyond(&surveyed) {
        assert_eq!(row.reply.as_ref().unwrap().quoted.source, PUBLIC);
        assert_eq!(delta(row), public_delta());
    }
    assert!(surveyed.dataset.manifest["nat_checksum_delta"].is_null());
    Ok(())
}

/// A translator that puts everything right is not seen.
pub fn nat_that_restores_all() -> Outcome {
    let surveyed = behind_nat(short_quotes("full"))?;
    assert_eq!(evidence(beyond(&surveyed), "full"), 256 * 4);
    assert!(beyond(&surveyed).all(|row| delta(row) == 0));
    Ok(())
}

fn rewritten(network: LabNetwork) -> Outcome {
    let surveyed = survey(network, config(&["198.18.0.0/25", "198.18.1.0/25"]))?;
    surveyed.account();
    let dataset = &surveyed.dataset;
    rows_agree(&surveyed.network, dataset, true);
    let (shape, reached) = ("1:r 2:r 3:r 4:r 5:r d:r", ("completed", true, Some(5)));
    assert_eq!(all_alike(dataset, [198, 18, 0], shape, reached), 128);
    assert_eq!(all_alike(dataset, [198, 18, 1], shape, reached), 128);
    for row in &dataset.hops {
        let [a, _, c, d] = row.destination.octets();
        let changed = c == 0 && row.ttl > 2;
        let (evidence, destination) = match changed {
            true => ("rewritten", [a, 19, c, d].into()),
            false => ("full", row.destination),
        };
        let quoted = &row.reply.as_ref().unwrap().quoted;
        assert_eq!(
            (row.evidence.as_deref(), quoted.destination),
            (Some(evidence), destination),
            "{row:?}"
        );
        // Whole words of the address grew by one (18 to 19): the checksum went down by it.
        assert_eq!(delta(row), if changed { 65_534 } else { 0 });
    }
    Ok(())
}

pub fn rewriting() -> Outcome {
    rewritten(network("rewriting.toml"))
}

pub fn rewriting_with_short_quotes() -> Outcome {
    rewritten(changed(
        "rewriting.toml",
        &[
            ("next = [\"last\"]", "next = [\"last\"]\nquote_bytes = 8"),
            (
                "address = \"10.0.3.1\"",
                "address = \"10.0.3.1\"\nquote_bytes = 8",
            ),
            (
                "prefix = \"198.19.0.0/24\"",
                "prefix = \"198.19.0.0/24\"\nquote_bytes = 8",
            ),
        ],
    ))
}
