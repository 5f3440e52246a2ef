//! The composition root: joins targets, strategy, engine, transport and dataset into one survey.
//!
//! The order of the steps matters:
//!
//! 1. The lab's namespace is entered before any thread starts.
//! 2. Privileges are given up when all sockets are open, and before anything is read from them.
//! 3. The receive side receives test packets before the first probe is sent.
//! 4. The dataset is closed, however the run ended.

mod blocklists;
mod clash;
mod closing;
mod earlier;
mod error;
mod identity;
mod observer;
mod opening;
mod outage;
mod packets;
pub mod parts;
mod pool;
mod preflight;
mod privilege;
mod resume;
mod setup;
mod sink;
mod sockets;
mod summary;
mod swept;
mod words;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{Network, SurveyConfig};
use crate::dataset::{Finished, Output, PcapFile, Resumable, Vantage};
use crate::engine::clock::Clock;
use crate::engine::core::Core;
use crate::engine::format::ProbeFormat;
use crate::engine::live::{LiveError, LiveRun};
use crate::engine::stop::{EndedEarly, Stop};
use crate::engine::virtual_time::VirtualRun;
use crate::lab::driver::LabCounts;
use crate::lab::{LabNetwork, VirtualNetwork};
use crate::model::{Blocked, Targets, Time};
use crate::targets::{BlocklistWatch, LoadReport, Resolve, TargetSet};
use crate::transport::{AddressFamilies, InProcessNetwork};
use crate::wire::token::RunKey;

pub use crate::engine::report::Progress;
pub use clash::{FileClash, check_config_file};
pub use error::SurveyError;
pub use identity::{Identity, draw_seed};
pub use observer::{Observer, Plan};
pub use preflight::loopback::{LoopbackProbe, LoopbackTest, TestReply, TestReplyKind};
pub use privilege::PrivilegeError;
pub use resume::{ResumeRequest, resume};
pub use setup::{LAB_SEED, Simulation, lab_network};
pub use summary::{MissedReplyRate, Summary};
pub use swept::sweep_facts;

use closing::{RunEnd, warnings_at_the_end};
use opening::Session;
use outage::Routeless;
use packets::PacketLog;
use setup::{EnteredLab, LiveSetup};
use sink::FixedFigures;
use words::to_json;

/// The start of runs in virtual time: 2026-01-01 00:00:00 UTC.
pub const VIRTUAL_START: Time = Time::from_nanos(1_767_225_600_000_000_000);

/// The results of a survey.
#[derive(Debug)]
pub struct SurveyEnd {
    /// The summary for users.
    pub summary: Summary,
    /// The dataset.
    pub dataset: Finished,
    /// What ended the survey before all was probed, if something did.
    pub ended_early: Option<EndedEarly>,
    /// Whether more than one probe in a hundred could not be sent. A warning said why.
    pub incomplete: bool,
    /// Set if the share of answered probes was below the requested one.
    pub missed_reply_rate: Option<MissedReplyRate>,
    /// The counters of the lab, if the run was in a lab in real time.
    pub lab: Option<LabCounts>,
}

/// Runs a survey from the first target to the last row.
///
/// With real sockets, the process gives up its privileges permanently when all sockets are open. If root runs it, it continues
/// as the owner of the directory of `output`.
///
/// # Errors
/// [`SurveyError`]. Parts of the dataset that are already sealed are kept.
pub fn run(
    config: &SurveyConfig,
    output: &Output,
    resolve: &Resolve<'_>,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<SurveyEnd, SurveyError> {
    clash::check(config, output)?;
    // Before the first thread starts: loading targets starts threads.
    let lab = setup::enter_lab(config)?;
    run_in(lab, config, output, resolve, stop, observer)
}

/// Like [`run`], in a new namespace with the network `simulation`. The network in `config` is ignored.
/// Use it to survey a network of your own, or to observe a network during a survey.
///
/// # Errors
/// [`SurveyError`]. Parts of the dataset that are already sealed are kept.
pub fn run_over(
    simulation: Simulation,
    config: &SurveyConfig,
    output: &Output,
    resolve: &Resolve<'_>,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<SurveyEnd, SurveyError> {
    clash::check(config, output)?;
    let lab = EnteredLab::enter(simulation)?;
    let config = SurveyConfig {
        network: Network::Lab { file: None },
        ..config.clone()
    };
    run_in(Some(lab), &config, output, resolve, stop, observer)
}

fn run_in(
    lab: Option<EnteredLab>,
    config: &SurveyConfig,
    output: &Output,
    resolve: &Resolve<'_>,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<SurveyEnd, SurveyError> {
    pool::start()?;
    stop.limit_to(config.max_duration);
    let unprivileged = privilege::Unprivileged(setup::names(config, resolve));
    let resolve: &Resolve<'_> = match config.network {
        Network::VirtualLab { .. } => setup::names(config, resolve),
        Network::Real | Network::Lab { .. } => &unprivileged,
    };
    // Before the lists are read, so that no change is missed.
    let blocklists = blocklists::watch(config, stop);
    let (targets, report) = crate::targets::load(&config.targets, resolve, &mut |line| {
        observer.bad_line(line)
    })?;
    for warning in report.warnings() {
        observer.warn(&warning);
    }
    if targets.is_empty() {
        return Err(SurveyError::NoTargets(error::why_none(
            &report,
            config.targets.families,
        )));
    }
    let targets = Arc::new(targets);
    observer.started(&Plan {
        targets: targets.len(),
        pairs: u64::from(targets.len()) * u64::from(config.traces_per_target()),
    });
    let job = Job {
        config,
        output,
        targets,
        report,
        stop,
        blocklists,
        resumed: None,
    };
    let end = job.run(lab, observer);
    observer.finished();
    end
}

/// Everything that is known before sockets are opened.
struct Job<'a> {
    config: &'a SurveyConfig,
    output: &'a Output,
    targets: Arc<TargetSet>,
    report: LoadReport,
    stop: &'a Stop,
    blocklists: BlocklistWatch,
    /// The run that goes on. `None` for a new run.
    resumed: Option<Resumable>,
}

impl Job<'_> {
    /// Runs over the network of the configuration.
    fn run(
        self,
        lab: Option<EnteredLab>,
        observer: &mut dyn Observer,
    ) -> Result<SurveyEnd, SurveyError> {
        match &self.config.network {
            Network::VirtualLab { file } => {
                let network = lab_network(file.as_deref())?;
                self.run_virtual(network, observer)
            }
            Network::Real | Network::Lab { .. } => {
                let ipv4 = self.targets.ipv4_len();
                let families = AddressFamilies {
                    ipv4: ipv4 > 0,
                    ipv6: ipv4 < self.targets.len(),
                };
                let targets = self.targets.len();
                let setup = LiveSetup::open(self.config, families, targets, self.output, lab)?;
                self.run_live(setup, observer)
            }
        }
    }

    fn run_live(
        mut self,
        mut setup: LiveSetup,
        observer: &mut dyn Observer,
    ) -> Result<SurveyEnd, SurveyError> {
        let sourceless =
            preflight::sourceless::warnings(&self.targets, &mut *setup.transport.sender);
        setup.warnings.extend(sourceless);
        let sender = &mut setup.transport.sender;
        let routeless = Routeless::look_up(&*self.targets, |target| sender.refusal(target));
        let clock = Clock::start();
        let start = clock.started_at();
        let identity = Identity::drawn(start)?;
        for warning in &setup.warnings {
            observer.warn(warning);
        }
        let format = ProbeFormat {
            quotes_with_headers: setup.transport.capabilities.quotes_with_headers,
            ..parts::format(self.config, setup.transport.ports.base())
        };
        let mut facts = self.facts(setup.describe());
        facts.warnings.extend_from_slice(&setup.warnings);
        let vantage = setup.vantage(self.config);
        let closed = |error| setup.given_up().explain(error);
        let pcap = packets::create(self.config.pcap.as_deref()).map_err(closed)?;
        facts.warnings.extend(observer::tell(
            observer,
            &facts.warnings,
            pcap.iter().flat_map(PcapFile::notices),
        ));
        let (sink, session) = self
            .open_dataset(
                &identity,
                &format,
                vantage,
                start,
                (facts.clone(), routeless),
            )
            .map_err(closed)?;
        observer::tell(observer, &facts.warnings, sink.notices());
        let started = PacketLog::start(pcap, setup.transport.receiver);
        let (packets, receiver) = match started {
            Ok(started) => started,
            Err(error) => return Err(sink.abandon(error, clock.now())),
        };
        let mut core = self.core(format, identity.key.clone(), start, &session);
        let blocklists = match self.start_watching(&mut core, clock.now(), observer) {
            Ok(blocklists) => blocklists,
            Err(error) => return Err(sink.abandon(error, clock.now())),
        };
        let run = LiveRun {
            core,
            assembler: parts::assembler(self.config),
            sender: setup.transport.sender,
            receiver,
            sink,
            clock,
        };
        let end = run.run(self.stop, self.telling(observer, &clock, blocklists));
        let mut tally = end.tally;
        let (kept, error) = packets.finish(end.error.map(SurveyError::from));
        facts.setup["pcap"] = to_json(&kept);
        for warning in warnings_at_the_end(kept.as_ref(), &tally) {
            observer.warn(&warning);
            facts.warnings.push(warning);
        }
        let (lab, broke) = match setup.lab.map(|host| host.stop()).transpose() {
            Ok(lab) => (lab, None),
            Err(broke) => (None, Some(SurveyError::LabBroke(broke))),
        };
        let error = error.or(broke);
        tally.kernel_drops.lab_device = lab.as_ref().and_then(|lab| lab.device_dropped);
        let end = RunEnd {
            sink: end.sink,
            tally,
            error,
            ended_at: clock.now(),
        };
        self.close(end, facts, lab, (start, observer))
    }

    /// Starts to watch the blocklists. Those of a resumed run may have changed since its targets were loaded, so they are applied at once.
    fn start_watching(
        &mut self,
        core: &mut Core,
        now: Time,
        observer: &mut dyn Observer,
    ) -> Result<BlocklistWatch, SurveyError> {
        let mut blocklists = std::mem::take(&mut self.blocklists);
        for warning in blocklists.obstacles() {
            observer.warn(&warning.to_string());
        }
        if self.resumed.is_some() {
            blocklists::apply_at_once(&mut blocklists, core, self.stop, now, observer)?;
        }
        Ok(blocklists)
    }

    /// Returns a function that tells `observer` the progress of a run, and the signals that ask it to end. It returns the blocklist if that
    /// has changed.
    fn telling<'a>(
        &'a self,
        observer: &'a mut dyn Observer,
        clock: &'a Clock,
        mut blocklists: BlocklistWatch,
    ) -> impl FnMut(Progress) -> Option<Arc<dyn Blocked>> + 'a {
        let (mut stopping, mut sealing) = (false, false);
        move |progress| {
            if let (false, Some(cause)) = (stopping, self.stop.ended_early()) {
                stopping = true;
                observer.stopping(cause, self.config.timeout.max(self.config.cooldown));
            }
            if self.stop.is_at_once() && !sealing {
                sealing = true;
                observer.sealing();
            }
            observer.progress(progress);
            blocklists::news(&mut blocklists, clock.now(), observer)
        }
    }

    fn run_virtual(
        mut self,
        network: LabNetwork,
        observer: &mut dyn Observer,
    ) -> Result<SurveyEnd, SurveyError> {
        let start = VIRTUAL_START;
        let session = self.resumed.as_ref().map_or(0, Resumable::session);
        let identity = Identity::of_seed(start, self.config.seed, session);
        let format = parts::format(self.config, self.config.source_port);
        let facts = self.facts(json!({ "network": network.name(), "virtual_time": true }));
        let vantage = Vantage {
            id: self.config.vantage.clone(),
            source_ipv4: Some(network.vantage().into()),
            dont_fragment: Some(self.config.mtu),
            ..Vantage::default()
        };
        let mut network = VirtualNetwork::new(network);
        let routeless = Routeless::look_up(&*self.targets, |target| {
            InProcessNetwork::source_for(&network, target).err()
        });
        let known = (facts.clone(), routeless);
        let (mut sink, session) = self.open_dataset(&identity, &format, vantage, start, known)?;
        observer::tell(observer, &[], sink.notices());
        let mut core = self.core(format, identity.key.clone(), start, &session);
        // The lists are not watched further: a run in virtual time lasts seconds.
        if let Err(error) = self.start_watching(&mut core, start, observer) {
            return Err(sink.abandon(error, start));
        }
        let run = VirtualRun {
            core,
            assembler: parts::assembler(self.config),
            network: &mut network,
            sink: &mut sink,
            writer_speed: None,
            start,
            stop: self.stop,
            progress: &mut |progress| {
                observer.progress(progress);
                None
            },
        };
        let end = run.run();
        let end = RunEnd {
            sink,
            tally: end.tally,
            error: end.error.map(|error| LiveError::Sink(error).into()),
            ended_at: end.ended_at,
        };
        self.close(end, facts, None, (start, observer))
    }

    /// The engine for probes of this format. Its schedule starts at `start`.
    fn core(&self, format: ProbeFormat, key: RunKey, start: Time, session: &Session) -> Core {
        let strategy = parts::strategy_for(
            self.config,
            self.targets.clone(),
            format.quotes_with_headers,
            session.earlier.as_ref(),
        );
        let tracker = parts::tracker(self.config, format, key, session.first_probe);
        parts::core(self.config, strategy, tracker, start)
    }

    fn facts(&self, mut setup: Value) -> FixedFigures {
        setup["working_directory"] = resume::working_directory(self.config);
        FixedFigures {
            targets: to_json(&self.report),
            setup,
            rate: Some(self.config.rate),
            warnings: self.report.warnings(),
        }
    }
}
