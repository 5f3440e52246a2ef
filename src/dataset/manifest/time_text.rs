//! Times in manifests: RFC 3339 in UTC with microseconds, or null.

use chrono::DateTime;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dataset::cells::rfc3339;
use crate::model::Time;

pub(in crate::dataset) fn serialize<S: Serializer>(
    time: &Option<Time>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = time.and_then(|time| rfc3339(time.as_micros()));
    text.serialize(serializer)
}

pub(in crate::dataset) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Time>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let nanos = DateTime::parse_from_rfc3339(&text)
        .ok()
        .and_then(|time| u64::try_from(time.timestamp_nanos_opt()?).ok());
    match nanos {
        Some(nanos) => Ok(Some(Time::from_nanos(nanos))),
        None => Err(D::Error::custom(format_args!(
            "`{text}` is not a time such as 2026-03-01T00:00:00Z"
        ))),
    }
}
