//! `pathsurvey survey`: from its options to the exit code of each result.

mod build;
mod options;

use pathsurvey::config::SurveyConfig;
use pathsurvey::dataset::{DatasetError, Output};
use pathsurvey::engine::stop::EndedEarly;
use pathsurvey::survey::{self, ResumeRequest, SurveyEnd, SurveyError};
use pathsurvey::targets::DnsResolver;

use super::config::{Layers, Sources};
use super::log::{LogOptions, write_stderr};
use super::names::unsupported;
use super::signals::stop_on_signals;
use super::terminal::{Terminal, names_bar};
use super::{BELOW_MIN_REPLY_RATE, FAILED, INCOMPLETE, MAX_DURATION_OVER, OK, fail, refuse};

pub(super) use build::{NETWORK_FILE, default_names, default_port, default_rate, default_window};
pub(super) use options::SurveyArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  pathsurvey survey --lab -i sample-targets/lab.csv -o nightly
  sudo pathsurvey survey -i targets.txt -r 500 -o nightly
  sudo pathsurvey survey -i targets.txt -6 --protocol tcp --dest-port 443 -o nightly
  pathsurvey survey --lab 198.18.0.0/22 -o - --format csv | head
  sudo pathsurvey survey --config nightly.toml --max-duration 6h

Numbers may be written as 10_000, 10k or 1.5M, times in seconds or as 500ms,
2s or 5min, and shares as 0.9 or 90%. An option without a value may have one:
--mtu=true, or --mtu=false if the file of --config turns it on.

Exit codes: 0 success, 1 failure, 2 invalid options, 3 below --min-reply-rate,
4 incomplete (more than 1% of the probes could not be sent, or more than 1% of the
traces ended for that reason; targets without a route at the start do not count),
5 ended by --max-duration,
129, 130 and 143 interrupted by SIGHUP, SIGINT (Ctrl-C) and SIGTERM.

The first Ctrl-C or SIGTERM stops sending and waits for pending replies. A second one,
at least half a second later, seals what was received and ends. A third one ends at once.";

/// Runs or resumes a survey. Returns the exit code.
pub(super) fn run(layers: Layers, log: &LogOptions) -> u8 {
    let Layers { args, sources } = layers;
    if args.resume {
        return match args.resumption(&sources) {
            Ok(request) => resume(&request, log),
            Err(error) => refuse(&error),
        };
    }
    let Some(output) = &args.output_file else {
        return refuse(&NO_OUTPUT);
    };
    let output = match Output::parse(output, args.format) {
        Ok(output) => output,
        Err(error) => return refuse(&error),
    };
    if let Some(why) = args.contradiction(Some(&output)) {
        return refuse(&why);
    }
    let config = match args.into_config().map(SurveyConfig::validate) {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => return refuse(&error),
        Err(error) => return fail(&error),
    };
    if config.targets.arguments.is_empty() && config.targets.files.is_empty() {
        return refuse(
            &"no targets: give addresses, prefixes or names, or a list with --input-file FILE",
        );
    }
    if let Some(file) = sources.file()
        && let Err(clash) = survey::check_config_file(file, &config, &output)
    {
        return refuse(&clash);
    }
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(&error),
    };
    let mut terminal = Terminal::new(log);
    let names = DnsResolver::new(&config.targets.resolvers).watched(names_bar(log));
    let end = survey::run(&config, &output, &names, &stop, &mut terminal);
    report(end, log)
}

/// Goes on with a run. Returns the exit code.
fn resume(request: &ResumeRequest, log: &LogOptions) -> u8 {
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(&error),
    };
    let mut terminal = Terminal::new(log);
    let end = survey::resume(request, &stop, &mut terminal);
    report(end, log)
}

/// There is no output.
const NO_OUTPUT: &str = "no output: give a directory, a file or `-` with -o OUT (--output-file)";
/// The options beside --resume that choose the run, or limit what is added to it.
const WITH_RESUME: [&str; 5] = ["resume", "output-file", "date", "vantage", "max-duration"];

impl SurveyArgs {
    /// Returns why the options contradict each other, if they do. A configuration file cannot contradict the command line, because its
    /// values are defaults.
    pub(super) fn contradiction(&self, output: Option<&Output>) -> Option<String> {
        let ports_named = self.dest_port.is_some() || self.port_per_ttl;
        let protocol = unsupported(self.protocol, self.tcp_flags, ports_named);
        let in_lab = self.lab.as_deref().is_some_and(|lab| lab != "false");
        let directory = output.is_none_or(|output| matches!(output, Output::Directory(_)));
        let contradictions = [
            (
                self.ipv4 && self.ipv6,
                "--ipv4 and --ipv6: give one of them, or neither for both families",
            ),
            (
                self.virtual_time && !in_lab,
                "--virtual-time: only the lab can run in virtual time; add --lab",
            ),
            (
                self.virtual_time && self.pcap.is_some(),
                "--pcap and --virtual-time: in virtual time no packets are received; leave one of them out",
            ),
            (
                self.if_exists.is_some() && !directory,
                "--if-exists: only a dataset directory can hold a run of the same night; leave it out, or give -o a directory",
            ),
        ];
        let found = contradictions.into_iter().find(|(holds, _)| *holds);
        protocol.or(found.map(|(_, why)| why)).map(str::to_owned)
    }

    /// Returns the run to resume. An option that the run has stored already is an error.
    fn resumption(self, sources: &Sources) -> Result<ResumeRequest, String> {
        if let Some(option) = sources.given_beside(&WITH_RESUME) {
            return Err(format!(
                "--resume with {option}: the run goes on with its stored configuration and targets; leave {option} out"
            ));
        }
        let output = self
            .output_file
            .ok_or("--resume needs -o DIR, the directory of the dataset")?;
        if output == "-" {
            return Err("--resume -o -: only a dataset directory can be resumed".to_owned());
        }
        let output = Output::parse(&output, None).map_err(|error| error.to_string())?;
        if !matches!(output, Output::Directory(_)) {
            let path = output.path().display();
            return Err(format!(
                "--resume -o {path}: only a dataset directory can be resumed; start the survey again"
            ));
        }
        Ok(ResumeRequest {
            output,
            date: self.date,
            vantage: Some(self.vantage).filter(|_| sources.is_given("vantage")),
            max_duration: self.max_duration,
        })
    }
}

/// The line of the summary that says how an unfinished run goes on; nothing for other runs.
fn next_step(end: &SurveyEnd) -> String {
    match (&end.summary.output, end.ended_early) {
        (Output::Directory(root), Some(_)) => {
            format!(
                "  go on        pathsurvey survey --resume -o {}\n",
                root.display()
            )
        }
        _ => String::new(),
    }
}

fn report(end: Result<SurveyEnd, SurveyError>, log: &LogOptions) -> u8 {
    let end = match end {
        Ok(end) => end,
        // The reader of standard output closed the pipe.
        Err(error) if error.is_broken_pipe() => return OK,
        Err(SurveyError::Clash(clash)) => return refuse(&clash),
        // `--if-exists skip` asked for this, or --resume found only this to do.
        Err(SurveyError::Dataset(
            done @ (DatasetError::NightDone { .. } | DatasetError::Closed { .. }),
        )) => {
            if log.shows_summary() {
                write_stderr(&format!("{done}\n"));
            }
            return OK;
        }
        Err(error) => return fail(&error.into()),
    };
    if log.shows_summary() {
        if log.is_json() {
            write_json_summary(&end);
        } else {
            let state = match (end.ended_early, end.incomplete) {
                (Some(EndedEarly::Signal(_)), _) => "survey interrupted",
                (Some(EndedEarly::MaxDuration), _) => "survey ended by --max-duration",
                (None, true) => "survey incomplete",
                (None, false) => "survey complete",
            };
            write_stderr(&format!("{state}\n{}{}", end.summary, next_step(&end)));
        }
    }
    match end.ended_early {
        Some(EndedEarly::Signal(signal)) => return u8::try_from(128 + signal).unwrap_or(FAILED),
        Some(EndedEarly::MaxDuration) => return MAX_DURATION_OVER,
        None => {}
    }
    if let Some(missed) = &end.missed_reply_rate {
        tracing::warn!("{missed}");
    }
    match (end.incomplete, end.missed_reply_rate) {
        (true, _) => INCOMPLETE,
        (false, Some(_)) => BELOW_MIN_REPLY_RATE,
        (false, None) => OK,
    }
}

/// Writes the summary as one JSON line, at any log level.
fn write_json_summary(end: &SurveyEnd) {
    let summary = serde_json::json!({
        "summary": end.summary.to_json(),
        "manifest": end.dataset.manifest,
        "ended_early": end.ended_early.map(|cause| match cause {
            EndedEarly::Signal(_) => "signal",
            EndedEarly::MaxDuration => "max_duration",
        }),
    });
    write_stderr(&format!("{summary}\n"));
}
