//! Rows of `hops` as an Arrow batch.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Int16Builder, Int32Builder, Int64Builder, ListBuilder,
    RecordBatch, StringBuilder, StructBuilder,
};
use arrow::error::ArrowError;

use super::columns::{Columns, push_address};
use super::schema::{Table, interface_info_fields, list_child, mpls_fields};
use crate::model::{Echoed, HopRecord, QuotedProbe, Reply};

/// What every row of a run shares.
#[derive(Clone, Debug)]
pub(super) struct HopConstants {
    pub run_id: String,
    pub vantage: String,
}

/// A batch of `rows` in the given order, its columns those of [`Table::Hops`].
pub(super) fn hops_batch(
    rows: &[&HopRecord],
    run: &HopConstants,
) -> Result<RecordBatch, ArrowError> {
    let mut columns = Columns::new(rows, Table::Hops.arrow_schema());
    identity(&mut columns, run);
    probe(&mut columns);
    reply(&mut columns);
    quoted(&mut columns);
    extensions(&mut columns);
    columns.finish()
}

type Hops<'a> = Columns<'a, HopRecord>;

fn identity(columns: &mut Hops, run: &HopConstants) {
    columns.constant(&run.run_id);
    columns.int64(|row| Some(row.trace_id.0.cast_signed()));
    columns.int64(|row| row.probe_id.map(|id| id.0.cast_signed()));
    columns.int16(|row| Some(i16::try_from(row.reply_index).unwrap_or(i16::MAX)));
    columns.address(|row| Some(row.destination));
    columns.address(|row| row.source);
    columns.constant(&run.vantage);
    columns.int16(|row| {
        Some(match row.destination {
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 6,
        })
    });
}

fn probe(columns: &mut Hops) {
    columns.name(|row| Some(row.protocol.as_str()));
    columns.int32(|row| row.src_port.map(i32::from));
    columns.int32(|row| row.dst_port.map(i32::from));
    columns.int32(|row| row.icmp_id.map(i32::from));
    columns.int32(|row| row.flow_label.map(u32::cast_signed));
    columns.int32(|row| Some(i32::from(row.flow.0)));
    columns.int32(|row| Some(i32::try_from(row.round).unwrap_or(i32::MAX)));
    columns.int16(|row| row.ttl.map(|ttl| i16::from(ttl.0)));
    columns.int16(|row| Some(i16::from(row.attempt)));
    columns.name(|row| Some(row.purpose.as_str()));
    columns.int32(|row| Some(i32::from(row.probe_size)));
    columns.int16(|row| Some(i16::from(row.probe_tos)));
    columns.int32(|row| row.probe_ip_id.map(i32::from));
    columns.int32(|row| row.probe_checksum.map(i32::from));
    columns.time(|row| row.sent_at);
    columns.name(|row| Some(row.status.as_str()));
    columns.text(|row| row.reason.map(|reason| reason.text()));
}

fn reply(columns: &mut Hops) {
    columns.address(|row| row.responder());
    columns.time(|row| Some(reply_of(row)?.received_at));
    columns.int32(|row| row.rtt_us);
    columns.name(|row| Some(reply_of(row)?.kind.as_str()));
    columns.int16(|row| reply_of(row)?.icmp_type.map(i16::from));
    columns.int16(|row| reply_of(row)?.icmp_code.map(i16::from));
    columns.int16(|row| tcp_flags(reply_of(row)?).map(i16::from));
    columns.int16(|row| reply_of(row)?.ttl.map(i16::from));
    columns.int16(|row| reply_of(row)?.tos.map(i16::from));
    columns.int32(|row| reply_of(row)?.size.map(u32::cast_signed));
    columns.int32(|row| reply_of(row)?.ip_id.map(i32::from));
    columns.address(|row| reply_of(row)?.destination);
}

fn quoted(columns: &mut Hops) {
    columns.int16(|row| quote_of(row)?.ttl.map(i16::from));
    columns.int16(|row| quote_of(row)?.tos.map(i16::from));
    columns.int32(|row| quote_of(row)?.ip_id.map(i32::from));
    columns.int32(|row| quote_of(row)?.length.map(u32::cast_signed));
    columns.int32(|row| quote_of(row)?.checksum().map(i32::from));
    columns.int32(|row| quote_of(row)?.src_port().map(i32::from));
    columns.int32(|row| quote_of(row)?.dst_port().map(i32::from));
    columns.address(|row| quote_of(row)?.source);
    columns.address(|row| Some(quote_of(row)?.destination));
    columns.int32(|row| quote_of(row)?.icmp_id().map(i32::from));
    columns.int32(|row| quote_of(row)?.flow_label.map(u32::cast_signed));
    columns.int32(|row| quote_of(row)?.quote_size.map(i32::from));
}

fn extensions(columns: &mut Hops) {
    columns.int32(|row| {
        reply_of(row)?
            .next_hop_mtu
            .map(|mtu| i32::try_from(mtu).unwrap_or(i32::MAX))
    });
    columns.name(|row| Some(row.evidence?.as_str()));
    match has(columns.rows(), |reply| !reply.mpls.is_empty()) {
        true => columns.push(mpls(columns.rows())),
        false => columns.null(),
    }
    match has(columns.rows(), |reply| !reply.interface_info.is_empty()) {
        true => columns.push(interface_info(columns.rows())),
        false => columns.null(),
    }
    match has(columns.rows(), |reply| reply.icmp_extensions.is_some()) {
        true => columns.push(icmp_extensions(columns.rows())),
        false => columns.null(),
    }
    columns.int64(|row| Some(row.inferred.as_ref()?.from?.0.cast_signed()));
}

fn reply_of(row: &HopRecord) -> Option<&Reply> {
    row.reply.as_deref()
}

/// The flags byte of a TCP answer.
fn tcp_flags(reply: &Reply) -> Option<u8> {
    match reply.echoed? {
        Echoed::Tcp { flags, .. } => Some(flags),
        Echoed::Echo { .. } | Echoed::Udp { .. } => None,
    }
}

fn quote_of(row: &HopRecord) -> Option<&QuotedProbe> {
    row.reply.as_deref()?.quoted.as_ref()
}

fn has(rows: &[&HopRecord], what: impl Fn(&Reply) -> bool) -> bool {
    rows.iter().filter_map(|row| row.reply.as_deref()).any(what)
}

/// Panics only if a builder's type and `schema.rs` disagree, which every test that writes a row would show.
fn member<B: arrow::array::ArrayBuilder>(entries: &mut StructBuilder, at: usize) -> &mut B {
    entries
        .field_builder::<B>(at)
        .expect("the builder is of the schema's type")
}

fn mpls(rows: &[&HopRecord]) -> ArrayRef {
    let child = list_child(mpls_fields());
    let entries = StructBuilder::from_fields(mpls_fields(), rows.len());
    let mut list = ListBuilder::with_capacity(entries, rows.len()).with_field(child);
    for row in rows {
        let stack = reply_of(row).map_or(&[][..], |reply| &reply.mpls);
        let entries = list.values();
        for label in stack {
            member::<Int32Builder>(entries, 0).append_value(label.label.cast_signed());
            member::<Int16Builder>(entries, 1).append_value(i16::from(label.traffic_class));
            member::<BooleanBuilder>(entries, 2).append_value(label.bottom);
            member::<Int16Builder>(entries, 3).append_value(i16::from(label.ttl));
            entries.append(true);
        }
        list.append(!stack.is_empty());
    }
    Arc::new(list.finish())
}

fn interface_info(rows: &[&HopRecord]) -> ArrayRef {
    let child = list_child(interface_info_fields());
    let entries = StructBuilder::from_fields(interface_info_fields(), rows.len());
    let mut list = ListBuilder::with_capacity(entries, rows.len()).with_field(child);
    let mut address = String::new();
    for row in rows {
        let objects = reply_of(row).map_or(&[][..], |reply| &reply.interface_info);
        let entries = list.values();
        for object in objects {
            member::<StringBuilder>(entries, 0).append_value(object.role);
            member::<Int64Builder>(entries, 1).append_option(object.ifindex.map(i64::from));
            address.clear();
            if let Some(known) = object.address {
                push_address(&mut address, known);
            }
            member::<StringBuilder>(entries, 2)
                .append_option(object.address.map(|_| address.as_str()));
            member::<StringBuilder>(entries, 3).append_option(object.name.as_deref());
            member::<Int64Builder>(entries, 4).append_option(object.mtu.map(i64::from));
            entries.append(true);
        }
        list.append(!objects.is_empty());
    }
    Arc::new(list.finish())
}

fn icmp_extensions(rows: &[&HopRecord]) -> ArrayRef {
    let mut bytes = BinaryBuilder::new();
    for row in rows {
        bytes.append_option(reply_of(row).and_then(|reply| reply.icmp_extensions.as_deref()));
    }
    Arc::new(bytes.finish())
}
