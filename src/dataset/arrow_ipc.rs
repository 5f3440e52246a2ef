//! Arrow IPC: the file format for files, and the stream format for streams. It is not compressed, so that readers can map it into memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::{FileWriter, StreamWriter};

use super::sink::{Sink, SinkError, Target};
use super::table::{TableSchema, plain};

/// The offset at which the stream format begins in a file of the file format. Before it is the magic, padded to the encoder's alignment. A
/// file without its footer can be read as a stream from this offset.
pub(super) const STREAM_AT: usize = 64;

/// The encoder of the file format (`.arrow`).
pub(super) struct ArrowFileSink {
    schema: SchemaRef,
    writer: FileWriter<Target>,
}

impl ArrowFileSink {
    pub(super) fn new(target: Target, table: &TableSchema) -> Result<Self, SinkError> {
        let schema = SchemaRef::clone(table.arrow());
        let writer = FileWriter::try_new(target, &schema)?;
        Ok(ArrowFileSink { schema, writer })
    }
}

impl Sink for ArrowFileSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        Ok(self
            .writer
            .write(&plain(batch, Arc::clone(&self.schema))?)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Target, SinkError> {
        self.writer.finish()?;
        Ok(self.writer.into_inner()?)
    }
}

/// The encoder of the stream format.
pub(super) struct ArrowStreamSink {
    schema: SchemaRef,
    writer: StreamWriter<Target>,
}

impl ArrowStreamSink {
    pub(super) fn new(target: Target, table: &TableSchema) -> Result<Self, SinkError> {
        let schema = SchemaRef::clone(table.arrow());
        let writer = StreamWriter::try_new(target, &schema)?;
        Ok(ArrowStreamSink { schema, writer })
    }
}

impl Sink for ArrowStreamSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        Ok(self
            .writer
            .write(&plain(batch, Arc::clone(&self.schema))?)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Target, SinkError> {
        self.writer.finish()?;
        Ok(self.writer.into_inner()?)
    }
}
