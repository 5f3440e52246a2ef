//! Nights: the UTC dates that runs belong to.

use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate};

use crate::dataset::read::Run;

/// The night of a run: the date of its folder or of its parts. A run without both belongs to the UTC day on which it started.
///
/// The times of files are not used: copying a dataset changes them.
pub fn night_of(run: &Run) -> Option<NaiveDate> {
    let folder = run.folder().and_then(date_in);
    let parts = run.tables().flat_map(|table| run.parts(table));
    let part = || { parts }.find_map(|part| part.partition("date")?.parse().ok());
    let start = || {
        let started = run.manifest().started_at?;
        Some(DateTime::from_timestamp_micros(started.as_micros())?.date_naive())
    };
    folder.or_else(part).or_else(start)
}

/// The date of the folder `date=…` that is nearest to the end of a path.
fn date_in(path: &Path) -> Option<NaiveDate> {
    let folders = path.iter().rev();
    { folders }.find_map(|folder| folder.to_str()?.strip_prefix("date=")?.parse().ok())
}

/// A number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(u64);

impl Age {
    /// The day that is this number of days before `today`. `None` before the first day that a date can have.
    pub fn before(self, today: NaiveDate) -> Option<NaiveDate> {
        today.checked_sub_days(Days::new(self.0))
    }
}

impl FromStr for Age {
    type Err = String;

    /// Reads a number of days (`90d`) or weeks (`12w`).
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no age: give days or weeks, such as 90d or 12w");
        let (number, days) = match text.split_at_checked(text.len().saturating_sub(1)) {
            Some((number, "d")) => (number, 1),
            Some((number, "w")) => (number, 7),
            _ => return Err(wrong()),
        };
        // `parse` would accept a sign.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(days).map(Age).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days_or_weeks() {
        assert_eq!("90d".parse(), Ok(Age(90)));
        assert_eq!("2w".parse(), Ok(Age(14)));
        for wrong in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1h",
            "1.5d",
            "99999999999999999999d",
            "9é",
        ] {
            let error = wrong.parse::<Age>().unwrap_err();
            assert!(error.contains("90d"), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_age_counts_whole_days() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(Age(90).before(day("2026-03-31")), Some(day("2025-12-31")));
        assert_eq!(Age(0).before(day("2026-03-01")), Some(day("2026-03-01")));
        assert_eq!(Age(u64::MAX).before(day("2026-03-01")), None);
    }

    #[test]
    fn the_date_is_that_of_the_nearest_folder() {
        let date = |path: &str| date_in(Path::new(path)).map(|date| date.to_string());
        let runs = "/data/date=2020-01-01/out/runs/date=2026-03-01/vp=id-date=2021-01-01/run";
        assert_eq!(date(runs).as_deref(), Some("2026-03-01"));
        assert_eq!(date("/data/runs/date=today/x"), None);
    }
}
