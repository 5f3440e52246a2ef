//! Goes on with a run that was killed, interrupted or failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::Value;

use crate::config::{Network, SurveyConfig};
use crate::dataset::{Chosen, DatasetError, Output, Resumable, close_finished};
use crate::engine::stop::Stop;
use crate::model::Targets;
use crate::targets::TargetSet;

use super::{
    Job, Observer, Plan, SurveyEnd, SurveyError, blocklists, clash, pool, privilege, setup,
};

/// Which run goes on, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeRequest {
    /// The dataset of the run.
    pub output: Output,
    /// The night of the run. `None`: the newest.
    pub date: Option<NaiveDate>,
    /// The vantage point of the run. `None`: the only one whose newest run is unfinished.
    pub vantage: Option<String>,
    /// The longest duration of sending from now on. `None`: the stored one.
    pub max_duration: Option<Duration>,
}

/// Goes on with the run that `request` names: with its stored configuration, seed and targets. In the end the dataset holds every trace of
/// every target once, and every probe of a sweep once.
///
/// # Errors
/// [`SurveyError::Dataset`] says why the run cannot go on: it is complete, a process still writes, or another version wrote it. With
/// [`DatasetError::Closed`], the run was finished, and only its closing was done. Otherwise as [`run`](super::run).
pub fn resume(
    request: &ResumeRequest,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<SurveyEnd, SurveyError> {
    let Output::Directory(root) = &request.output else {
        return Err(SurveyError::Resume {
            output: request.output.path().display().to_string(),
            why: "only a dataset directory can be resumed; start the survey again".to_owned(),
        });
    };
    let chosen = Chosen {
        date: request.date,
        vantage: request.vantage.clone(),
    };
    let run = match Resumable::find(root, &chosen) {
        Ok(run) => run,
        Err(refused @ DatasetError::NotResumable { .. }) => {
            return Err(closed(&request.output, root, &chosen)?
                .unwrap_or(refused)
                .into());
        }
        Err(refused) => return Err(refused.into()),
    };
    let mut config = stored_config(&request.output, &run)?;
    if request.max_duration.is_some() {
        config.max_duration = request.max_duration;
    }
    clash::check(&config, &request.output)?;
    // Before the first thread starts.
    let lab = setup::enter_lab(&config)?;
    pool::start()?;
    stop.limit_to(config.max_duration);
    let loaded = run.open_targets().map(std::io::BufReader::new)?;
    let loaded = TargetSet::load(loaded);
    let (targets, report) = loaded.map_err(|source| SurveyError::StoredTargets {
        path: run.targets_path(),
        source,
    })?;
    let targets = Arc::new(targets);
    let (manifest, session) = (run.manifest(), run.session());
    let done = manifest.run["traces_ended"].as_u64().unwrap_or(0);
    observer.resuming(&format!(
        "run {} of the vantage point {} goes on (session {}, {done} traces are sealed)",
        manifest.run_id,
        manifest.vantage.id,
        session + 1
    ));
    observer.started(&Plan {
        targets: targets.len(),
        pairs: u64::from(targets.len()) * u64::from(config.traces_per_target()),
    });
    let job = Job {
        config: &config,
        output: &request.output,
        targets,
        report,
        stop,
        blocklists: blocklists::watch(&config, stop),
        resumed: Some(run),
    };
    let end = job.run(lab, observer);
    observer.finished();
    end
}

/// Closes the run that is meant, if it is finished and its process died before that. Returns what to tell the user then.
fn closed(
    output: &Output,
    root: &Path,
    chosen: &Chosen,
) -> Result<Option<DatasetError>, SurveyError> {
    // Files of root would be in the way of the user who surveys.
    privilege::give_up(output, privilege::is_root())?;
    let closed = close_finished(root, chosen)?;
    Ok(closed.map(|manifest| DatasetError::Closed {
        run_id: manifest.run_id,
        state: manifest.state.as_str().to_owned(),
    }))
}

/// The configuration of the run, with paths that lead where they led when the run began.
fn stored_config(output: &Output, run: &Resumable) -> Result<SurveyConfig, SurveyError> {
    let manifest = run.manifest();
    let config = SurveyConfig::from_json(&manifest.config);
    let config = config.map_err(|error| SurveyError::Resume {
        output: output.path().display().to_string(),
        why: format!(
            "the configuration of run {} cannot be read: {error}; resume it with pathsurvey {}",
            manifest.run_id, manifest.tool.version
        ),
    })?;
    let directory = &manifest.run["setup"]["working_directory"];
    let directory = directory.as_str().map(PathBuf::from).unwrap_or_default();
    Ok(within(&directory, run.session(), config))
}

/// The configuration with relative paths joined to `directory`. The capture file of a later session has the session's number behind its
/// name, because the capture of the first one stays.
fn within(directory: &Path, session: u32, mut config: SurveyConfig) -> SurveyConfig {
    let join = |path: &mut PathBuf| *path = directory.join(&*path);
    if let Network::Lab { file } | Network::VirtualLab { file } = &mut config.network {
        file.iter_mut().for_each(join);
    }
    let is_stream = |path: &&mut PathBuf| path.as_os_str() == "-";
    let blocklists = config.targets.blocklists.iter_mut();
    blocklists.filter(|path| !is_stream(path)).for_each(join);
    if let Some(capture) = &mut config.pcap {
        join(capture);
        let mut name = capture.clone().into_os_string();
        name.push(format!(".{session}"));
        *capture = name.into();
    }
    config
}

/// The directory that relative paths of the configuration start from. Null if it has no such paths, or if the directory is gone.
pub(super) fn working_directory(config: &SurveyConfig) -> Value {
    let network = match &config.network {
        Network::Lab { file } | Network::VirtualLab { file } => file.as_ref(),
        Network::Real => None,
    };
    let mut paths = network
        .into_iter()
        .chain(&config.targets.blocklists)
        .chain(&config.pcap);
    let needed = paths.any(|path| path.is_relative() && path.as_os_str() != "-");
    let directory = needed.then(|| std::env::current_dir().ok()).flatten();
    match directory.as_deref().and_then(Path::to_str) {
        Some(directory) => directory.into(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_led_and_captures_have_names_of_their_own() {
        let mut config = SurveyConfig {
            network: Network::Lab {
                file: Some("net.toml".into()),
            },
            pcap: Some("night.pcap".into()),
            ..SurveyConfig::default()
        };
        config.targets.blocklists = vec!["-".into(), "deny.txt".into(), "/etc/deny".into()];
        let found = within(Path::new("/home/lab"), 2, config);
        let file = Some(PathBuf::from("/home/lab/net.toml"));
        assert_eq!(found.network, Network::Lab { file });
        let capture = PathBuf::from("/home/lab/night.pcap.2");
        assert_eq!(found.pcap, Some(capture));
        let blocklists = ["-", "/home/lab/deny.txt", "/etc/deny"].map(PathBuf::from);
        assert_eq!(found.targets.blocklists, blocklists);
    }
}
