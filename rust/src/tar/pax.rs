//! PAX extended headers: `length key=value\n` records, kept in order and as raw bytes.
//!
//! Source: POSIX.1-2001, "pax Extended Header"; the checks are those of Go's archive/tar.

use crate::error::{Error, Format, Result};
use std::fmt::Write;
use std::ops::Range;

/// The records of one header (or of global headers), in the order of the archive.
#[derive(Debug, Clone, Default)]
pub struct PaxRecords {
    bytes: Vec<u8>,
    records: Vec<(Range<u32>, Range<u32>)>,
}

impl PaxRecords {
    /// Records in order, duplicates included.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.records.iter().map(|(key, value)| (self.slice(key), self.slice(value)))
    }

    /// The value that counts for a key: the last one.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.iter().rev().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// Adds the records of a header body that begins at `position` in the archive.
    pub(super) fn parse(&mut self, body: &[u8], position: u64) -> Result<()> {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(body);
        let mut at = 0;
        while at < body.len() {
            let (key, value, next) = record(body, at).map_err(|e| e.at(position + at as u64))?;
            let index = |range: Range<usize>| -> Result<Range<u32>> {
                let place = |n: usize| u32::try_from(base + n).map_err(|_| wrong("records", "less than 4 GiB", "more"));
                Ok(place(range.start)?..place(range.end)?)
            };
            self.records.push((index(key)?, index(value)?));
            at = next;
        }
        Ok(())
    }

    /// Adds records that do not come from a header body: those of global headers, before those of the member.
    pub(super) fn extend(&mut self, other: &PaxRecords) {
        for (key, value) in other.iter() {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(key);
            let middle = self.bytes.len() as u32;
            self.bytes.extend_from_slice(value);
            self.records.push((start..middle, middle..self.bytes.len() as u32));
        }
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}

/// Splits the record at `at` into key, value and the start of the next.
fn record(body: &[u8], at: usize) -> Result<(Range<usize>, Range<usize>, usize)> {
    let digits = body[at..].iter().take(21).take_while(|b| b.is_ascii_digit()).count();
    let rest = at + digits;
    if digits == 0 || body.get(rest) != Some(&b' ') {
        let found = body[at..body.len().min(at + 24)].escape_ascii().to_string();
        return Err(wrong("PAX record length", "decimal digits and a space", format!("\"{found}\"")));
    }
    let length = body[at..rest]
        .iter()
        .try_fold(0_usize, |n, d| n.checked_mul(10)?.checked_add(usize::from(d - b'0')))
        .unwrap_or(usize::MAX);
    let left = body.len() - at;
    if length > left || length < digits + 3 {
        let expected = format!("{} to {left} bytes", digits + 3);
        return Err(wrong("PAX record length", expected, format!("{length}")));
    }
    let end = at + length - 1;
    if body[end] != b'\n' {
        return Err(wrong("PAX record", "a line feed at its end", format!("byte {:#04x}", body[end])));
    }
    let text = &body[rest + 1..end];
    let Some(equals) = text.iter().position(|&b| b == b'=') else {
        return Err(wrong("PAX record", "key=value", format!("\"{}\"", text[..text.len().min(64)].escape_ascii())));
    };
    let (key, value) = (rest + 1..rest + 1 + equals, rest + 2 + equals..end);
    if !valid(&body[key.clone()], &body[value.clone()]) {
        let found = format!("\"{}\"", text[..text.len().min(64)].escape_ascii());
        return Err(wrong("PAX record", "a key that is not empty, and no NUL", found));
    }
    Ok((key, value, end + 1))
}

/// Whether a record can hold this key and value.
pub(crate) fn valid(key: &[u8], value: &[u8]) -> bool {
    let names = [&b"path"[..], b"linkpath", b"uname", b"gname"];
    !key.is_empty() && !key.contains(&b'=') && !if names.contains(&key) { value.contains(&0) } else { key.contains(&0) }
}

/// Appends a record.
pub(crate) fn put(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // space, equals sign, line feed, and the digits of the length itself
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if digits(length) > digits(rest) {
        length += 1;
    }
    out.reserve(length);
    let start = out.len();
    while length > 0 {
        out.push(b'0' + (length % 10) as u8);
        length /= 10;
    }
    out[start..].reverse();
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Seconds and nanoseconds since 1970; nanoseconds always count forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Time {
    /// Reads decimal seconds with a fraction; digits past the ninth are dropped.
    pub(crate) fn parse(text: &[u8]) -> Option<Time> {
        let (whole, fraction) = match text.iter().position(|&b| b == b'.') {
            Some(dot) => (&text[..dot], &text[dot + 1..]),
            None => (text, &[][..]),
        };
        let seconds: i64 = std::str::from_utf8(whole).ok()?.parse().ok()?;
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let nanoseconds = (0..9).fold(0, |n, i| n * 10 + u32::from(fraction.get(i).map_or(0, |d| d - b'0')));
        if whole.first() == Some(&b'-') && nanoseconds > 0 {
            return Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds });
        }
        Some(Time { seconds, nanoseconds })
    }

    /// Decimal seconds, without trailing zeros of the fraction.
    pub(crate) fn text(self) -> String {
        if self.nanoseconds == 0 {
            return self.seconds.to_string();
        }
        let (sign, seconds, nanoseconds) = if self.seconds < 0 {
            ("-", (self.seconds + 1).unsigned_abs(), 1_000_000_000 - self.nanoseconds)
        } else {
            ("", self.seconds.unsigned_abs(), self.nanoseconds)
        };
        // Its own growing would ask for memory three times, of each time of each member.
        let mut text = String::with_capacity(32);
        write!(text, "{sign}{seconds}.{nanoseconds:09}").expect("a string takes all");
        text.truncate(text.trim_end_matches('0').len());
        text
    }
}

fn wrong(field: &'static str, expected: impl Into<Box<str>>, found: impl Into<Box<str>>) -> Error {
    Error::format(Format::Tar, field, expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_that_lie_are_refused() {
        for body in [
            &b"99 a=b\n"[..],
            b"6 a=bc\n",
            b"x a=b\n",
            b"6 a=b",
            b"5 ab\n",
            b"5 =b\n",
            b"18446744073709551617 a=b\n",
            b"3 \n",
        ] {
            let error = PaxRecords::default().parse(body, 1024).unwrap_err();
            assert_eq!(error.code(), "bad_tar", "{body:?}");
            assert!(error.to_string().starts_with("at byte 1024"), "{error}");
        }
    }

    #[test]
    fn times() {
        let parse = |text: &str| Time::parse(text.as_bytes());
        assert_eq!(parse("-0.5"), Some(Time { seconds: -1, nanoseconds: 500_000_000 }));
        assert_eq!(parse("1."), Some(Time { seconds: 1, nanoseconds: 0 }));
        assert_eq!(parse("1.1234567899"), Some(Time { seconds: 1, nanoseconds: 123_456_789 }));
        for wrong in ["", ".5", "1e3", "1.2.3", "abc", "99999999999999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(Time { seconds: -1, nanoseconds: 900_000_000 }.text(), "-0.1");
    }

    proptest! {
        #[test]
        fn put_then_parse(records in prop::collection::vec(("[^=\0]{1,120}", prop::collection::vec(any::<u8>(), 0..1200)), 0..5)) {
            let mut body = Vec::new();
            for (key, value) in &records { put(&mut body, key.as_bytes(), value); }
            let names = ["path", "linkpath", "uname", "gname"];
            prop_assume!(records.iter().all(|(k, _)| !names.contains(&k.as_str())));
            let mut parsed = PaxRecords::default();
            parsed.parse(&body, 0).unwrap();
            let expected: Vec<(&[u8], &[u8])> = records.iter().map(|(k, v)| (k.as_bytes(), v.as_slice())).collect();
            prop_assert_eq!(parsed.iter().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn time_text_is_read_back(seconds in any::<i64>(), nanoseconds in 0..1_000_000_000_u32) {
            prop_assume!(seconds > i64::MIN);
            let time = Time { seconds, nanoseconds };
            prop_assert_eq!(Time::parse(time.text().as_bytes()), Some(time));
        }
    }
}
