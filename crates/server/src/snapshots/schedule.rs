//! When the windows of a saved query end: every so often, aligned to the clock, or as a cron expression says.

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use jiff::Timestamp;

const DAY_NS: i64 = 86_400_000_000_000;
/// How far back it is looked for the time before one. Nothing comes more seldom than once in four years.
const LOOK_BACK_NS: [i64; 4] = [DAY_NS / 24, 2 * DAY_NS, 40 * DAY_NS, 1_500 * DAY_NS];

/// A rule for the ends of windows.
#[derive(Debug)]
pub(super) enum Schedule {
    /// Every so many nanoseconds since 1970.
    Every(i64),
    Cron(Box<Crontab>),
}

impl Schedule {
    /// What a cron expression says, in UTC unless it names a time zone.
    pub(super) fn cron(text: &str) -> Result<Self, String> {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let crontab = cronexpr::parse_crontab_with(text, options);
        let crontab = crontab.map_err(|error| error.to_string())?;
        Ok(Self::Cron(Box::new(crontab)))
    }

    /// The times after one and not after another, oldest first, but not more than so many of the newest.
    pub(super) fn times(&self, after_ns: i64, to_ns: i64, most: usize) -> Vec<i64> {
        match self {
            Self::Every(interval_ns) => {
                let last = to_ns.div_euclid(*interval_ns);
                let first = after_ns.div_euclid(*interval_ns) + 1;
                let first = first.max(last.saturating_sub(most as i64 - 1));
                (first..=last).map(|number| number * interval_ns).collect()
            }
            Self::Cron(crontab) => {
                let Ok(after) = Timestamp::from_nanosecond(i128::from(after_ns)) else {
                    return Vec::new();
                };
                let times = crontab
                    .iter_after(MakeTimestamp(after))
                    .into_iter()
                    .flatten();
                let times = times
                    .map_while(|time| i64::try_from(time.ok()?.timestamp().as_nanosecond()).ok());
                let mut times: Vec<i64> = times.take_while(|time_ns| *time_ns <= to_ns).collect();
                times.drain(..times.len().saturating_sub(most));
                times
            }
        }
    }

    /// The last so many times that are not after one, oldest first.
    pub(super) fn last(&self, number: usize, to_ns: i64) -> Vec<i64> {
        let mut times = Vec::new();
        for back_ns in LOOK_BACK_NS {
            times = self.times(to_ns.saturating_sub(back_ns), to_ns, number);
            if times.len() == number {
                break;
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> i64 {
        let time: Timestamp = text.parse().unwrap();
        i64::try_from(time.as_nanosecond()).unwrap()
    }

    fn check(schedule: &str, after: &str, to: &str, most: usize, times: &[&str]) {
        let found = Schedule::cron(schedule)
            .unwrap()
            .times(ns(after), ns(to), most);
        let times: Vec<i64> = times.iter().map(|time| ns(time)).collect();
        assert_eq!(found, times, "{schedule}");
    }

    #[test]
    fn cron_expressions_are_in_utc_unless_they_say_otherwise() {
        check(
            "30 8 * * MON-FRI",
            "2026-01-02T08:30:00Z",
            "2026-01-06T08:30:00Z",
            9,
            &["2026-01-05T08:30:00Z", "2026-01-06T08:30:00Z"],
        );
        // Summer time begins on the 29th in Berlin.
        check(
            "0 6 * * * Europe/Berlin",
            "2026-03-27T12:00:00Z",
            "2026-03-29T12:00:00Z",
            9,
            &["2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z"],
        );
        check(
            "*/15 * * * *",
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            2,
            &["2026-01-01T23:45:00Z", "2026-01-02T00:00:00Z"],
        );
        assert!(Schedule::cron("61 * * * *").is_err());
    }

    #[test]
    fn times_before_are_found_however_seldom_they_come() {
        let last = |schedule: &str, number| {
            Schedule::cron(schedule)
                .unwrap()
                .last(number, ns("2026-01-05T10:00:30Z"))
        };
        let minutes = ["2026-01-05T09:59:00Z", "2026-01-05T10:00:00Z"].map(ns);
        assert_eq!(last("* * * * *", 2), minutes);
        assert_eq!(last("0 0 29 2 *", 1), [ns("2024-02-29T00:00:00Z")]);
        assert_eq!(
            Schedule::Every(10 * 1_000_000_000).last(1, 25_000_000_000),
            [20_000_000_000]
        );
    }
}
