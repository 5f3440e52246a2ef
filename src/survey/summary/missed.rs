//! The message that too few probes were answered.

use std::fmt;

/// Fewer probes were answered than `--min-reply-rate` requires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MissedReplyRate {
    /// The share of sent probes that were answered; `None` if no probe was sent.
    pub answered: Option<f64>,
    /// The required share.
    pub least: f64,
}

impl fmt::Display for MissedReplyRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, because a share such as 0.07 has binary rounding errors as a percentage.
        let least = (self.least * 1e8).round() / 1e6;
        match self.answered {
            None => f.write_str("no probe was sent")?,
            Some(answered) => {
                let rounded = |digits: usize| format!("{:.digits$}", 100.0 * answered);
                // As few digits as possible that still show a smaller value than the required one.
                let smaller = (1..=6)
                    .map(rounded)
                    .find(|text| text.parse().is_ok_and(|percent: f64| percent < least));
                let percent = smaller.unwrap_or_else(|| rounded(6));
                write!(f, "{percent}% of the probes were answered")?;
            }
        }
        write!(f, "; --min-reply-rate asks for {least}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_shows_two_different_percentages() {
        for (answered, least, text) in [
            (
                Some(0.897),
                0.99,
                "89.7% of the probes were answered; --min-reply-rate asks for 99%",
            ),
            (
                Some(0.98996),
                0.99,
                "98.996% of the probes were answered; --min-reply-rate asks for 99%",
            ),
            (
                Some(0.0),
                0.07,
                "0.0% of the probes were answered; --min-reply-rate asks for 7%",
            ),
            (
                Some(0.3),
                0.995,
                "30.0% of the probes were answered; --min-reply-rate asks for 99.5%",
            ),
            (
                None,
                1.0,
                "no probe was sent; --min-reply-rate asks for 100%",
            ),
        ] {
            assert_eq!(MissedReplyRate { answered, least }.to_string(), text);
        }
    }
}
