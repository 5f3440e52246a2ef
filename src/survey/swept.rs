//! The facts of a sweep, from what its run has stored.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use crate::config::SurveyConfig;
use crate::dataset::compact::SweepFacts;
use crate::dataset::manifest::Manifest;
use crate::targets::TargetSet;

/// Reads the targets of a sweep, its flows and its TTLs. `targets` is the file of its stored targets.
///
/// # Errors
/// Why they cannot be read.
pub fn sweep_facts(manifest: &Manifest, targets: File) -> Result<SweepFacts, String> {
    let config = SurveyConfig::from_json(&manifest.config).map_err(|error| error.to_string())?;
    let loaded = TargetSet::load(BufReader::new(targets)).map_err(|error| error.to_string())?;
    Ok(SweepFacts {
        targets: Arc::new(loaded.0),
        flows: config.flows,
        first_ttl: config.first_ttl,
        max_ttl: config.max_ttl,
    })
}
