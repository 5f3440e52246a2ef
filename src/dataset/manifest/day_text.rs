//! Days in manifests, such as 2026-03-01, or null.

use chrono::NaiveDate;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FORMAT: &str = "%Y-%m-%d";

pub(super) fn serialize<S: Serializer>(
    day: &Option<NaiveDate>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = day.map(|day| day.format(FORMAT).to_string());
    text.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NaiveDate>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    NaiveDate::parse_from_str(&text, FORMAT)
        .map(Some)
        .map_err(|_| D::Error::custom(format_args!("`{text}` is not a day such as 2026-03-01")))
}
