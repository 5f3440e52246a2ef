//! A namespace that belongs to the test, with a simulated network behind its device: programs run in it take it for the
//! world, and the test knows every packet.

use std::path::Path;

use pathsurvey::lab::driver::{LabCounts, LabHost, Namespace, NamespaceError, enter_namespace};
use pathsurvey::lab::{LabNetwork, Recorded, Recording, RecordingLog, Respond};

use super::program::pathsurvey;
use crate::support::Ignored;

/// A refusal for want of a privilege leaves the case out, anything else fails it.
pub fn allowed<T>(result: Result<T, NamespaceError>) -> Result<T, Ignored> {
    match result {
        Err(error) if error.is_refusal() => Err(Ignored(error.to_string())),
        other => Ok(other.unwrap()),
    }
}

/// The network at work.
pub struct World {
    pub namespace: Namespace,
    host: LabHost,
    log: RecordingLog,
}

impl World {
    /// Enters a fresh namespace and puts `network` into it.
    pub fn start(network: &LabNetwork) -> Result<Self, Ignored> {
        Self::start_behind(network, |recording| Box::new(recording))
    }

    /// As [`start`](World::start), with something before the network.
    pub fn start_behind(
        network: &LabNetwork,
        wrap: impl FnOnce(Recording<LabNetwork>) -> Box<dyn Respond>,
    ) -> Result<Self, Ignored> {
        let namespace = allowed(enter_namespace())?;
        let (recording, log) = Recording::new(network.clone());
        let host = allowed(LabHost::start(
            &namespace,
            wrap(recording),
            network.vantage(),
        ))?;
        Ok(World {
            namespace,
            host,
            log,
        })
    }

    /// A survey of the sample targets by the program, which takes the namespace for the real world.
    pub fn survey(&self, output: &Path, options: &[&str]) -> std::process::Command {
        let mut command = pathsurvey(&["survey", "--allow-special", "-o"]);
        command.arg(output).args(options);
        command
    }

    /// Stops the network: what it did.
    pub fn stop(self) -> (Vec<Recorded>, LabCounts) {
        let counts = self.host.stop().unwrap();
        (self.log.take(), counts)
    }
}
