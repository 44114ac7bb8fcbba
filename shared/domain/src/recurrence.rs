//! Recurrence rules of RFC 5545 (iCalendar, §3.3.10), over days: on which days something comes back.
//!
//! Windows of a calendar begin at a time of day and recur by days, so a rule here has a frequency of `DAILY` or slower. Read and
//! followed are `FREQ`, `INTERVAL`, `COUNT`, `UNTIL`, `BYMONTH`, `BYMONTHDAY`, `BYYEARDAY`, `BYDAY`, `BYSETPOS` and `WKST`.
//! **Anything else is refused by name, and nothing is guessed**: `BYWEEKNO`, the parts of a time of day, and faster frequencies.
//!
//! **Invariants: no rule makes more work than a bounded range of days asks for; a rule that can never come true gives no days.**
//! Not here: times of day, time zones and lengths ([`crate::calendar`]).

use jiff::Timestamp;
use jiff::civil::{Date, Weekday, date};
use jiff::{Span, ToSpan as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest rule that is read, bytes.
const RULE_BYTES_MAX: usize = 500;
/// Largest `INTERVAL` and `COUNT`.
const NUMBER_MAX: u16 = 10_000;
/// The longest range of days that is asked for at once. What is beyond it is not answered.
pub const RANGE_DAYS_MAX: i32 = 800;
/// The last year that a rule with a `COUNT` is followed to.
const YEAR_MAX: i16 = 2200;

/// How often a rule looks for days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recurrence {
    text: String,
    frequency: Frequency,
    interval: i32,
    count: Option<u16>,
    until: Option<Timestamp>,
    months: Vec<i16>,
    month_days: Vec<i16>,
    year_days: Vec<i16>,
    /// With an ordinal, or 0 for every such day.
    weekdays: Vec<(i16, Weekday)>,
    positions: Vec<i16>,
    week_start: Weekday,
}

/// A rule that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a recurrence rule of RFC 5545: {why}")]
pub struct InvalidRule {
    /// What is wrong with it.
    pub why: String,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, InvalidRule> {
    Err(InvalidRule { why: why.into() })
}

impl Recurrence {
    /// The last instant at which something may begin, if the rule has one.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The days of the rule between two days, both included, for something that begins on `start`. A range longer than
    /// [`RANGE_DAYS_MAX`] is cut there.
    pub fn days(&self, start: Date, from: Date, to: Date) -> Vec<Date> {
        let from = from.max(start);
        let limit = from.checked_add(RANGE_DAYS_MAX.days());
        let to = limit.map_or(to, |limit| to.min(limit));
        let mut days = Vec::new();
        let mut counted = 0;
        // Only a count needs to know what came before.
        let mut index = match self.count {
            Some(_) => 0,
            None => self.index_of(start, from),
        };
        while let Some((first, last)) = self.period(start, index) {
            if first > to || (self.count.is_some() && first.year() > YEAR_MAX) {
                break;
            }
            for day in self.days_of(start, first, last) {
                counted += 1;
                if self.count.is_some_and(|count| counted > count) {
                    return days;
                }
                if day >= from && day <= to {
                    days.push(day);
                }
            }
            index += 1;
        }
        days
    }

    /// The number of the last period that may hold a day, or one before it.
    fn index_of(&self, start: Date, day: Date) -> i32 {
        let months = |day: Date| i32::from(day.year()) * 12 + i32::from(day.month());
        let passed = match self.frequency {
            Frequency::Daily => days_between(start, day),
            Frequency::Weekly => days_between(start, day) / 7,
            Frequency::Monthly => months(day) - months(start),
            Frequency::Yearly => i32::from(day.year()) - i32::from(start.year()),
        };
        (passed / self.interval - 1).max(0)
    }

    /// The first and the last day of a period; nothing beyond the calendar's end.
    fn period(&self, start: Date, index: i32) -> Option<(Date, Date)> {
        let steps = index.checked_mul(self.interval)?;
        match self.frequency {
            Frequency::Daily => {
                let day = plus_days(start, steps)?;
                Some((day, day))
            }
            Frequency::Weekly => {
                let into = i32::from(start.weekday().since(self.week_start));
                let first = plus_days(start, steps.checked_mul(7)? - into)?;
                Some((first, plus_days(first, 6)?))
            }
            Frequency::Monthly => {
                let first = start.first_of_month();
                let first = first
                    .checked_add(Span::new().try_months(steps).ok()?)
                    .ok()?;
                Some((first, first.last_of_month()))
            }
            Frequency::Yearly => {
                let year = i32::from(start.year()).checked_add(steps)?;
                let first = Date::new(i16::try_from(year).ok()?, 1, 1).ok()?;
                Some((first, first.last_of_year()))
            }
        }
    }

    /// The days of one period, in their order, none before the start.
    fn days_of(&self, start: Date, first: Date, last: Date) -> Vec<Date> {
        let mut days = Vec::new();
        let mut next = Some(first);
        while let Some(day) = next.filter(|day| *day <= last) {
            if self.holds(start, day) {
                days.push(day);
            }
            next = day.tomorrow().ok();
        }
        if !self.positions.is_empty() {
            let length = days.len();
            let chosen = |index: usize| {
                let at = |position: i16| match usize::from(position.unsigned_abs()) {
                    back if position < 0 => length.checked_sub(back),
                    forward => forward.checked_sub(1),
                };
                self.positions.iter().any(|it| at(*it) == Some(index))
            };
            let kept = days.iter().enumerate().filter(|(index, _)| chosen(*index));
            days = kept.map(|(_, day)| *day).collect();
        }
        days.retain(|day| *day >= start);
        days
    }

    /// Whether a day has everything that the rule asks of a day.
    fn holds(&self, start: Date, day: Date) -> bool {
        let among = |list: &[i16], value: i16, length: i16| {
            list.is_empty() || list.contains(&value) || list.contains(&(value - length - 1))
        };
        let (of_month, of_year) = (i16::from(day.day()), day.day_of_year());
        if !(self.months.is_empty() || self.months.contains(&i16::from(day.month())))
            || !among(&self.month_days, of_month, i16::from(day.days_in_month()))
            || !among(&self.year_days, of_year, day.days_in_year())
        {
            return false;
        }
        if !self.weekdays.is_empty() {
            return self.weekdays.iter().any(|(nth, weekday)| {
                *weekday == day.weekday() && (*nth == 0 || self.is_nth(*nth, day))
            });
        }
        // What the rule does not say, its start does.
        if !self.month_days.is_empty() || !self.year_days.is_empty() {
            return true;
        }
        match self.frequency {
            Frequency::Daily => true,
            Frequency::Weekly => day.weekday() == start.weekday(),
            Frequency::Yearly if self.months.is_empty() => {
                (day.month(), day.day()) == (start.month(), start.day())
            }
            Frequency::Monthly | Frequency::Yearly => day.day() == start.day(),
        }
    }

    /// Whether a day is the nth of its weekday, counted from the end if negative, in its month or in its year.
    fn is_nth(&self, nth: i16, day: Date) -> bool {
        let in_year = self.frequency == Frequency::Yearly && self.months.is_empty();
        let (number, length) = if in_year {
            (day.day_of_year(), day.days_in_year())
        } else {
            (i16::from(day.day()), i16::from(day.days_in_month()))
        };
        let place = if nth > 0 {
            (number - 1) / 7 + 1
        } else {
            -((length - number) / 7 + 1)
        };
        place == nth
    }
}

fn days_between(a: Date, b: Date) -> i32 {
    i32::try_from(b.duration_since(a).as_hours() / 24).unwrap_or(0)
}

fn plus_days(day: Date, days: i32) -> Option<Date> {
    day.checked_add(Span::new().try_days(days).ok()?).ok()
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Recurrence> for String {
    fn from(rule: Recurrence) -> Self {
        rule.text
    }
}

impl TryFrom<String> for Recurrence {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl FromStr for Recurrence {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        if text.len() > RULE_BYTES_MAX {
            return refuse(format!(
                "at most {RULE_BYTES_MAX} bytes, found {}",
                text.len()
            ));
        }
        let mut parts = Parts::default();
        let bare = text.strip_prefix("RRULE:").unwrap_or(text);
        for part in bare.split(';') {
            let Some((name, value)) = part.split_once('=') else {
                return refuse(format!("“{part}” is no NAME=VALUE"));
            };
            parts.take(name, value)?;
        }
        parts.rule(text)
    }
}

/// What was read so far. Each part may come once.
#[derive(Default)]
struct Parts {
    seen: Vec<String>,
    frequency: Option<Frequency>,
    interval: Option<u16>,
    count: Option<u16>,
    until: Option<Timestamp>,
    months: Vec<i16>,
    month_days: Vec<i16>,
    year_days: Vec<i16>,
    weekdays: Vec<(i16, Weekday)>,
    positions: Vec<i16>,
    week_start: Option<Weekday>,
}

impl Parts {
    fn take(&mut self, name: &str, value: &str) -> Result<(), InvalidRule> {
        if self.seen.iter().any(|seen| seen == name) {
            return refuse(format!("{name} comes twice"));
        }
        self.seen.push(name.to_owned());
        match name {
            "FREQ" => self.frequency = Some(frequency(value)?),
            "INTERVAL" => self.interval = Some(number(name, value)?),
            "COUNT" => self.count = Some(number(name, value)?),
            "UNTIL" => self.until = Some(until(value)?),
            "BYMONTH" => self.months = numbers(name, value, 12, false)?,
            "BYMONTHDAY" => self.month_days = numbers(name, value, 31, true)?,
            "BYYEARDAY" => self.year_days = numbers(name, value, 366, true)?,
            "BYSETPOS" => self.positions = numbers(name, value, 366, true)?,
            "BYDAY" => self.weekdays = weekdays(value)?,
            "WKST" => self.week_start = Some(weekday(value)?),
            "BYWEEKNO" | "BYHOUR" | "BYMINUTE" | "BYSECOND" => {
                return refuse(format!(
                    "{name} is not followed here: a window begins at the time of day of its start"
                ));
            }
            _ => return refuse(format!("there is no part “{name}”")),
        }
        Ok(())
    }

    /// The rule, if its parts go together (the table and the notes of §3.3.10).
    fn rule(self, text: &str) -> Result<Recurrence, InvalidRule> {
        let Some(frequency) = self.frequency else {
            return refuse("FREQ is missing");
        };
        if self.count.is_some() && self.until.is_some() {
            return refuse("COUNT and UNTIL exclude each other");
        }
        if !self.year_days.is_empty() && frequency != Frequency::Yearly {
            return refuse("BYYEARDAY goes with FREQ=YEARLY only");
        }
        if !self.month_days.is_empty() && frequency == Frequency::Weekly {
            return refuse("BYMONTHDAY does not go with FREQ=WEEKLY");
        }
        let by_month = matches!(frequency, Frequency::Monthly)
            || (frequency == Frequency::Yearly && !self.months.is_empty());
        for (nth, _) in self.weekdays.iter().filter(|(nth, _)| *nth != 0) {
            if !matches!(frequency, Frequency::Monthly | Frequency::Yearly) {
                return refuse(format!(
                    "BYDAY with a number ({nth}) goes with FREQ=MONTHLY or FREQ=YEARLY only"
                ));
            }
            if by_month && nth.unsigned_abs() > 5 {
                return refuse(format!("BYDAY: no month has {nth} of a weekday"));
            }
        }
        let narrowed = [
            self.months.is_empty(),
            self.month_days.is_empty(),
            self.year_days.is_empty(),
            self.weekdays.is_empty(),
        ];
        if !self.positions.is_empty() && narrowed.iter().all(|is_empty| *is_empty) {
            return refuse("BYSETPOS needs another BY part to choose from");
        }
        Ok(Recurrence {
            text: text.to_owned(),
            frequency,
            interval: i32::from(self.interval.unwrap_or(1)),
            count: self.count,
            until: self.until,
            months: self.months,
            month_days: self.month_days,
            year_days: self.year_days,
            weekdays: self.weekdays,
            positions: self.positions,
            week_start: self.week_start.unwrap_or(Weekday::Monday),
        })
    }
}

fn frequency(value: &str) -> Result<Frequency, InvalidRule> {
    match value {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        "MONTHLY" => Ok(Frequency::Monthly),
        "YEARLY" => Ok(Frequency::Yearly),
        "HOURLY" | "MINUTELY" | "SECONDLY" => refuse(format!(
            "FREQ={value} is not followed here: windows recur by days"
        )),
        _ => refuse(format!("there is no FREQ=“{value}”")),
    }
}

fn number(name: &str, value: &str) -> Result<u16, InvalidRule> {
    match value.parse::<u16>() {
        Ok(number) if (1..=NUMBER_MAX).contains(&number) && is_digits(value) => Ok(number),
        Ok(_) | Err(_) => refuse(format!(
            "{name}: expected 1 to {NUMBER_MAX}, found “{value}”"
        )),
    }
}

fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn numbers(name: &str, value: &str, max: i16, signed: bool) -> Result<Vec<i16>, InvalidRule> {
    value
        .split(',')
        .map(|item| {
            let number = item.parse::<i16>().ok().filter(|it| *it != 0);
            match number {
                Some(number) if number.abs() <= max && (signed || number > 0) => Ok(number),
                Some(_) | None => {
                    let or = if signed {
                        format!(" or -{max} to -1")
                    } else {
                        String::new()
                    };
                    refuse(format!("{name}: expected 1 to {max}{or}, found “{item}”"))
                }
            }
        })
        .collect()
}

fn weekdays(value: &str) -> Result<Vec<(i16, Weekday)>, InvalidRule> {
    value
        .split(',')
        .map(|item| {
            let Some(split) = item.len().checked_sub(2) else {
                return refuse(format!("BYDAY: “{item}” is no weekday"));
            };
            let (Some(nth), Some(day)) = (item.get(..split), item.get(split..)) else {
                return refuse(format!("BYDAY: “{item}” is no weekday"));
            };
            let day = weekday(day)?;
            if nth.is_empty() {
                return Ok((0, day));
            }
            match nth.parse::<i16>() {
                Ok(nth) if nth != 0 && nth.abs() <= 53 => Ok((nth, day)),
                Ok(_) | Err(_) => refuse(format!(
                    "BYDAY: expected 1 to 53 or -53 to -1 before a weekday, found “{item}”"
                )),
            }
        })
        .collect()
}

fn weekday(value: &str) -> Result<Weekday, InvalidRule> {
    Ok(match value {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return refuse(format!("“{value}” is none of MO, TU, WE, TH, FR, SA, SU")),
    })
}

/// With a start in a time zone, the end of a rule is in UTC (§3.3.10).
fn until(value: &str) -> Result<Timestamp, InvalidRule> {
    let wanted = || InvalidRule {
        why: format!("UNTIL: expected a time in UTC such as 20271231T235959Z, found “{value}”"),
    };
    let part = |from: usize, to: usize| value.get(from..to).filter(|text| is_digits(text));
    let read = |from, to| part(from, to).and_then(|text| text.parse::<i16>().ok());
    let small = |from, to| read(from, to).and_then(|number| i8::try_from(number).ok());
    let shape = value.len() == 16 && value.get(8..9) == Some("T") && value.get(15..) == Some("Z");
    let fields = (
        (read(0, 4), small(4, 6), small(6, 8)),
        (small(9, 11), small(11, 13), small(13, 15)),
    );
    let ((Some(year), Some(month), Some(day)), (Some(hour), Some(minute), Some(second))) = fields
    else {
        return Err(wanted());
    };
    let day = Date::new(year, month, day).ok().filter(|_| shape);
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok();
    let (Some(day), Some(time)) = (day, time) else {
        return Err(wanted());
    };
    let utc = jiff::tz::TimeZone::UTC.to_timestamp(day.to_datetime(time));
    utc.map_err(|_| wanted())
}

/// The years in which windows may begin.
pub(crate) fn is_in_range(day: Date) -> bool {
    day >= date(1970, 1, 1) && day.year() <= YEAR_MAX
}
