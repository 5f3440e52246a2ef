//! Parsers for option values. Each error states the valid range.

use std::time::Duration;

use pathsurvey::config::{PACKET_SIZES, TIMEOUT_S};

/// The longest time in any option, in seconds: a day.
const DAY_S: f64 = 86_400.0;

/// A span of time in seconds, such as 3 or 0.5.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    span(text, 0.0, DAY_S)
}

/// The time to wait for a reply, in seconds.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    span(text, *TIMEOUT_S.start(), *TIMEOUT_S.end())
}

fn span(text: &str, least: f64, most: f64) -> Result<Duration, String> {
    let refuse = || format!("give seconds between {least} and {most}, such as 3 or 0.5");
    let seconds: f64 = text.parse().map_err(|_| refuse())?;
    // NaN is not in any range.
    (least..=most)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(refuse)
}

/// The size of a probe in bytes. The smallest valid size depends on the families.
pub(super) fn packet_size(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| PACKET_SIZES.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_a_time_states_the_range() {
        for text in ["nan", "inf", "-1", "0", "0.009", "3601", "soon", ""] {
            let error = timeout(text).unwrap_err();
            assert!(error.contains("between 0.01 and 3600"), "{text}: {error}");
        }
        assert_eq!(timeout("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert!(seconds("NaN").unwrap_err().contains("between 0 and 86400"));
    }
}
