//! One value of a configuration file: as text for the option's own parser, and its check.

use std::path::Path;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use toml::de::DeValue;

use super::super::survey::NETWORK_FILE;
use super::{is_switch, name_of, relative_to};

/// An option in a file.
pub(super) struct Entry {
    /// Its long name.
    pub name: String,
    /// Its values, as on the command line.
    pub values: Vec<String>,
    /// The line of its name. A manifest has no lines of its own.
    pub line: Option<usize>,
}

/// The options whose value is a path, or a name that may be one.
pub(super) const PATHS: [&str; 5] = ["input-file", "blocklist-file", "output-file", "pcap", "lab"];

/// The values of an option as texts. Paths are relative to `folder`.
pub(super) fn texts(
    option: &Arg,
    value: &DeValue<'_>,
    folder: &Path,
) -> Result<Vec<String>, String> {
    let name = name_of(option);
    if let ("lab", DeValue::String(file)) = (name, value)
        && !file.ends_with(NETWORK_FILE)
    {
        return Err("give true, false or a network file, whose name ends in .toml".to_owned());
    }
    let text = |value: &DeValue<'_>| one(option, value).map(|text| located(name, text, folder));
    match (value, option.get_action()) {
        (DeValue::Array(values), ArgAction::Append) => {
            let texts = values.iter().map(|value| text(value.get_ref()));
            texts.collect()
        }
        _ => Ok(vec![text(value)?]),
    }
}

/// The text of a value that is not a list.
fn one(option: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    let may_be_on = is_switch(option) || name_of(option) == "lab";
    match value {
        DeValue::Boolean(on) if may_be_on => Ok(on.to_string()),
        _ if is_switch(option) => Err(format!("give true or false, not {}", kind(value))),
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => whole(number.as_str(), number.radix())
            .ok_or_else(|| "the number is too large: give it as a text in quotes".to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => {
            let list = match option.get_action() {
                ArgAction::Append => ", or a list of them",
                _ => "",
            };
            Err(format!(
                "give a text or a number{list}, not {}",
                kind(value)
            ))
        }
    }
}

/// A whole number in decimal digits.
fn whole(digits: &str, radix: u32) -> Option<String> {
    if radix == 10 {
        return Some(digits.to_owned());
    }
    let number = u128::from_str_radix(digits, radix).ok()?;
    Some(number.to_string())
}

/// The kind of a value, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A path relative to the current directory. Other values, `-` and the values of `lab` that are no files stay as they are.
fn located(name: &str, text: String, folder: &Path) -> String {
    let is_path = PATHS.contains(&name) && !["", "-"].contains(&text.as_str());
    let is_network = name != "lab" || text.ends_with(NETWORK_FILE);
    if !is_path || !is_network {
        return text;
    }
    // The folder comes from the command line. If it is not UTF-8, the file cannot name paths in it.
    let path = relative_to(folder, &text);
    path.to_str().map_or(text, str::to_owned)
}

/// Checks the values of an option with the option's own parser, before other options are known.
pub(super) fn check(option: &Arg, values: Vec<String>) -> Result<Vec<String>, String> {
    let alone = option.clone().required(false).env(Resettable::Reset);
    let command = Command::new("file").no_binary_name(true);
    let command = command.disable_help_flag(true).arg(alone);
    for value in &values {
        let arguments = match option.get_long() {
            Some(long) => vec![format!("--{long}={value}")],
            None => vec!["--".to_owned(), value.clone()],
        };
        let parsed = command.clone().try_get_matches_from(arguments);
        parsed.map_err(|error| refused(value, &error))?;
    }
    Ok(values)
}

/// Why a value is refused, from clap's error.
fn refused(value: &str, error: &clap::Error) -> String {
    if error.kind() == ErrorKind::InvalidValue
        && let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
    {
        return format!(
            "`{value}` is not accepted: give one of {}",
            valid.join(", ")
        );
    }
    match std::error::Error::source(error) {
        Some(why) if why.to_string().contains(&format!("`{value}`")) => why.to_string(),
        Some(why) => format!("`{value}`: {why}"),
        None => format!("`{value}` is not accepted"),
    }
}

/// The name among `known` that is closest to `name`, if one is close.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let usual = name.to_lowercase().replace(['_', ' '], "-");
    let distances = known.map(|known| (distance(&usual, known), known));
    let (distance, known) = distances.min()?;
    (distance <= usual.chars().count().div_ceil(3).min(3)).then_some(known)
}

/// The number of characters to insert, remove or replace that make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, of_a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, of_b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(of_a != *of_b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_found_and_a_far_one_is_not() {
        let known = || ["max-ttl", "rate", "tos", "input-file"].into_iter();
        for (name, close) in [
            ("max_ttl", Some("max-ttl")),
            ("maxttl", Some("max-ttl")),
            ("Rate", Some("rate")),
            ("raet", Some("rate")),
            ("input-files", Some("input-file")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known()), close, "{name}");
        }
    }

    #[test]
    fn a_distance_counts_changed_characters() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("abc", "axcd", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected));
        }
    }
}
