//! A survey on the terminal: a progress bar, warnings and the summary.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use pathsurvey::engine::stop::EndedEarly;
use pathsurvey::survey::{Observer, Plan, Progress};
use pathsurvey::targets::BadLine;

use super::log::{LogOptions, write_stderr};

/// The number of bad lines that are shown. Further bad lines are only counted.
const SHOWN_BAD_LINES: u64 = 20;

/// Shows a survey on standard error.
pub(super) struct Terminal {
    bar: Option<ProgressBar>,
    shows_progress: bool,
    quiet: bool,
    json: bool,
    bad_lines: u64,
}

impl Terminal {
    /// Calls `write`, whose output appears above the bar.
    fn above_bar(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Shows a message about the end of the run, unless nothing may be shown.
    fn say(&self, message: &str) {
        if self.quiet {
            return;
        }
        match self.json {
            // A warning, because the log may hide lower levels.
            true => tracing::warn!("{message}"),
            false => self.above_bar(|| write_stderr(&format!("{message}\n"))),
        }
    }

    /// Creates an observer that shows what `options` ask for.
    pub(super) fn new(options: &LogOptions) -> Self {
        Terminal {
            bar: None,
            shows_progress: options.shows_progress(),
            quiet: !options.shows_summary(),
            json: options.is_json(),
            bad_lines: 0,
        }
    }
}

/// Returns a function that shows a progress bar for resolved host names, if `options` allow a bar. The bar disappears when all names are
/// resolved.
pub(super) fn names_bar(options: &LogOptions) -> impl Fn(usize, usize) + Send + Sync + 'static {
    let shows_progress = options.shows_progress();
    let shown: Mutex<Option<ProgressBar>> = Mutex::new(None);
    move |done, all| {
        let Some(mut bar) = shown.lock().ok().filter(|_| shows_progress) else {
            return;
        };
        if done == all {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let style = "{bar:32} {percent:>3}%  {human_pos}/{human_len} names resolved  {elapsed_precise} (eta {eta})";
        bar.get_or_insert_with(|| new_bar(all as u64, style))
            .set_position(done as u64);
    }
}

/// Creates a bar of `length` steps on standard error.
pub(super) fn new_bar(length: u64, style: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    // The templates are constants that parse. If one did not, the bar would have the default style.
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Observer for Terminal {
    fn bad_line(&mut self, line: &BadLine) {
        self.bad_lines += 1;
        match self.bad_lines {
            1..=SHOWN_BAD_LINES => tracing::warn!("{line}"),
            n if n == SHOWN_BAD_LINES + 1 => {
                tracing::warn!("further bad lines are not shown; the manifest has their number");
            }
            _ => {}
        }
    }

    fn warn(&mut self, warning: &str) {
        self.above_bar(|| tracing::warn!("{warning}"));
    }

    fn resuming(&mut self, run: &str) {
        if self.shows_progress {
            write_stderr(&format!("{run}\n"));
        }
    }

    fn started(&mut self, plan: &Plan) {
        tracing::info!("{} targets, {} traces", plan.targets, plan.pairs);
        if self.shows_progress {
            let style = "{bar:32} {percent:>3}%  {human_pos}/{human_len} traces  {msg}  {elapsed_precise} (eta {eta})";
            self.bar = Some(new_bar(plan.pairs, style));
        }
    }

    fn progress(&mut self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.completed);
            let again = progress.second_pass.filter(|pass| pass.done > 0);
            let again = again.map(|pass| {
                let (done, holes) = (HumanCount(pass.done), HumanCount(pass.holes));
                format!(", second pass {done}/{holes}")
            });
            bar.set_message(format!(
                "{} sent, {} received{}",
                HumanCount(progress.sent),
                HumanCount(progress.received),
                again.unwrap_or_default()
            ));
        }
    }

    fn stopping(&mut self, cause: EndedEarly, wait: Duration) {
        let (why, keys) = match cause {
            EndedEarly::Signal(_) => ("stopping", "Ctrl-C again"),
            EndedEarly::MaxDuration => ("stopping at --max-duration", "Ctrl-C twice"),
        };
        self.say(&format!(
            "{why}: waiting up to {} s for pending replies; press {keys} to end at once",
            wait.as_secs_f64()
        ));
    }

    fn sealing(&mut self) {
        self.say("ending at once: sealing what was received; press Ctrl-C again to leave it");
    }

    fn finished(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
