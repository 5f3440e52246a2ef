//! Datasets read back with the Parquet reader, as plain rows. Tests compare what is on disk.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use arrow::array::{
    Array, AsArray, BooleanArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A row of `hops`. Fields have the names of the columns.
#[derive(Clone, Debug)]
pub struct Hop {
    pub trace_id: i64,
    pub probe_id: i64,
    pub reply_index: i16,
    pub destination: Ipv4Addr,
    pub source: Option<Ipv4Addr>,
    pub src_port: u16,
    pub dst_port: u16,
    pub ttl: u8,
    pub attempt: i16,
    pub purpose: String,
    pub probe_size: i32,
    pub probe_ip_id: Option<u16>,
    pub probe_checksum: Option<u16>,
    /// Microseconds since the epoch.
    pub sent_at: Option<i64>,
    pub status: String,
    pub reason: Option<String>,
    /// Microseconds since the epoch.
    pub received_at: Option<i64>,
    pub rtt_us: Option<i32>,
    pub evidence: Option<String>,
    /// The other columns of the reply. `None` if they are all null.
    pub reply: Option<HopReply>,
}

/// The columns that follow from the reply's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopReply {
    pub responder: Ipv4Addr,
    pub icmp_type: u8,
    pub icmp_code: u8,
    pub ttl: u8,
    pub tos: u8,
    pub size: i32,
    pub ip_id: u16,
    pub destination: Ipv4Addr,
    pub quoted: Quoted,
    /// Label, traffic class, bottom of stack, TTL; top first.
    pub mpls: Vec<(u32, u8, bool, u8)>,
}

/// The quoted probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    pub ttl: u8,
    pub tos: u8,
    pub ip_id: u16,
    pub length: i32,
    pub checksum: u16,
    pub src_port: u16,
    pub dst_port: u16,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub size: i32,
}

/// A row of `traces`.
#[derive(Clone, Debug)]
pub struct Trace {
    pub trace_id: i64,
    pub destination: Ipv4Addr,
    pub flow: i32,
    pub src_port: u16,
    pub stop_reason: String,
    pub reached: bool,
    pub path_length: Option<u8>,
    pub hops_responding: i32,
    pub probes_sent: i32,
    pub replies: i32,
}

/// A dataset directory.
#[derive(Debug)]
pub struct Dataset {
    pub manifest: Value,
    /// In the order of the parts, and in the order of rows within each part.
    pub hops: Vec<Hop>,
    pub traces: Vec<Trace>,
}

impl Dataset {
    /// Reads the parts in the manifest of `directory`. Checks each part against the manifest.
    pub fn read(directory: &Path) -> Self {
        let manifest = manifest(directory).expect("a manifest");
        let mut dataset = Dataset {
            hops: Vec::new(),
            traces: Vec::new(),
            manifest,
        };
        for path in verified_parts(directory, &dataset.manifest, "hops") {
            for batch in batches(&path) {
                (0..batch.num_rows()).for_each(|at| dataset.hops.push(hop(&Cells(&batch, at))));
            }
        }
        for path in verified_parts(directory, &dataset.manifest, "traces") {
            for batch in batches(&path) {
                (0..batch.num_rows()).for_each(|at| dataset.traces.push(trace(&Cells(&batch, at))));
            }
        }
        dataset
    }

    /// The number at `pointer` (RFC 6901) in the manifest.
    pub fn count(&self, pointer: &str) -> u64 {
        let value = self.manifest.pointer(pointer);
        value
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer} of the manifest is {value:?}"))
    }

    /// The rows of probes, without further replies.
    pub fn probes(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().filter(|row| row.reply_index == 0)
    }
}

/// The manifest of `directory`. `None` if there is none. The test fails if the manifest is not valid JSON.
pub fn manifest(directory: &Path) -> Option<Value> {
    let text = std::fs::read(directory.join("manifest.json")).ok()?;
    Some(serde_json::from_slice(&text).expect("a manifest is always whole JSON"))
}

/// The parts of `table` in the manifest. Checks each part against its entry.
pub fn verified_parts(directory: &Path, manifest: &Value, table: &str) -> Vec<PathBuf> {
    let parts = manifest["tables"][table]["parts"].as_array().unwrap();
    let verified = parts.iter().map(|part| {
        let path = directory.join(part["path"].as_str().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(part["sha256"], hex.as_str(), "{}", path.display());
        assert_eq!(part["bytes"], bytes.len());
        let rows: usize = batches(&path).iter().map(RecordBatch::num_rows).sum();
        assert_eq!(part["rows"], rows);
        path
    });
    verified.collect()
}

/// The rows of one Parquet file.
pub fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.build())
        .unwrap_or_else(|error| panic!("{} is no whole Parquet file: {error}", path.display()))
        .map(|batch| batch.unwrap())
        .collect()
}

/// One row of a batch, by column name.
struct Cells<'a>(&'a RecordBatch, usize);

impl Cells<'_> {
    fn column<A: Array + 'static>(&self, name: &str) -> Option<&A> {
        let column = self.0.column_by_name(name).expect(name);
        let typed = column.as_any().downcast_ref::<A>().expect(name);
        typed.is_valid(self.1).then_some(typed)
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.column::<StringArray>(name)?.value(self.1).to_owned())
    }

    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        Some(self.text(name)?.parse().unwrap())
    }

    fn int16(&self, name: &str) -> Option<i16> {
        Some(self.column::<Int16Array>(name)?.value(self.1))
    }

    fn int32(&self, name: &str) -> Option<i32> {
        Some(self.column::<Int32Array>(name)?.value(self.1))
    }

    fn int64(&self, name: &str) -> Option<i64> {
        Some(self.column::<Int64Array>(name)?.value(self.1))
    }

    fn time(&self, name: &str) -> Option<i64> {
        Some(
            self.column::<TimestampMicrosecondArray>(name)?
                .value(self.1),
        )
    }

    fn byte(&self, name: &str) -> Option<u8> {
        self.int16(name).map(|value| u8::try_from(value).unwrap())
    }

    fn port(&self, name: &str) -> Option<u16> {
        self.int32(name).map(|value| u16::try_from(value).unwrap())
    }
}

fn hop(cells: &Cells) -> Hop {
    Hop {
        trace_id: cells.int64("trace_id").unwrap(),
        probe_id: cells.int64("probe_id").unwrap(),
        reply_index: cells.int16("reply_index").unwrap(),
        destination: cells.address("destination").unwrap(),
        source: cells.address("source"),
        src_port: cells.port("src_port").unwrap(),
        dst_port: cells.port("dst_port").unwrap(),
        ttl: cells.byte("ttl").unwrap(),
        attempt: cells.int16("attempt").unwrap(),
        purpose: cells.text("purpose").unwrap(),
        probe_size: cells.int32("probe_size").unwrap(),
        probe_ip_id: cells.port("probe_ip_id"),
        probe_checksum: cells.port("probe_checksum"),
        sent_at: cells.time("sent_at"),
        status: cells.text("status").unwrap(),
        reason: cells.text("reason"),
        received_at: cells.time("received_at"),
        rtt_us: cells.int32("rtt_us"),
        evidence: cells.text("evidence"),
        reply: reply(cells),
    }
}

/// Either every column of a reply has a value, or none.
fn reply(cells: &Cells) -> Option<HopReply> {
    let Some(responder) = cells.address("responder") else {
        let columns = [
            "reply_kind",
            "icmp_type",
            "icmp_code",
            "reply_ttl",
            "reply_tos",
            "reply_size",
            "reply_ip_id",
            "reply_destination",
            "quoted_ttl",
            "quoted_ip_id",
            "quoted_source",
            "quoted_destination",
            "quote_size",
            "received_at",
            "rtt_us",
            "evidence",
            "mpls",
            "icmp_extensions",
        ];
        for name in columns {
            let column = cells.0.column_by_name(name).expect(name);
            assert!(
                column.is_null(cells.1),
                "a row without a responder has a {name}"
            );
        }
        return None;
    };
    Some(HopReply {
        responder,
        icmp_type: cells.byte("icmp_type").unwrap(),
        icmp_code: cells.byte("icmp_code").unwrap(),
        ttl: cells.byte("reply_ttl").unwrap(),
        tos: cells.byte("reply_tos").unwrap(),
        size: cells.int32("reply_size").unwrap(),
        ip_id: cells.port("reply_ip_id").unwrap(),
        destination: cells.address("reply_destination").unwrap(),
        quoted: Quoted {
            ttl: cells.byte("quoted_ttl").unwrap(),
            tos: cells.byte("quoted_tos").unwrap(),
            ip_id: cells.port("quoted_ip_id").unwrap(),
            length: cells.int32("quoted_length").unwrap(),
            checksum: cells.port("quoted_checksum").unwrap(),
            src_port: cells.port("quoted_src_port").unwrap(),
            dst_port: cells.port("quoted_dst_port").unwrap(),
            source: cells.address("quoted_source").unwrap(),
            destination: cells.address("quoted_destination").unwrap(),
            size: cells.int32("quote_size").unwrap(),
        },
        mpls: mpls(cells),
    })
}

fn mpls(cells: &Cells) -> Vec<(u32, u8, bool, u8)> {
    let column = cells.0.column_by_name("mpls").unwrap();
    if column.is_null(cells.1) {
        return Vec::new();
    }
    let stack = column.as_list::<i32>().value(cells.1);
    let stack: &StructArray = stack.as_struct();
    let small = |at: usize, row: usize| {
        let values: &Int16Array = stack.column(at).as_any().downcast_ref().unwrap();
        u8::try_from(values.value(row)).unwrap()
    };
    let labels: &Int32Array = stack.column(0).as_any().downcast_ref().unwrap();
    let bottoms: &BooleanArray = stack.column(2).as_boolean();
    (0..stack.len())
        .map(|row| {
            (
                u32::try_from(labels.value(row)).unwrap(),
                small(1, row),
                bottoms.value(row),
                small(3, row),
            )
        })
        .collect()
}

fn trace(cells: &Cells) -> Trace {
    Trace {
        trace_id: cells.int64("trace_id").unwrap(),
        destination: cells.address("destination").unwrap(),
        flow: cells.int32("flow").unwrap(),
        src_port: cells.port("src_port").unwrap(),
        stop_reason: cells.text("stop_reason").unwrap(),
        reached: cells
            .column::<BooleanArray>("reached")
            .unwrap()
            .value(cells.1),
        path_length: cells.byte("path_length"),
        hops_responding: cells.int32("hops_responding").unwrap(),
        probes_sent: cells.int32("probes_sent").unwrap(),
        replies: cells.int32("replies").unwrap(),
    }
}
