//! How values become JSON: in JSON Lines, and in lists and maps of CSV.
//!
//! | value | JSON |
//! |---|---|
//! | number, boolean, text | the same |
//! | time | text: RFC 3339 in UTC, with microseconds |
//! | bytes | text: hexadecimal digits |
//! | list | array |
//! | struct, map | object |
//! | absent, not a number, infinite | null |

use std::sync::Arc;

use arrow::array::{Array, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{FieldRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};

use super::cells::rfc3339;

/// The encoder of times.
pub(super) fn times() -> Arc<dyn EncoderFactory> {
    Arc::new(Times)
}

/// The options for single columns.
pub(super) fn options() -> EncoderOptions {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(times())
}

/// arrow-json knows the zone "UTC" only with a database of time zones. RFC 3339 needs none.
#[derive(Debug)]
struct Times;

impl EncoderFactory for Times {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let times = array.as_primitive_opt::<TimestampMicrosecondType>();
        Ok(times.map(|times| {
            let nulls = times.nulls().cloned();
            NullableEncoder::new(Box::new(TimeEncoder(times)), nulls)
        }))
    }
}

struct TimeEncoder<'a>(&'a TimestampMicrosecondArray);

impl Encoder for TimeEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        let text = rfc3339(self.0.value(row)).unwrap_or_default();
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}
