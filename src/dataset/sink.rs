//! The interface of the formats for single streams. Each format is one file, and [`open`] chooses one.

use std::error::Error;
use std::io::{self, Write};

use arrow::array::RecordBatch;

use super::Format;
use super::files::{PendingFile, Stream};
use super::parquet::{Footer, ParquetFile};
use super::table::TableSchema;
use super::{arrow_ipc, csv, jsonl};

/// The error of an encoder. [`DatasetError::encode`](super::DatasetError::encode) finds its cause.
pub(super) type SinkError = Box<dyn Error + Send + Sync>;

/// The encoder of a stream. It takes batches of one table in the order of the stream.
pub(super) trait Sink: Send {
    /// Encodes a batch, whose text is in dictionaries. Passes complete rows on to the target; Parquet may keep them until the end of a group.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError>;

    /// Ends a group of sorted rows. Formats without row groups do nothing.
    fn end_group(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Ends the stream. Returns the underlying writer.
    fn finish(self: Box<Self>) -> Result<Target, SinkError>;
}

/// The receiver of a single stream's bytes.
pub(super) enum Target {
    /// A file that appears when it is whole.
    File(Box<PendingFile>),
    /// Standard output, a FIFO or a device. Its end may fail as well: see [`Stream::close`].
    Descriptor(Stream),
    /// Another stream.
    Stream(Box<dyn Write + Send>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::File(file) => file.write(bytes),
            Target::Descriptor(stream) => stream.write(bytes),
            Target::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::File(file) => file.flush(),
            Target::Descriptor(stream) => stream.flush(),
            Target::Stream(stream) => stream.flush(),
        }
    }
}

/// Opens the encoder of `format` for rows of `table`.
pub(super) fn open(
    format: Format,
    target: Target,
    table: &TableSchema,
    footer: &Footer,
) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match (format, target) {
        (Format::Csv, target) => Box::new(csv::CsvSink::new(target, table)?),
        (Format::JsonLines, target) => Box::new(jsonl::JsonLinesSink::new(target)),
        (Format::Parquet, target) => {
            Box::new(ParquetSink(ParquetFile::new(target, table, footer)?))
        }
        (Format::Arrow, target @ Target::File(_)) => {
            Box::new(arrow_ipc::ArrowFileSink::new(target, table)?)
        }
        (Format::Arrow, target @ (Target::Descriptor(_) | Target::Stream(_))) => {
            Box::new(arrow_ipc::ArrowStreamSink::new(target, table)?)
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
