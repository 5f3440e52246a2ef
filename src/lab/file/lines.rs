//! The lines of a network file.

use toml::Spanned;

use super::LineFile;
use super::build::Builder;
use super::values::{Problem, checked_share, mtu, nanoseconds};
use crate::lab::topology::Line;

/// The delay of a line, one way, if the file gives none.
const DEFAULT_DELAY_MS: f64 = 1.0;

impl Builder<'_> {
    /// The line from a router, or the vantage point, to the router with the index `to`.
    pub(in crate::lab) fn line_between(&self, from: &str, to: usize) -> Result<Line, Problem> {
        let router = &self.file.router[to];
        let link = self.links.get(&(from, router.name.get_ref().as_str()));
        self.line(&[link.map(|link| &link.line), router.line.as_ref()])
    }

    /// Builds a line from the tables that describe it, the most specific first, and from the file's default.
    pub(in crate::lab) fn line(
        &self,
        said: &[Option<&Spanned<LineFile>>],
    ) -> Result<Line, Problem> {
        let share = |name, field: fn(&LineFile) -> Option<f64>| match find(said, field) {
            Some((line, value)) => checked_share(line, name, value),
            None => Ok(field(&self.default_line).unwrap_or(0.0)),
        };
        let span = |name, field: fn(&LineFile) -> Option<f64>, default: f64| match find(said, field)
        {
            Some((line, value)) => nanoseconds(line, name, value),
            None => Ok((field(&self.default_line).unwrap_or(default) * 1e6).round() as u64),
        };
        Ok(Line {
            delay: span("delay_ms", |l| l.delay_ms, DEFAULT_DELAY_MS)?,
            jitter: span("jitter_ms", |l| l.jitter_ms, 0.0)?,
            loss: share("loss", |l| l.loss)?,
            reply_loss: share("reply_loss", |l| l.reply_loss)?,
            duplicate: share("duplicate", |l| l.duplicate)?,
            reorder: share("reorder", |l| l.reorder)?,
            reorder_by: span("reorder_ms", |l| l.reorder_ms, 0.0)?,
            mtu: match find(said, |line| line.mtu) {
                Some((line, value)) => Some(mtu(line, value)?),
                None => self.default_line.mtu,
            },
        })
    }
}

/// The most specific value of a field, and its position in the file.
fn find<'a, V>(
    said: &[Option<&'a Spanned<LineFile>>],
    field: fn(&LineFile) -> Option<V>,
) -> Option<(&'a Spanned<LineFile>, V)> {
    said.iter()
        .flatten()
        .find_map(|line| Some((*line, field(line.get_ref())?)))
}
