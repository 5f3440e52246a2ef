//! Reads a blocklist.

use std::sync::Arc;

use ipnet::IpNet;

use super::errors::{BadLine, Place, TargetError};
use super::line::{Fault, LineTarget};
use super::reader::{Batch, Sink};
use super::report::LoadReport;

/// Reads a blocklist.
pub(super) struct Blocklist<'a> {
    /// Called for each prefix. Bits beyond its length may be set.
    pub(super) block: &'a mut dyn FnMut(IpNet),
    pub(super) report: &'a mut LoadReport,
}

impl Sink for Blocklist<'_> {
    fn columns(&mut self, _: &[String]) {}

    fn batch(&mut self, file: &Arc<str>, first: u64, batch: &Batch) -> Result<(), TargetError> {
        for row in &batch.rows {
            let place = || Place::Line {
                file: file.clone(),
                line: first + row.line,
            };
            let prefix = match row.target.clone() {
                Ok(LineTarget::Address(address)) => Ok(IpNet::from(address)),
                Ok(LineTarget::Prefix(address, length)) => {
                    self.report.note_host_bits(address, length, place);
                    IpNet::new(address, length).map_err(|_| Fault::PrefixAddress)
                }
                Ok(LineTarget::Name) => Err(Fault::BlockedName),
                Err(fault) => Err(fault),
            };
            let prefix = prefix.map_err(|fault| {
                let text = batch.text(row).unwrap_or_default();
                TargetError::Blocklist(BadLine::new(place(), text, fault))
            })?;
            (self.block)(prefix);
            self.report.blocklist_entries += 1;
        }
        Ok(())
    }
}
