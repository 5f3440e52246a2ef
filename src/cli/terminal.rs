//! What a person sees of a survey: a progress bar, warnings, the summary.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use pathsurvey::survey::{Observer, Plan, Progress};
use pathsurvey::targets::BadLine;

use super::log::LogOptions;

/// Bad lines shown one by one; the rest are counted.
const SHOWN_BAD_LINES: u64 = 20;

/// Shows a survey on standard error.
pub struct Terminal {
    bar: Option<ProgressBar>,
    shows_progress: bool,
    bad_lines: u64,
}

impl Terminal {
    /// Shows what `options` allow.
    pub fn new(options: &LogOptions) -> Self {
        Terminal {
            bar: None,
            shows_progress: options.shows_progress(),
            bad_lines: 0,
        }
    }
}

impl Observer for Terminal {
    fn bad_line(&mut self, line: &BadLine) {
        self.bad_lines += 1;
        match self.bad_lines {
            1..=SHOWN_BAD_LINES => tracing::warn!("{line}"),
            n if n == SHOWN_BAD_LINES + 1 => {
                tracing::warn!("further bad lines are counted in the manifest and not shown");
            }
            _ => {}
        }
    }

    fn warn(&mut self, warning: &str) {
        tracing::warn!("{warning}");
    }

    fn started(&mut self, plan: &Plan) {
        tracing::info!("{} targets, {} traces", plan.targets, plan.pairs);
        if self.shows_progress {
            let bar = ProgressBar::with_draw_target(Some(plan.pairs), ProgressDrawTarget::stderr());
            let style = "{bar:32} {percent:>3}%  {human_pos}/{human_len} traces  {msg}  {elapsed_precise} (eta {eta})";
            // The template is a constant; one that did not parse would leave the default style.
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
    }

    fn progress(&mut self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.completed);
            bar.set_message(format!(
                "{} sent, {} received",
                indicatif::HumanCount(progress.sent),
                indicatif::HumanCount(progress.received)
            ));
        }
    }

    fn finished(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
