//! Datasets read back with `pathsurvey::dataset::read`, as plain rows. Tests compare what is on disk.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pathsurvey::dataset::read::{self, Checks, Fault, Row, Rows};
use serde_json::Value;

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
        let run = verified(directory, &manifest);
        Dataset {
            hops: rows(&run, "hops", hop),
            traces: rows(&run, "traces", trace),
            manifest,
        }
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

/// The manifest of the newest run in `directory`. `None` if there is none. The test fails if the manifest is not valid JSON.
///
/// It is that in the folder of the run. The copy in the directory is written after it, so a killed run may leave an older copy.
pub fn manifest(directory: &Path) -> Option<Value> {
    let copy = json(&directory.join("manifest.json"))?;
    json(&run_folder(directory, &copy).join("manifest.json")).or(Some(copy))
}

/// The folder of the run of a manifest in `directory`.
pub fn run_folder(directory: &Path, manifest: &Value) -> PathBuf {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let date = format!("date={}", text(&manifest["date"]));
    // Names of vantage points in these tests need no escapes.
    let vantage = format!("vp=id-{}", text(&manifest["vantage"]["id"]));
    let night = directory.join("runs").join(date).join(vantage);
    night.join(text(&manifest["run_id"]))
}

fn json(path: &Path) -> Option<Value> {
    let text = std::fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).expect("a manifest is always whole JSON"))
}

/// The run of a manifest in `directory`. Checks every part against its entry: size, digest and rows.
fn verified(directory: &Path, manifest: &Value) -> read::Dataset {
    let dataset = read::Dataset::open(directory).expect("a dataset");
    let run = dataset.only(|run| manifest["run_id"] == run.id());
    let [only] = run.runs() else {
        panic!("no run {}", manifest["run_id"]);
    };
    let text: Value = serde_json::from_slice(&only.manifest().to_text()).unwrap();
    assert_eq!(text["tables"], manifest["tables"]);
    let mut faults = run.verify(Checks::ALL, |_| ()).expect("a list of parts");
    // A killed run may leave parts that it could not list any more.
    faults.retain(|fault| !matches!(fault, Fault::Unlisted { .. }));
    assert!(faults.is_empty(), "{faults:?}");
    run
}

/// The parts of `table` in the manifest. Checks each part against its entry.
pub fn verified_parts(directory: &Path, manifest: &Value, table: &str) -> Vec<PathBuf> {
    let run = verified(directory, manifest);
    let rows = run.scan(table).fold(
        || 0,
        |rows, _, batch| {
            *rows += batch.num_rows() as u64;
            Ok(())
        },
        |a, b| a + b,
    );
    assert_eq!(
        manifest["tables"][table]["rows"],
        rows.expect("whole parts")
    );
    let parts = run.runs()[0].parts(table).iter();
    parts.map(|part| part.path().to_owned()).collect()
}

/// Some columns of `table`, each row as a JSON object. Checks each part against its entry in the manifest.
pub fn columns(directory: &Path, manifest: &Value, table: &str, names: &[&str]) -> Vec<Value> {
    let run = verified(directory, manifest);
    let batches = run.scan(table).columns(names).batches();
    let batches = batches.unwrap_or_else(|error| panic!("{error}"));
    let rows = batches.flat_map(|batch| {
        let rows = Rows::new(batch.unwrap_or_else(|error| panic!("{error}")));
        rows.iter().map(|row| row.to_json()).collect::<Vec<_>>()
    });
    rows.collect()
}

/// The rows of one Parquet file, whether a manifest lists it or not.
pub fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.build())
        .unwrap_or_else(|error| panic!("{} is no whole Parquet file: {error}", path.display()))
        .map(|batch| batch.unwrap())
        .collect()
}

/// All rows of a table.
fn rows<T>(dataset: &read::Dataset, table: &str, row: impl Fn(&Cells) -> T) -> Vec<T> {
    let batches = dataset.scan(table).batches();
    let batches = batches.unwrap_or_else(|error| panic!("{error}"));
    let mut found = Vec::new();
    for batch in batches {
        let rows = Rows::new(batch.unwrap_or_else(|error| panic!("{error}")));
        found.extend(rows.iter().map(|cells| row(&Cells(cells))));
    }
    found
}

/// One row. Getters fail the test if the column is of another kind.
struct Cells<'a>(Row<'a>);

impl Cells<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.0.text(name).unwrap().map(str::to_owned)
    }

    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        match self.0.address(name).unwrap()? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(address) => panic!("{name} is {address}"),
        }
    }

    /// An integer that must fit its type.
    fn number<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        let value = self.0.int(name).unwrap()?;
        let number = T::try_from(value);
        Some(number.unwrap_or_else(|_| panic!("{name} is {value}")))
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.bool(name).unwrap()
    }

    /// Microseconds since the epoch.
    fn time(&self, name: &str) -> Option<i64> {
        self.0.time(name).unwrap().map(|time| time.as_micros())
    }
}

fn hop(cells: &Cells) -> Hop {
    Hop {
        trace_id: cells.number("trace_id").unwrap(),
        probe_id: cells.number("probe_id").unwrap(),
        reply_index: cells.number("reply_index").unwrap(),
        destination: cells.address("destination").unwrap(),
        source: cells.address("source"),
        src_port: cells.number("src_port").unwrap(),
        dst_port: cells.number("dst_port").unwrap(),
        ttl: cells.number("ttl").unwrap(),
        attempt: cells.number("attempt").unwrap(),
        purpose: cells.text("purpose").unwrap(),
        probe_size: cells.number("probe_size").unwrap(),
        probe_ip_id: cells.number("probe_ip_id"),
        probe_checksum: cells.number("probe_checksum"),
        sent_at: cells.time("sent_at"),
        status: cells.text("status").unwrap(),
        reason: cells.text("reason"),
        received_at: cells.time("received_at"),
        rtt_us: cells.number("rtt_us"),
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
            assert!(
                cells.0.is_null(name).unwrap(),
                "a row without a responder has a {name}"
            );
        }
        return None;
    };
    Some(HopReply {
        responder,
        icmp_type: cells.number("icmp_type").unwrap(),
        icmp_code: cells.number("icmp_code").unwrap(),
        ttl: cells.number("reply_ttl").unwrap(),
        tos: cells.number("reply_tos").unwrap(),
        size: cells.number("reply_size").unwrap(),
        ip_id: cells.number("reply_ip_id").unwrap(),
        destination: cells.address("reply_destination").unwrap(),
        quoted: Quoted {
            ttl: cells.number("quoted_ttl").unwrap(),
            tos: cells.number("quoted_tos").unwrap(),
            ip_id: cells.number("quoted_ip_id").unwrap(),
            length: cells.number("quoted_length").unwrap(),
            checksum: cells.number("quoted_checksum").unwrap(),
            src_port: cells.number("quoted_src_port").unwrap(),
            dst_port: cells.number("quoted_dst_port").unwrap(),
            source: cells.address("quoted_source").unwrap(),
            destination: cells.address("quoted_destination").unwrap(),
            size: cells.number("quote_size").unwrap(),
        },
        mpls: mpls(cells),
    })
}

fn mpls(cells: &Cells) -> Vec<(u32, u8, bool, u8)> {
    let Some(stack) = cells.0.list("mpls").unwrap() else {
        return Vec::new();
    };
    let labels = stack.iter().map(|label| {
        let label = Cells(label);
        (
            label.number("label").unwrap(),
            label.number("tc").unwrap(),
            label.flag("bottom").unwrap(),
            label.number("ttl").unwrap(),
        )
    });
    labels.collect()
}

fn trace(cells: &Cells) -> Trace {
    Trace {
        trace_id: cells.number("trace_id").unwrap(),
        destination: cells.address("destination").unwrap(),
        flow: cells.number("flow").unwrap(),
        src_port: cells.number("src_port").unwrap(),
        stop_reason: cells.text("stop_reason").unwrap(),
        reached: cells.flag("reached").unwrap(),
        path_length: cells.number("path_length"),
        hops_responding: cells.number("hops_responding").unwrap(),
        probes_sent: cells.number("probes_sent").unwrap(),
        replies: cells.number("replies").unwrap(),
    }
}
