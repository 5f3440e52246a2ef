//! Layers of configuration: the command line, the environment, a file (`--config`), and the defaults. The first that has a value wins.
//!
//! The mechanism is clap's own. The values of the file take the place of the options' defaults, and the command line is parsed once more.
//! So a value of the file passes the same parser as a value of the command line, and clap knows which layer a value comes from.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the layers |
//! | `file` | reading of a TOML file or a manifest |
//! | `entry` | one value of a file as text, and its check |
//! | `settings` | every option with its value in a configuration |
//! | `show` | `pathsurvey config show` |

mod entry;
mod file;
mod settings;
mod show;

use std::any::TypeId;
use std::path::Path;

use clap::builder::BoolValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Subcommand};

use super::survey::SurveyArgs;
use file::ConfigFile;

pub(super) use show::show;

/// The commands of `config`.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the configuration of a survey with these options as TOML. Sends nothing.
    ///
    /// A comment says where each value comes from. `survey --config` reads the text back.
    Show(Box<SurveyArgs>),
}

/// The options that only the command line has.
const COMMAND_LINE_ONLY: [&str; 2] = ["config", "resume"];

/// The options of all commands, which say nothing about a survey.
const OF_THE_PROGRAM: [&str; 5] = ["help", "version", "log-format", "verbose", "quiet"];

/// Gives the options of a survey that are on or off the values `true` and `false`, so that `--mtu=false` turns off what a file turns on.
pub(super) fn with_switches(command: Command) -> Command {
    let command = command.mut_subcommand("survey", |survey| survey.mut_args(switch));
    command.mut_subcommand("config", |config| {
        config.mut_subcommand("show", |show| show.mut_args(switch))
    })
}

fn switch(option: Arg) -> Arg {
    if !matches!(option.get_action(), ArgAction::SetTrue) || is_command_line_only(&option) {
        return option;
    }
    option
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .value_parser(BoolValueParser::new())
        .value_name("BOOL")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// Whether an option is on or off.
fn is_switch(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<bool>()
}

fn is_command_line_only(option: &Arg) -> bool {
    COMMAND_LINE_ONLY.contains(&name_of(option))
}

/// The name of an option in files: its long name. The targets that stand alone are `targets`.
fn name_of(option: &Arg) -> &str {
    option
        .get_long()
        .unwrap_or_else(|| option.get_id().as_str())
}

/// The options of a survey that a file may have, in the order of the help text.
fn options_of(survey: &Command) -> impl Iterator<Item = &Arg> {
    let of_survey =
        |option: &&Arg| !is_command_line_only(option) && !OF_THE_PROGRAM.contains(&name_of(option));
    survey.get_arguments().filter(of_survey)
}

/// The options of a survey from all layers.
pub(super) struct Layers {
    /// The options.
    pub args: SurveyArgs,
    /// Where their values come from.
    pub sources: Sources,
}

/// Where the values of options come from.
pub(super) struct Sources {
    matches: ArgMatches,
    /// The options, with the values of the file as defaults.
    survey: Command,
    file: Option<ConfigFile>,
}

impl Layers {
    /// Adds the layer of a file to the options of the subcommand at `path`, if they name one.
    pub fn read(
        args: SurveyArgs,
        command: Command,
        path: &[&str],
        matches: ArgMatches,
    ) -> Result<Self, String> {
        let given = matches_at(matches, path);
        let Some(named) = args.config.as_ref().filter(|_| !args.resume) else {
            let survey = command_at(&command, path).clone();
            let sources = Sources {
                matches: given,
                survey,
                file: None,
            };
            return Ok(Layers { args, sources });
        };
        let mut file = ConfigFile::read(named, command_at(&command, path))?;
        file.check_stdin(&given)?;
        file.yield_family(&given);
        file.yield_targets(&given);
        let layered = change_at(command, path, &|survey| file.under(survey));
        // Errors of the command line were reported before, and the values of the file are checked.
        let matches = matches_at(layered.clone().get_matches(), path);
        let args = SurveyArgs::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let sources = Sources {
            matches,
            survey: command_at(&layered, path).clone(),
            file: Some(file),
        };
        Ok(Layers { args, sources })
    }
}

impl Sources {
    /// The first option of a survey on the command line that is not among `allowed`, as it is written there.
    pub fn given_beside(&self, allowed: &[&str]) -> Option<String> {
        let mut options = self.survey.get_arguments();
        let option = options.find(|option| {
            let is_given = self.source_of(option) == Some(ValueSource::CommandLine);
            is_given
                && !OF_THE_PROGRAM.contains(&name_of(option))
                && !allowed.contains(&name_of(option))
        })?;
        Some(match option.get_long() {
            Some(long) => format!("--{long}"),
            None => "TARGET".to_owned(),
        })
    }

    /// Whether the command line or the environment gives the option of this name.
    pub fn is_given(&self, name: &str) -> bool {
        let given = [ValueSource::CommandLine, ValueSource::EnvVariable];
        let mut options = self.survey.get_arguments();
        let option = options.find(|option| name_of(option) == name);
        let source = option.and_then(|option| self.source_of(option));
        source.is_some_and(|source| given.contains(&source))
    }

    fn source_of(&self, option: &Arg) -> Option<ValueSource> {
        self.matches.value_source(option.get_id().as_str())
    }

    /// The configuration file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path())
    }

    /// Says where the value of an option comes from. `None`: no layer has a value.
    fn of(&self, option: &Arg) -> Option<String> {
        match self.source_of(option)? {
            ValueSource::CommandLine => Some("command line".to_owned()),
            ValueSource::EnvVariable => {
                let variable = option.get_env()?.to_string_lossy();
                Some(variable.into_owned())
            }
            _ => {
                let in_file = self.file.as_ref()?.place_of(name_of(option));
                in_file.or_else(|| Some("default".to_owned()))
            }
        }
    }
}

impl ConfigFile {
    /// Drops the family of the file if the command line chooses one. `--ipv4` and `--ipv6` are one choice.
    fn yield_family(&mut self, given: &ArgMatches) {
        let chosen = |id: &str| {
            given.value_source(id) == Some(ValueSource::CommandLine) && given.get_flag(id)
        };
        if chosen("ipv4") || chosen("ipv6") {
            self.drop_options(&["ipv4", "ipv6"]);
        }
    }

    /// Drops the targets of the file if the command line gives some. Otherwise a reused file would add targets that nobody asked for.
    fn yield_targets(&mut self, given: &ArgMatches) {
        let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
        if is_given("targets") || is_given("input_file") {
            self.drop_options(&["targets", "input-file"]);
        }
    }

    /// Makes the values of the file the defaults of the options.
    fn under(&self, survey: Command) -> Command {
        survey.mut_args(|option| match self.values_of(name_of(&option)) {
            Some(values) => option.default_values(values.to_vec()),
            None => option,
        })
    }
}

fn matches_at(mut matches: ArgMatches, path: &[&str]) -> ArgMatches {
    for _ in path {
        if let Some((_, inner)) = matches.remove_subcommand() {
            matches = inner;
        }
    }
    matches
}

fn command_at<'a>(command: &'a Command, path: &[&str]) -> &'a Command {
    path.iter().fold(command, |command, name| {
        command.find_subcommand(name).unwrap_or(command)
    })
}

fn change_at(command: Command, path: &[&str], change: &dyn Fn(Command) -> Command) -> Command {
    match path {
        [] => change(command),
        [name, rest @ ..] => command.mut_subcommand(*name, |inner| change_at(inner, rest, change)),
    }
}
