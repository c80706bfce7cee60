//! The time of NT: a count of 100-nanosecond ticks since 1601.

use std::fmt;

/// A FILETIME: 100 ns ticks since 1601-01-01 00:00:00 UTC, over the whole range of `i64`.
///
/// Zero is an ordinary value here: what "no time" means belongs to [`super::BasicInfo`].
///
/// ```
/// use winlayers::nt::FileTime;
/// let time = FileTime::from_unix(1_600_000_000, 123_456_789).unwrap();
/// assert_eq!(time.to_string(), "2020-09-13T12:26:40.1234567Z");
/// assert_eq!(time.to_unix(), (1_600_000_000, 123_456_700));
/// assert_eq!(FileTime::parse_iso8601("2020-09-13T12:26:40.1234567Z"), Some(time));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime(pub i64);

const TICKS_PER_SECOND: i64 = 10_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_400_YEARS: i64 = 146_097;

impl FileTime {
    /// 1970-01-01 00:00:00 UTC in ticks.
    pub const UNIX_EPOCH_TICKS: i64 = 116_444_736_000_000_000;

    /// The time at `secs` and `nanos` after the Unix epoch, rounded down to a tick. `None` when `nanos` is not below
    /// 10⁹ or the time is out of range.
    #[must_use]
    pub fn from_unix(secs: i64, nanos: u32) -> Option<FileTime> {
        if nanos >= 1_000_000_000 {
            return None;
        }
        let ticks = i128::from(secs) * i128::from(TICKS_PER_SECOND)
            + i128::from(nanos / 100)
            + i128::from(Self::UNIX_EPOCH_TICKS);
        i64::try_from(ticks).ok().map(FileTime)
    }

    /// Whole seconds since the Unix epoch, rounded down, and the nanoseconds after them.
    #[must_use]
    pub fn to_unix(self) -> (i64, u32) {
        let seconds = self.0.div_euclid(TICKS_PER_SECOND) - Self::UNIX_EPOCH_TICKS / TICKS_PER_SECOND;
        (seconds, self.tick_of_second() * 100)
    }

    /// Reads what [`fmt::Display`] writes; one to seven digits of fraction, or none, are accepted.
    ///
    /// `None` for any other text, for a date that does not exist and for a time out of range.
    #[must_use]
    pub fn parse_iso8601(text: &str) -> Option<FileTime> {
        let (year, rest) = split_year(text)?;
        let rest = rest.strip_suffix('Z')?;
        let (clock, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
        if clock.len() != "-MM-DDTHH:MM:SS".len() || fraction.is_empty() || fraction.len() > 7 {
            return None;
        }
        let bytes = clock.as_bytes();
        let separators = [(0, b'-'), (3, b'-'), (6, b'T'), (9, b':'), (12, b':')];
        if separators.iter().any(|&(at, byte)| bytes[at] != byte) {
            return None;
        }
        let field = |at: usize| digits(clock.get(at..at + 2)?);
        let (month, day, hour, minute, second) = (field(1)?, field(4)?, field(7)?, field(10)?, field(13)?);
        if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return None;
        }
        let ticks = digits(fraction)? * 10_i64.pow(7 - u32::try_from(fraction.len()).ok()?);
        let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
        i64::try_from(i128::from(seconds) * i128::from(TICKS_PER_SECOND) + i128::from(ticks)).ok().map(FileTime)
    }

    fn tick_of_second(self) -> u32 {
        u32::try_from(self.0.rem_euclid(TICKS_PER_SECOND)).expect("a remainder below 10^7 fits 32 bits")
    }
}

/// ISO 8601 in UTC with all seven digits: `2020-09-13T12:26:40.1234567Z`.
///
/// Dates are Gregorian over the whole range (year 0 is the year before 1). Years outside 0 to 9999 have a sign and six
/// digits, the expanded form of ISO 8601: `-027627-04-19T...`, `+030828-09-14T...`.
impl fmt::Display for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(TICKS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?
        } else {
            write!(f, "{year:+07}")?
        }
        write!(
            f,
            "-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:07}Z",
            second / 3600,
            second / 60 % 60,
            second % 60,
            self.tick_of_second()
        )
    }
}

fn split_year(text: &str) -> Option<(i64, &str)> {
    let (sign, unsigned, width) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..], 6),
        b'-' => (-1, &text[1..], 6),
        _ => (1, text, 4),
    };
    let year = sign * digits(unsigned.get(..width)?)?;
    // One spelling for each year, so that equal times are equal text.
    if width == 6 && (0..=9999).contains(&year) { None } else { Some((year, unsigned.get(width..)?)) }
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Days from 1601-01-01 to the start of a year that counts from March, so that a leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year } - 1600;
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_400_YEARS + day_of_era - MARCH_1600_TO_1601
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + MARCH_1600_TO_1601;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = 1600 + era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Days from 1600-03-01, where the 400-year cycle of [`days_from_civil`] starts, to 1601-01-01.
const MARCH_1600_TO_1601: i64 = 306;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        let table = [
            (0, "1601-01-01T00:00:00.0000000Z"),
            (-1, "1600-12-31T23:59:59.9999999Z"),
            (FileTime::UNIX_EPOCH_TICKS, "1970-01-01T00:00:00.0000000Z"),
            (125_911_584_000_000_000, "2000-01-01T00:00:00.0000000Z"),
            (125_963_424_000_000_000, "2000-03-01T00:00:00.0000000Z"),
            (i64::MAX, "+030828-09-14T02:48:05.4775807Z"),
            (i64::MIN, "-027627-04-19T21:11:54.5224192Z"),
        ];
        for (ticks, text) in table {
            assert_eq!(FileTime(ticks).to_string(), text);
            assert_eq!(FileTime::parse_iso8601(text), Some(FileTime(ticks)), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_time() {
        let bad = [
            "",
            "Z",
            "2001-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2001-13-01T00:00:00Z",
            "2001-00-01T00:00:00Z",
            "2001-01-00T00:00:00Z",
            "2001-01-01T24:00:00Z",
            "2001-01-01T00:60:00Z",
            "2001-01-01T00:00:60Z",
            "2001-01-01T00:00:00",
            "2001-01-01T00:00:00.Z",
            "2001-01-01T00:00:00.12345678Z",
            "2001-01-01T00:00:00.+1Z",
            "2001-01-01 00:00:00Z",
            "2001-01-01T00:00:0éZ",
            "+002001-01-01T00:00:00Z",
            "+030828-09-14T02:48:05.4775808Z",
            "-027627-04-19T21:11:54.5224191Z",
            "20é1-01-01T00:00:00Z",
        ];
        for text in bad {
            assert_eq!(FileTime::parse_iso8601(text), None, "{text}");
        }
        assert_eq!(FileTime::parse_iso8601("1601-01-01T00:00:00.5Z"), Some(FileTime(5_000_000)));
        assert_eq!(FileTime::parse_iso8601("1601-01-01T00:00:01Z"), Some(FileTime(10_000_000)));
    }

    #[test]
    fn unix_bounds() {
        assert_eq!(FileTime::from_unix(0, 1_000_000_000), None);
        assert_eq!(FileTime::from_unix(i64::MAX, 0), None);
        assert_eq!(FileTime::from_unix(i64::MIN, 0), None);
        assert_eq!(FileTime::from_unix(-1, 999_999_999), Some(FileTime(FileTime::UNIX_EPOCH_TICKS - 1)));
        assert_eq!(FileTime(FileTime::UNIX_EPOCH_TICKS - 1).to_unix(), (-1, 999_999_900));
    }

    proptest! {
        #[test]
        fn text_and_unix_round_trip(ticks: i64) {
            let time = FileTime(ticks);
            prop_assert_eq!(FileTime::parse_iso8601(&time.to_string()), Some(time));
            let (secs, nanos) = time.to_unix();
            prop_assert_eq!(FileTime::from_unix(secs, nanos), Some(time));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[-+0-9TZ:.é]{0,34}") {
            if let Some(time) = FileTime::parse_iso8601(&text) {
                prop_assert_eq!(FileTime::parse_iso8601(&time.to_string()), Some(time));
            }
        }
    }
}
