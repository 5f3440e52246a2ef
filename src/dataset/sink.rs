//! What a format of a single stream must do; one file a format.

use std::error::Error;
use std::io::{self, Write};

use arrow::array::RecordBatch;

use super::Format;
use super::files::PendingFile;
use super::parquet::{Footer, ParquetFile};
use super::{arrow_ipc, csv, jsonl, schema::Table};

/// An encoder's error; [`DatasetError::encode`](super::DatasetError::encode) finds out what is behind it.
pub(super) type SinkError = Box<dyn Error + Send + Sync>;

/// Takes batches of hops in the order of the stream.
pub(super) trait Sink: Send {
    /// Encodes a batch (text as dictionaries) and hands over what is complete.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError>;

    /// Ends a run of sorted rows; a format without row groups has nothing to do.
    fn end_group(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Ends the stream and gives back what it was written to.
    fn finish(self: Box<Self>) -> Result<Target, SinkError>;
}

/// Where the bytes of a single stream go.
pub(super) enum Target {
    /// A file that appears when it is whole.
    File(PendingFile),
    /// Standard output, or what else takes a stream.
    Stream(Box<dyn Write + Send>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::File(file) => file.write(bytes),
            Target::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::File(file) => file.flush(),
            Target::Stream(stream) => stream.flush(),
        }
    }
}

/// The encoder of `format`.
pub(super) fn open(
    format: Format,
    target: Target,
    footer: &Footer,
) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match (format, target) {
        (Format::Csv, target) => Box::new(csv::CsvSink::new(target)?),
        (Format::JsonLines, target) => Box::new(jsonl::JsonLinesSink::new(target)),
        (Format::Parquet, target) => {
            Box::new(ParquetSink(ParquetFile::new(target, Table::Hops, footer)?))
        }
        (Format::Arrow, target @ Target::File(_)) => {
            Box::new(arrow_ipc::ArrowFileSink::new(target)?)
        }
        (Format::Arrow, target @ Target::Stream(_)) => {
            Box::new(arrow_ipc::ArrowStreamSink::new(target)?)
        }
    })
}

struct ParquetSink(ParquetFile<Target>);

impl Sink for ParquetSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        Ok(self.0.write(batch)?)
    }

    fn end_group(&mut self) -> Result<(), SinkError> {
        Ok(self.0.end_group()?)
    }

    fn finish(self: Box<Self>) -> Result<Target, SinkError> {
        Ok(self.0.finish()?)
    }
}
