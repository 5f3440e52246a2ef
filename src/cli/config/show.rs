//! `pathsurvey config show`: the configuration of a survey as TOML.
//!
//! | line | meaning |
//! |---|---|
//! | `window = 500  # nightly.toml:3` | the value, and the layer that it comes from |
//! | `# window = 1000  # derived: rate / flows` | no layer has a value. This one follows from other options, and changes with them |
//! | `# pcap is not set` | there is no value |
//!
//! Paths are absolute, so that the text can be read back from any directory.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Arg;

use pathsurvey::config::SurveyConfig;
use pathsurvey::dataset::Output;

use super::entry::PATHS;
use super::settings::{Setting, Value, settings};
use super::{Layers, Sources, name_of, options_of};
use crate::cli::survey::NETWORK_FILE;
use crate::cli::{fail, refuse, write_stdout};

/// Prints the configuration of a survey. Returns the exit code.
pub(in crate::cli) fn show(layers: Layers) -> u8 {
    let Layers { args, sources } = layers;
    if args.resume {
        return refuse(
            &"--resume: a run that goes on has its configuration in its manifest.json; give that file to --config",
        );
    }
    let parse = |output: &String| Output::parse(output, args.format);
    let output = match args.output_file.as_ref().map(parse).transpose() {
        Ok(output) => output,
        Err(error) => return refuse(&error),
    };
    if let Some(why) = args.contradiction(output.as_ref()) {
        return refuse(&why);
    }
    let outputs = [
        Setting {
            name: "output-file",
            value: args.output_file.clone().map(Value::Text),
            follows: None,
        },
        Setting {
            name: "format",
            value: args.format.map(|format| Value::Text(format.to_string())),
            follows: None,
        },
    ];
    match args.into_config().map(SurveyConfig::validate) {
        Ok(Ok(config)) => {
            let settings: Vec<Setting> = outputs.into_iter().chain(settings(&config)).collect();
            write_stdout(&text(&sources, &settings))
        }
        Ok(Err(error)) => refuse(&error),
        Err(error) => fail(&error),
    }
}

/// The text, with the options in the order and under the headings of the help text.
fn text(sources: &Sources, settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut heading = None;
    for option in options_of(&sources.survey) {
        // The targets that stand alone have no heading. They come before the other options about targets.
        let of_option = option.get_help_heading().or(Some("Targets"));
        if heading != of_option {
            heading = of_option;
            let space = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{space}# {}", heading.unwrap_or_default());
        }
        let setting = settings.iter().find(|it| it.name == name_of(option));
        text.push_str(&line(sources, option, setting));
    }
    text
}

fn line(sources: &Sources, option: &Arg, setting: Option<&Setting>) -> String {
    let name = name_of(option);
    let source = sources.of(option);
    let setting = setting.and_then(|setting| Some((setting.value.as_ref()?, setting.follows)));
    match (setting, source) {
        (None, _) => format!("# {name} is not set\n"),
        (Some(_), None) if name == "seed" => "# seed is drawn for each run\n".to_owned(),
        (Some((value, Some(from))), source)
            if source.as_deref().is_none_or(|it| it == "default") =>
        {
            format!("# {name} = {}  # {from}\n", absolute(name, value))
        }
        (Some((value, _)), source) => {
            let source = source.unwrap_or_else(|| "default".to_owned());
            format!(
                "{name} = {}  # {}\n",
                absolute(name, value),
                one_line(&source)
            )
        }
    }
}

/// A text without control characters: a comment ends at a newline.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// The value as TOML, with absolute paths.
fn absolute(name: &str, value: &Value) -> String {
    let path = |text: &String| {
        let is_file = name != "lab" || text.ends_with(NETWORK_FILE);
        if !PATHS.contains(&name) || !is_file || text == "-" {
            return text.clone();
        }
        // A slash at the end makes an output a directory: it stays.
        let absolute = std::env::current_dir().map(|folder| folder.join(PathBuf::from(text)));
        let absolute = absolute
            .ok()
            .and_then(|path| path.to_str().map(str::to_owned));
        absolute.unwrap_or_else(|| text.clone())
    };
    match value {
        Value::Text(text) => Value::Text(path(text)).to_toml(),
        Value::List(texts) => Value::List(texts.iter().map(path).collect()).to_toml(),
        Value::Number(_) | Value::Flag(_) => value.to_toml(),
    }
}
