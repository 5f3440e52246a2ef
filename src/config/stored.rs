//! The stored form of a configuration: the member `config` of a manifest.
//!
//! [`SurveyConfig::from_json`] reads what serde wrote. A member that an older version of the program did not write has its default. A member
//! that this version does not know is an error: a run that ignored it would not be the same run.

use serde_json::Value;

use super::SurveyConfig;

/// Why a stored configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredConfigError {
    /// A member has a value of another kind.
    #[error("the stored configuration cannot be read: {0}")]
    Value(#[from] serde_json::Error),
    /// Members that this version does not know.
    #[error(
        "the stored configuration has members that this version does not know ({}): use the version of the program that wrote it, or a newer one",
        .0.join(", ")
    )]
    Unknown(Vec<String>),
}

impl SurveyConfig {
    /// Reads a stored configuration. It is as valid as it was when it was stored: call [`SurveyConfig::validate`].
    ///
    /// # Errors
    /// [`StoredConfigError`] names the members that cannot be read.
    pub fn from_json(stored: &Value) -> Result<Self, StoredConfigError> {
        // A list would be taken for the members in their order.
        if !stored.is_object() {
            let error = serde::de::Error::custom("it is not an object");
            return Err(StoredConfigError::Value(error));
        }
        let mut found = Vec::new();
        let config: SurveyConfig = read_members(stored)?;
        unknown("", stored, &serde_json::to_value(&config)?, &mut found);
        match found.is_empty() {
            true => Ok(config),
            false => Err(StoredConfigError::Unknown(found)),
        }
    }
}

/// Reads a configuration. An error names the member whose value is of another kind.
fn read_members(stored: &Value) -> Result<SurveyConfig, serde_json::Error> {
    let read = serde_json::from_value(stored.clone());
    let (Err(error), Value::Object(members)) = (&read, stored) else {
        return read;
    };
    // The first member that cannot be read alone.
    let bad = members.iter().find(|(name, value)| {
        let alone = serde_json::json!({ name.as_str(): value });
        serde_json::from_value::<SurveyConfig>(alone).is_err()
    });
    match bad {
        Some((name, _)) => Err(serde::de::Error::custom(format!("`{name}`: {error}"))),
        None => read,
    }
}

/// Adds the names of members of `stored` that `known` lacks to `found`.
fn unknown(path: &str, stored: &Value, known: &Value, found: &mut Vec<String>) {
    let (Value::Object(stored), Value::Object(known)) = (stored, known) else {
        return;
    };
    for (name, value) in stored {
        let path = format!("{path}{name}");
        match known.get(name) {
            Some(known) => unknown(&format!("{path}."), value, known, found),
            None => found.push(path),
        }
    }
}

/// A span of time in seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(span.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        from_seconds(f64::deserialize(deserializer)?)
    }

    pub fn from_seconds<E: Error>(seconds: f64) -> Result<Duration, E> {
        let refused = |_| E::custom(format_args!("{seconds} is not a time in seconds"));
        Duration::try_from_secs_f64(seconds).map_err(refused)
    }
}

/// A span of time in seconds, or null.
pub(super) mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        span.map(|span| span.as_secs_f64()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds.map(super::seconds::from_seconds).transpose()
    }
}

/// A day as `YYYY-MM-DD`, or null.
pub(super) mod day {
    use chrono::NaiveDate;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        day: &Option<NaiveDate>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        day.map(|day| day.to_string()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<NaiveDate>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parse = |text: String| {
            text.parse()
                .map_err(|_| D::Error::custom(format_args!("`{text}` is not a day")))
        };
        text.map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::NaiveDate;
    use serde_json::{Value, json};

    use super::super::*;
    use super::StoredConfigError;

    /// A configuration in which no member has its default.
    fn unusual() -> SurveyConfig {
        SurveyConfig {
            targets: TargetSpec {
                arguments: vec!["192.0.2.0/24".to_owned(), "www.example.org".to_owned()],
                files: vec!["-".into(), "lists/a.csv".into()],
                blocklists: vec!["blocked.txt".into()],
                per_prefix: 7,
                target_seed: u64::MAX,
                allow_special: true,
                allow_large: true,
                strict: true,
                families: Families::Both,
                resolve_targets: Families::Ipv6,
                resolvers: vec![
                    "192.0.2.53:53".parse().unwrap(),
                    "[fe80::1%3]:5353".parse().unwrap(),
                ],
            },
            strategy: StrategyChoice::Sweep,
            transport: TransportChoice::Raw,
            protocol: Protocol::Tcp,
            tcp_flags: TcpFlags::Ack,
            tos: 0xb8,
            packet_size: Some(1_400),
            mtu: true,
            probes_per_hop: 3,
            sources: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            interface: Some("eth1".to_owned()),
            first_ttl: Ttl(2),
            max_ttl: Ttl(20),
            attempts: 4,
            gap_limit: 6,
            window: 77,
            flows: 3,
            vary: Vary::FlowLabel,
            multipath: Algorithm::Lite,
            max_flows: 900,
            max_width: 17,
            confidence: Some(0.99),
            graph_confidence: 0.9,
            source_port: 25_000,
            destination_port: 443,
            port_per_ttl: true,
            rate: Rate::new(12_345.678).unwrap(),
            timeout: Duration::from_nanos(1_234_567_891),
            late_window: Duration::from_millis(100),
            cooldown: Duration::ZERO,
            seed: u64::MAX,
            network: Network::VirtualLab {
                file: Some("labs/a.toml".into()),
            },
            min_reply_rate: Some(0.1),
            vantage: "ams1".to_owned(),
            survey_id: Some("week".to_owned()),
            date: NaiveDate::from_ymd_opt(2_026, 3, 1),
            if_exists: IfExists::Replace,
            seal_interval: Duration::from_secs_f64(0.2),
            seal_rows: 5_000,
            max_duration: Some(Duration::from_secs(21_600)),
            second_pass: true,
            pcap: Some("all.pcap".into()),
        }
    }

    /// The members of an object, with those of its objects.
    fn members(value: &Value) -> Vec<(String, Value)> {
        let object = value.as_object().expect("an object");
        let inner = |(name, value): (&String, &Value)| match value {
            Value::Object(_) if name == "targets" => members(value),
            _ => vec![(name.clone(), value.clone())],
        };
        object.iter().flat_map(inner).collect()
    }

    #[test]
    fn a_stored_configuration_reads_back_with_every_member() {
        let config = unusual();
        let stored = serde_json::to_value(&config).unwrap();
        let default = serde_json::to_value(SurveyConfig::default()).unwrap();
        for ((name, value), (_, default)) in members(&stored).iter().zip(members(&default)) {
            assert_ne!(*value, default, "{name} has its default in this test");
        }
        // Through text, as in a file.
        let text = serde_json::to_string_pretty(&stored).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(SurveyConfig::from_json(&read).unwrap(), config);
        for network in [Network::Real, Network::Lab { file: None }] {
            let config = SurveyConfig {
                network,
                ..SurveyConfig::default()
            };
            let stored = serde_json::to_value(&config).unwrap();
            assert_eq!(SurveyConfig::from_json(&stored).unwrap(), config);
        }
    }

    #[test]
    fn members_of_an_older_version_have_their_defaults() {
        let read = SurveyConfig::from_json(&json!({ "max_ttl": 9, "targets": { "strict": true } }));
        let expected = SurveyConfig {
            max_ttl: Ttl(9),
            targets: TargetSpec {
                strict: true,
                ..TargetSpec::default()
            },
            ..SurveyConfig::default()
        };
        assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn members_of_a_newer_version_are_named() {
        let mut stored = serde_json::to_value(unusual()).unwrap();
        stored["colour"] = json!(1);
        stored["targets"]["shape"] = json!(null);
        stored["network"]["size"] = json!([]);
        let Err(StoredConfigError::Unknown(mut found)) = SurveyConfig::from_json(&stored) else {
            panic!("it is read");
        };
        found.sort();
        assert_eq!(found, ["colour", "network.size", "targets.shape"]);
    }

    #[test]
    fn a_member_of_another_kind_is_named() {
        for (member, value) in [
            ("timeout_s", json!(-1)),
            ("max_duration_s", json!("1h")),
            ("protocol", json!("sctp")),
            ("date", json!("2026-02-30")),
            ("rate", json!(0)),
            ("network", json!("lab")),
        ] {
            let mut stored = serde_json::to_value(unusual()).unwrap();
            stored[member] = value;
            let error = SurveyConfig::from_json(&stored).unwrap_err().to_string();
            assert!(error.contains(&format!("`{member}`")), "{error}");
        }
        for stored in [json!([]), json!(null), json!("text")] {
            let error = SurveyConfig::from_json(&stored).unwrap_err().to_string();
            assert!(error.contains("not an object"), "{error}");
        }
    }
}
