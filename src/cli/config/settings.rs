//! Every option of a survey with its value in a configuration: the way back from a configuration to options.
//!
//! `--output-file` and `--format` are missing, because a configuration does not hold the output.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pathsurvey::config::{Network, StrategyChoice, SurveyConfig};
use pathsurvey::model::Protocol;
use pathsurvey::targets::{Families, TargetSpec};

use super::super::survey::{default_names, default_port, default_rate, default_window};

/// An option with its value.
pub(super) struct Setting {
    /// The option's long name.
    pub name: &'static str,
    /// The value. `None`: not set.
    pub value: Option<Value>,
    /// Set if no layer has to give this value: says what it follows from. `None`: it has to be given, or clap knows it as a default.
    pub follows: Option<&'static str>,
}

/// The value of an option.
pub(super) enum Value {
    /// A text.
    Text(String),
    /// A number, as TOML writes it.
    Number(String),
    /// On or off.
    Flag(bool),
    /// Texts. An empty list is as good as no list.
    List(Vec<String>),
}

impl Value {
    /// The values as on the command line.
    pub fn texts(self) -> Vec<String> {
        match self {
            Value::Text(text) | Value::Number(text) => vec![text],
            Value::Flag(on) => vec![on.to_string()],
            Value::List(texts) => texts,
        }
    }

    /// The value as TOML. A list takes one line.
    pub fn to_toml(&self) -> String {
        let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
        match self {
            Value::Text(text) => quoted(text),
            Value::Number(number) => number.clone(),
            Value::Flag(on) => on.to_string(),
            Value::List(texts) => {
                let texts: Vec<String> = texts.iter().map(quoted).collect();
                format!("[{}]", texts.join(", "))
            }
        }
    }
}

/// A setting whose default is a constant.
fn fixed(name: &'static str, value: impl Into<Option<Value>>) -> Setting {
    Setting {
        name,
        value: value.into(),
        follows: None,
    }
}

/// A setting whose default follows from other options, as `from` says. `is_default` says that the value is that default.
fn derived(name: &'static str, value: Value, from: &'static str, is_default: bool) -> Setting {
    Setting {
        name,
        value: Some(value),
        follows: is_default.then_some(from),
    }
}

fn number(number: impl ToString) -> Value {
    Value::Number(number.to_string())
}

/// A number of 64 bits. TOML has numbers of 63 bits only.
fn large(number: u64) -> Value {
    match i64::try_from(number) {
        Ok(_) => Value::Number(number.to_string()),
        Err(_) => Value::Text(number.to_string()),
    }
}

fn seconds(span: Duration) -> Value {
    number(span.as_secs_f64())
}

fn text(text: impl ToString) -> Value {
    Value::Text(text.to_string())
}

fn path(path: &Path) -> Value {
    Value::Text(path.to_string_lossy().into_owned())
}

fn list<T>(values: &[T], text: impl Fn(&T) -> String) -> Option<Value> {
    let texts: Vec<String> = values.iter().map(text).collect();
    (!texts.is_empty()).then_some(Value::List(texts))
}

/// Every option that a configuration holds.
pub(super) fn settings(config: &SurveyConfig) -> Vec<Setting> {
    let mut settings = of_targets(&config.targets, config.network.is_lab());
    settings.extend(of_output(config));
    settings.extend(of_probes(config));
    settings.extend(of_probing(config));
    settings.extend(of_lab(&config.network));
    settings
}

fn of_targets(targets: &TargetSpec, in_lab: bool) -> Vec<Setting> {
    let paths = |paths: &[PathBuf]| list(paths, |path| path.to_string_lossy().into_owned());
    let names = match targets.resolve_targets {
        Families::Ipv4 => "4",
        Families::Ipv6 => "6",
        Families::Both => "both",
    };
    let special = Value::Flag(targets.allow_special);
    vec![
        fixed("targets", list(&targets.arguments, String::clone)),
        fixed("input-file", paths(&targets.files)),
        fixed("blocklist-file", paths(&targets.blocklists)),
        fixed("per-prefix", number(targets.per_prefix)),
        fixed("target-seed", large(targets.target_seed)),
        derived("allow-special", special, "derived: lab", in_lab),
        fixed("yes-large", Value::Flag(targets.allow_large)),
        fixed("ipv4", Value::Flag(targets.families == Families::Ipv4)),
        fixed("ipv6", Value::Flag(targets.families == Families::Ipv6)),
        derived(
            "resolve-targets",
            text(names),
            "derived: ipv6",
            targets.resolve_targets == default_names(targets.families),
        ),
        fixed("resolver", list(&targets.resolvers, ToString::to_string)),
        fixed("strict", Value::Flag(targets.strict)),
    ]
}

fn of_output(config: &SurveyConfig) -> Vec<Setting> {
    let if_exists = config.if_exists;
    vec![
        fixed("vantage", text(&config.vantage)),
        fixed("survey-id", config.survey_id.as_ref().map(text)),
        fixed("date", config.date.map(text)),
        Setting {
            name: "if-exists",
            value: Some(text(if_exists)),
            follows: (if_exists == Default::default()).then_some("default"),
        },
        fixed("seal-interval", seconds(config.seal_interval)),
        fixed("seal-rows", number(config.seal_rows)),
        fixed("pcap", config.pcap.as_deref().map(path)),
    ]
}

/// The options about the form of a probe.
fn of_probes(config: &SurveyConfig) -> Vec<Setting> {
    let protocol = config.protocol;
    // Options that other protocols refuse.
    let flags = (protocol == Protocol::Tcp).then(|| {
        let is_default = config.tcp_flags == Default::default();
        derived(
            "tcp-flags",
            text(config.tcp_flags),
            "derived: protocol",
            is_default,
        )
    });
    let port = (protocol != Protocol::Icmp).then(|| {
        let port = config.destination_port;
        let is_default = port == default_port(protocol);
        derived("dest-port", number(port), "derived: protocol", is_default)
    });
    vec![
        fixed("protocol", text(protocol)),
        flags.unwrap_or(fixed("tcp-flags", None)),
        fixed("tos", number(config.tos)),
        fixed("packet-size", config.packet_size.map(number)),
        fixed("mtu", Value::Flag(config.mtu)),
        fixed("source", list(&config.sources, ToString::to_string)),
        fixed("interface", config.interface.as_ref().map(text)),
        fixed("source-port", number(config.source_port)),
        port.unwrap_or(fixed("dest-port", None)),
        fixed("port-per-ttl", Value::Flag(config.port_per_ttl)),
    ]
}

/// The options about the choice and the time of probes.
fn of_probing(config: &SurveyConfig) -> Vec<Setting> {
    let rate = config.rate;
    let in_lab = config.network.is_lab();
    let window = config.window;
    vec![
        fixed("strategy", text(config.strategy)),
        fixed("transport", text(config.transport.as_str())),
        derived(
            "rate",
            number(rate),
            "derived: lab",
            Some(rate) == default_rate(in_lab),
        ),
        fixed("first-ttl", number(config.first_ttl.0)),
        fixed("max-ttl", number(config.max_ttl.0)),
        fixed("attempts", number(config.attempts)),
        fixed("timeout", seconds(config.timeout)),
        fixed("late-window", seconds(config.late_window)),
        fixed("gap-limit", number(config.gap_limit)),
        derived(
            "window",
            number(window),
            match config.strategy {
                StrategyChoice::Multipath => "derived: rate / 2",
                StrategyChoice::Trace | StrategyChoice::Sweep => "derived: rate / flows",
            },
            window == default_window(rate, config.strategy, config.flows),
        ),
        derived(
            "cooldown",
            seconds(config.cooldown),
            "derived: timeout",
            config.cooldown == config.timeout,
        ),
        fixed("max-duration", config.max_duration.map(seconds)),
        fixed("second-pass", Value::Flag(config.second_pass)),
        fixed("flows", number(config.flows)),
        fixed("vary", text(config.vary.as_str().replace('_', "-"))),
        fixed("multipath", text(config.multipath)),
        fixed("max-flows", number(config.max_flows)),
        fixed("max-width", number(config.max_width)),
        fixed("confidence", config.confidence.map(number)),
        fixed("graph-confidence", number(config.graph_confidence)),
        fixed("probes-per-hop", number(config.probes_per_hop)),
        fixed("seed", large(config.seed)),
        fixed("min-reply-rate", config.min_reply_rate.map(number)),
    ]
}

fn of_lab(network: &Network) -> Vec<Setting> {
    let lab = match network {
        Network::Real => Value::Flag(false),
        Network::Lab { file: None } | Network::VirtualLab { file: None } => Value::Flag(true),
        Network::Lab { file: Some(file) } | Network::VirtualLab { file: Some(file) } => path(file),
    };
    let in_virtual_time = matches!(network, Network::VirtualLab { .. });
    vec![
        fixed("lab", lab),
        fixed("virtual-time", Value::Flag(in_virtual_time)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::super::{command_at, name_of, options_of, with_switches};
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_option_of_a_survey_is_a_setting() {
        let command = with_switches(Cli::command());
        for path in [&["survey"][..], &["config", "show"]] {
            let survey = command_at(&command, path);
            let options: BTreeSet<&str> = options_of(survey).map(name_of).collect();
            let settings = settings(&SurveyConfig::default());
            let mut names: BTreeSet<&str> = settings.iter().map(|setting| setting.name).collect();
            assert_eq!(names.len(), settings.len(), "a name stands twice");
            names.extend(["output-file", "format"]);
            assert_eq!(names, options);
        }
    }

    #[test]
    fn values_are_toml_that_reads_back() {
        let texts = [
            "",
            "a b",
            "\"quoted\"",
            "C:\\x",
            "line\nbreak",
            "ä",
            "# no comment",
        ];
        for value in texts {
            let toml = format!("key = {}", text(value).to_toml());
            let table: toml::Table = toml.parse().unwrap_or_else(|why| panic!("{toml}: {why}"));
            assert_eq!(table["key"].as_str(), Some(value), "{toml}");
        }
        let values = texts.map(str::to_owned).to_vec();
        let toml = format!("key = {}", Value::List(values.clone()).to_toml());
        let table: toml::Table = toml.parse().expect("TOML");
        let read: Vec<String> = table["key"].clone().try_into().expect("a list of texts");
        assert_eq!(read, values);
        assert_eq!(large(u64::MAX).to_toml(), "\"18446744073709551615\"");
        assert_eq!(large(7).to_toml(), "7");
        assert_eq!(seconds(Duration::from_millis(1_500)).to_toml(), "1.5");
    }
}
