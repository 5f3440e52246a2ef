//! Rows of datasets as values.

use std::net::IpAddr;
use std::str::FromStr;

use crate::dataset::read::{Row, RowError};
use crate::model::{DiamondRow, LinkRow, NodeRow, TraceId, Ttl};

/// The columns of `nodes`, `links` and `diamonds` that these rows are made of.
pub(super) const NODE: [&str; 11] = [
    "trace_id",
    "destination",
    "ttl",
    "address",
    "flows",
    "next_hops",
    "next_hop_flows",
    "miss_probability",
    "stopped_by",
    "varies",
    "is_end",
];
pub(super) const LINK: [&str; 6] = ["trace_id", "destination", "ttl", "near", "far", "flows"];
pub(super) const DIAMOND: [&str; 13] = [
    "trace_id",
    "destination",
    "first_ttl",
    "last_ttl",
    "divergence_ttl",
    "divergence",
    "convergence_ttl",
    "convergence",
    "max_width",
    "max_length",
    "width_asymmetry",
    "meshed",
    "balancer",
];

pub(super) fn node(row: &Row) -> Result<NodeRow, RowError> {
    Ok(NodeRow {
        trace_id: trace_id(row)?,
        destination: address(row, "destination")?,
        ttl: needed("ttl", ttl(row, "ttl")?)?,
        address: address(row, "address")?,
        flows: needed("flows", count(row, "flows")?)?,
        next_hops: count(row, "next_hops")?,
        next_hop_flows: count(row, "next_hop_flows")?,
        miss_probability: row.float("miss_probability")?,
        stopped_by: named(
            row,
            "stopped_by",
            "a reason to stop that this version knows",
        )?,
        varies: row.bool("varies")? == Some(true),
        is_end: row.bool("is_end")? == Some(true),
    })
}

pub(super) fn link(row: &Row) -> Result<LinkRow, RowError> {
    Ok(LinkRow {
        trace_id: trace_id(row)?,
        destination: address(row, "destination")?,
        ttl: needed("ttl", ttl(row, "ttl")?)?,
        near: address(row, "near")?,
        far: address(row, "far")?,
        flows: needed("flows", count(row, "flows")?)?,
    })
}

pub(super) fn diamond(row: &Row) -> Result<DiamondRow, RowError> {
    Ok(DiamondRow {
        trace_id: trace_id(row)?,
        destination: address(row, "destination")?,
        first_ttl: needed("first_ttl", ttl(row, "first_ttl")?)?,
        last_ttl: needed("last_ttl", ttl(row, "last_ttl")?)?,
        divergence_ttl: ttl(row, "divergence_ttl")?,
        divergence: row.address("divergence")?,
        convergence_ttl: ttl(row, "convergence_ttl")?,
        convergence: row.address("convergence")?,
        max_width: needed("max_width", count(row, "max_width")?)?,
        max_length: needed("max_length", count(row, "max_length")?)?,
        width_asymmetry: count(row, "width_asymmetry")?,
        meshed: row.bool("meshed")?,
        balancer: named(
            row,
            "balancer",
            "a type of balancer that this version knows",
        )?,
    })
}

pub(super) fn trace_id(row: &Row) -> Result<TraceId, RowError> {
    needed("trace_id", number(row, "trace_id")?).map(TraceId)
}

pub(super) fn address(row: &Row, column: &str) -> Result<IpAddr, RowError> {
    needed(column, row.address(column)?)
}

/// A text that is never null in a whole dataset.
pub(super) fn text(row: &Row, column: &str) -> Result<String, RowError> {
    needed(column, row.text(column)?).map(str::to_owned)
}

pub(super) fn ttl(row: &Row, column: &str) -> Result<Option<Ttl>, RowError> {
    Ok(whole(row, column, "a TTL")?.map(Ttl))
}

/// A count of up to 32 bits.
pub(super) fn count(row: &Row, column: &str) -> Result<Option<u32>, RowError> {
    whole(row, column, "a count")
}

pub(super) fn number(row: &Row, column: &str) -> Result<Option<u64>, RowError> {
    whole(row, column, "a number from 0")
}

/// A value that is never null in a whole dataset.
pub(super) fn needed<T>(column: &str, value: Option<T>) -> Result<T, RowError> {
    value.ok_or_else(|| RowError::BadValue {
        column: column.to_owned(),
        value: "null".to_owned(),
        wanted: "present",
    })
}

fn whole<T: TryFrom<i64>>(
    row: &Row,
    column: &str,
    wanted: &'static str,
) -> Result<Option<T>, RowError> {
    let Some(value) = row.int(column)? else {
        return Ok(None);
    };
    T::try_from(value)
        .map(Some)
        .map_err(|_| RowError::BadValue {
            column: column.to_owned(),
            value: value.to_string(),
            wanted,
        })
}

fn named<T: FromStr>(row: &Row, column: &str, wanted: &'static str) -> Result<Option<T>, RowError> {
    let Some(text) = row.text(column)? else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| RowError::BadValue {
        column: column.to_owned(),
        value: text.to_owned(),
        wanted,
    })
}
