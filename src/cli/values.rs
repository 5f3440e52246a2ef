//! Parsers for option values. They understand numbers as people write them. Each error states the valid range.
//!
//! | value | forms |
//! |---|---|
//! | any number | `_` between two digits: `10_000` |
//! | count | `10k`, `1.5M`, also `K` |
//! | seed, type of service | hexadecimal with `0x` |
//! | time | seconds, or `500ms`, `2s`, `5min`, `1h`, `1d`, also `us`, `µs`, `sec`, `m` |
//! | rate | probes a second: `500`, `10k`, `1.5M`, also with `/s` or `pps` |
//! | share | `0.9` or `90%` |
//!
//! A blank may stand before a unit. A comma is refused, because it separates thousands for some and decimals for others.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::NaiveDate;
use pathsurvey::config::{CONFIDENCE, MAX_DURATION_S, PACKET_SIZES, TIMEOUT_S};
use pathsurvey::model::Rate;

/// The longest time in any option, in seconds: a day.
const DAY_S: f64 = 86_400.0;

/// Units of time, in seconds. A unit comes before those that it ends with.
const TIMES: [(&str, f64); 9] = [
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("sec", 1.0),
    ("s", 1.0),
    ("min", 60.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", DAY_S),
];

/// A span of time in seconds, such as 3 or 0.5, or with a unit, such as 500ms.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    span(text, 0.0, DAY_S)
}

/// The time to wait for a reply, in seconds.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    span(text, *TIMEOUT_S.start(), *TIMEOUT_S.end())
}

/// The longest duration of a run, in seconds.
pub(super) fn max_duration(text: &str) -> Result<Duration, String> {
    let error = |error| format!("{error}; hours may be written as 6h, minutes as 30min");
    span(text, *MAX_DURATION_S.start(), *MAX_DURATION_S.end()).map_err(error)
}

/// A day as `YYYY-MM-DD`, from 1970 to 9999.
pub(super) fn day(text: &str) -> Result<NaiveDate, String> {
    let day = text.parse::<NaiveDate>().ok();
    // Parsers accept 2026-3-1 as well, which is not the name of a folder.
    let usual = |day: &NaiveDate| day.to_string() == text && ("1970".."9999~").contains(&text);
    day.filter(usual)
        .ok_or_else(|| "give a day of the calendar as YYYY-MM-DD, such as 2026-03-01".to_owned())
}

fn span(text: &str, least: f64, most: f64) -> Result<Duration, String> {
    let refuse = || {
        let give = format!("give seconds between {least} and {most}, such as 3, 0.5 or 500ms");
        with_comma(text, give)
    };
    let unit = TIMES.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?;
        Some((decimal(number.trim_end())?, factor))
    });
    let seconds = match unit {
        Some((number, factor)) => number * factor,
        None => decimal(text).ok_or_else(refuse)?,
    };
    // NaN is not in any range.
    (least..=most)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(refuse)
}

/// A share, as a number from 0 to 1 or as a percentage.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(number) => decimal(number.trim_end()).map(|percent| percent / 100.0),
        None => decimal(text),
    };
    let share = number.filter(|share| (0.0..=1.0).contains(share));
    let give = "give a share between 0 and 1, or a percentage such as 90%";
    share.ok_or_else(|| with_comma(text, give.to_owned()))
}

/// A confidence: percent, or a share below 1.
pub(super) fn confidence(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(number) => decimal(number.trim_end()).map(|percent| percent / 100.0),
        // Nobody is confident to less than one percent.
        None => decimal(text).map(|number| if number > 1.0 { number / 100.0 } else { number }),
    };
    let known = number.filter(|confidence| CONFIDENCE.contains(confidence));
    let give = "give percent such as 95 or 99.9, or a share such as 0.95; from 50% to 99.9999%";
    known.ok_or_else(|| with_comma(text, give.to_owned()))
}

/// A rate in probes a second.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let number = ["/s", "pps"]
        .iter()
        .find_map(|unit| text.strip_suffix(unit));
    let number = number.unwrap_or(text).trim_end();
    let scaled = number.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']);
    let unit = &number[scaled.unwrap_or(number).len()..];
    let digits = without_underscores(scaled.unwrap_or(number).trim_end(), DECIMAL);
    let rate = digits.and_then(|digits| format!("{digits}{unit}").parse().ok());
    let give = || format!("`{text}` is not a rate: give probes a second, such as 500, 10k or 1.5M");
    rate.ok_or_else(|| with_comma(text, give()))
}

/// A whole number in a range.
pub(super) fn whole<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: Copy + Display + PartialOrd + TryFrom<u64> + Send + Sync + 'static,
{
    move |text| in_range(text, &range, scaled(text))
}

/// A whole number in a range, which may also be hexadecimal.
pub(super) fn whole_or_hex<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: Copy + Display + PartialOrd + TryFrom<u64> + Send + Sync + 'static,
{
    move |text| {
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let number = match hex {
            Some(digits) => without_underscores(digits, HEXADECIMAL)
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u128::from_str_radix(&digits, 16).ok()),
            None => scaled(text),
        };
        in_range(text, &range, number)
    }
}

fn in_range<T>(text: &str, range: &RangeInclusive<T>, number: Option<u128>) -> Result<T, String>
where
    T: Copy + Display + PartialOrd + TryFrom<u64>,
{
    let (least, most) = (range.start(), range.end());
    let Some(number) = number else {
        let give = format!("`{text}` is not a whole number in {least}..={most}");
        return Err(with_comma(text, give));
    };
    let value = u64::try_from(number)
        .ok()
        .and_then(|number| T::try_from(number).ok());
    value
        .filter(|value| range.contains(value))
        .ok_or_else(|| format!("{number} is not in {least}..={most}"))
}

/// The size of a probe in bytes. The smallest valid size depends on the families.
pub(super) fn packet_size(text: &str) -> Result<u16, String> {
    let size = scaled(text).and_then(|size| u16::try_from(size).ok());
    size.ok_or_else(|| with_comma(text, PACKET_SIZES.to_owned()))
}

/// Parses a whole number, also in thousands (`k`) or millions (`M`). A fraction of these must be whole: `1.5k`.
fn scaled(text: &str) -> Option<u128> {
    let (number, places) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (text[..at].trim_end(), 3),
        (at, 'M') => (text[..at].trim_end(), 6),
        _ => (text, 0),
    };
    let number = without_underscores(number, DECIMAL)?;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if places > 0 && !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number.as_str(), ""),
    };
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    let whole = whole.strip_prefix('+').unwrap_or(whole);
    if whole.is_empty() || fraction.len() > places || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

/// Parses a decimal number.
fn decimal(text: &str) -> Option<f64> {
    without_underscores(text, DECIMAL)?.parse().ok()
}

/// Recognises a digit.
type IsDigit = fn(&u8) -> bool;
const DECIMAL: IsDigit = u8::is_ascii_digit;
const HEXADECIMAL: IsDigit = u8::is_ascii_hexdigit;

/// Removes `_` between two digits. Returns `None` if one stands elsewhere.
fn without_underscores(text: &str, is_digit: IsDigit) -> Option<String> {
    let digit = |at: Option<usize>| {
        let byte = at.and_then(|at| text.as_bytes().get(at));
        byte.is_some_and(is_digit)
    };
    let between = |(at, _): (usize, &str)| digit(at.checked_sub(1)) && digit(Some(at + 1));
    text.match_indices('_')
        .all(between)
        .then(|| text.replace('_', ""))
}

/// Adds what is wrong with a comma to an error.
fn with_comma(text: &str, error: String) -> String {
    match text.contains(',') {
        true => format!(
            "{error}; a comma is not read: write 1000 or 1_000 for a thousand, and 0.5 for a half"
        ),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_a_time_states_the_range() {
        for text in [
            "nan", "inf", "-1", "0", "0.009", "3601", "soon", "", "s", "9ms", "61min", "1_", "2 0",
            "1m30s", "5M", "1e9", "1_e0", "1e_0", "1_.5", "1._5", "1_s",
        ] {
            let error = timeout(text).unwrap_err();
            assert!(error.contains("between 0.01 and 3600"), "{text}: {error}");
        }
        assert_eq!(timeout("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert!(seconds("NaN").unwrap_err().contains("between 0 and 86400"));
        assert!(seconds("0,5").unwrap_err().contains("comma"));
    }

    #[test]
    fn times_may_have_units() {
        for (text, milliseconds) in [
            ("3", 3_000),
            (".5", 500),
            ("1e1", 10_000),
            ("1e0_1", 10_000),
            ("2s", 2_000),
            ("2 s", 2_000),
            ("2sec", 2_000),
            ("500ms", 500),
            ("0.5s", 500),
            ("20_000us", 20),
            ("20000µs", 20),
            ("1m", 60_000),
            ("1.5min", 90_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                timeout(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        assert_eq!(seconds("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(seconds("1_000"), Ok(Duration::from_secs(1_000)));
    }

    #[test]
    fn a_long_duration_has_hours_and_a_limit() {
        assert_eq!(max_duration("6h"), Ok(Duration::from_secs(21_600)));
        assert_eq!(max_duration("90 min"), Ok(Duration::from_secs(5_400)));
        assert_eq!(max_duration("30d"), Ok(Duration::from_secs(2_592_000)));
        for text in ["0", "-1", "31d", "6 hours", ""] {
            let error = max_duration(text).unwrap_err();
            assert!(error.contains("2592000") && error.contains("6h"), "{error}");
        }
    }

    #[test]
    fn a_day_has_ten_characters_and_is_in_the_calendar() {
        for text in ["1970-01-01", "2024-02-29", "9999-12-31"] {
            assert_eq!(day(text).unwrap().to_string(), text);
        }
        for text in [
            "2026-3-1",
            "2026-02-30",
            "2025-02-29",
            "1969-12-31",
            "+10000-01-01",
            "20260301",
            "today",
            "",
            "2026-03-01T00:00:00Z",
            " 2026-03-01",
        ] {
            assert!(day(text).unwrap_err().contains("YYYY-MM-DD"), "{text}");
        }
    }

    #[test]
    fn shares_may_be_percentages() {
        for (text, expected) in [
            ("0.9", 0.9),
            ("90%", 0.9),
            ("90 %", 0.9),
            ("0", 0.0),
            ("1", 1.0),
            ("100%", 1.0),
            ("0.5%", 0.005),
            ("1%", 0.01),
        ] {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for text in [
            "90", "1.1", "101%", "-1", "-5%", "NaN", "nan%", "inf", "%", "", "half", "9%0", "50%%",
            "0x1", "9_e-1", "9e-_1", "9_%",
        ] {
            assert!(share(text).unwrap_err().contains("such as 90%"), "{text}");
        }
        assert!(share("0,9").unwrap_err().contains("comma"));
    }

    #[test]
    fn rates_may_have_units_and_underscores() {
        for (text, expected) in [
            ("500", 500.0),
            ("0.5", 0.5),
            ("10k", 1e4),
            ("10 k", 1e4),
            ("1.5M", 1.5e6),
            ("1m", 1e6),
            ("10_000", 1e4),
            ("1_000k", 1e6),
            ("500/s", 500.0),
            ("10kpps", 1e4),
            ("10k pps", 1e4),
            ("2.5k/s", 2_500.0),
        ] {
            assert_eq!(rate(text).map(Rate::per_second), Ok(expected), "{text}");
        }
        for text in [
            "", "k", "0", "-5", "inf", "nan", "1e3", "10kk", "1 000", "2G0", "fast", "/s", "_1",
            "1_", "1__0", "60/min", "1,000", "1.000,5",
        ] {
            let error = rate(text).unwrap_err();
            assert!(
                error.starts_with(&format!("`{text}` is not a rate")),
                "{error}"
            );
            assert_eq!(error.contains("comma"), text.contains(','), "{error}");
        }
    }

    #[test]
    fn whole_numbers_may_be_scaled() {
        let port = whole(1..=u16::MAX);
        for (text, expected) in [
            ("80", 80),
            ("080", 80),
            ("+80", 80),
            ("33_434", 33_434),
            ("10k", 10_000),
            ("1.5k", 1_500),
            ("1.500k", 1_500),
            ("0.001k", 1),
        ] {
            assert_eq!(port(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "k",
            "1.5",
            "1.",
            "1.0",
            "1.k",
            ".k",
            "0.0001k",
            "-1",
            "--1",
            "1e3",
            "0x10",
            "1_",
            "8 0",
            "½",
            "10kk",
            "10m",
            "99999999999999999999999999999999999999999",
        ] {
            let error = port(text).unwrap_err();
            assert_eq!(
                error,
                format!("`{text}` is not a whole number in 1..=65535")
            );
        }
        for (text, number) in [
            ("0", "0"),
            ("65536", "65536"),
            ("66k", "66000"),
            ("1M", "1000000"),
            ("9999999999999999999999", "9999999999999999999999"),
        ] {
            assert_eq!(port(text), Err(format!("{number} is not in 1..=65535")));
        }
        assert!(port("1,000").unwrap_err().contains("comma"));
        assert_eq!(whole(0..=u64::MAX)("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn some_numbers_may_be_hexadecimal() {
        let tos = whole_or_hex(0..=u8::MAX);
        for (text, expected) in [("0x10", 16), ("0XfF", 255), ("184", 184), ("0x0_1", 1)] {
            assert_eq!(tos(text), Ok(expected), "{text}");
        }
        for text in [
            "0x", "0xg", "x10", "0x1k", "0x-1", "0x+1", "ff", "0x_1", "0x1_", "0_x1",
        ] {
            assert!(tos(text).unwrap_err().contains("0..=255"), "{text}");
        }
        assert_eq!(tos("0x100"), Err("256 is not in 0..=255".to_owned()));
        let seed = whole_or_hex(0..=u64::MAX);
        assert_eq!(seed("0xdead_beef"), Ok(0xdead_beef));
        assert_eq!(seed("0xffffffffffffffff"), Ok(u64::MAX));
    }

    #[test]
    fn sizes_state_their_range() {
        assert_eq!(packet_size("1_500"), Ok(1_500));
        assert_eq!(packet_size("1.5k"), Ok(1_500));
        for text in ["70000", "x", "-1", ""] {
            assert_eq!(packet_size(text), Err(PACKET_SIZES.to_owned()));
        }
    }
}
