//! Windows over real time zones, and what holds which train.

use super::*;
use crate::config::{Config, tests::GOOD};
use proptest::prelude::*;

fn rules(text: &str) -> CalendarRules {
    let config = Config::parse("k.toml", &format!("{GOOD}\n{text}")).unwrap();
    config.calendar
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn held(rules: &CalendarRules, train: Train, time: &str) -> Option<(String, Option<Timestamp>)> {
    rules
        .hold(train, at(time))
        .map(|hold| (hold.why, hold.until))
}

const YEAR_END: &str = r#"
[calendar]
time_zone = "Europe/Berlin"
holidays = ["2026-05-01"]

[[calendar.freeze]]
name = "year's end"
start = "2024-12-18T18:00"
length = "P19D"
rule = "FREQ=YEARLY"

[[calendar.maintenance]]
name = "nights"
start = "2026-01-05T02:00"
length = "PT3H"
rule = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH"
"#;

#[test]
fn a_freeze_holds_every_train_until_it_ends_and_comes_back_by_its_rule() {
    let rules = rules(YEAR_END);
    for year in [2024, 2026, 2031] {
        let ends = at(&format!("{}-01-06T17:00:00Z", year + 1));
        let why = "freeze “year's end”".to_owned();
        for train in Train::ALL {
            let begins = format!("{year}-12-18T17:00:00Z");
            assert_eq!(
                held(&rules, train, &begins),
                Some((why.clone(), Some(ends)))
            );
        }
    }
    assert_eq!(held(&rules, Train::Hotfix, "2026-12-18T16:59:59Z"), None);
    assert_eq!(held(&rules, Train::Hotfix, "2027-01-06T17:00:00Z"), None);
}

#[test]
fn a_hotfix_passes_a_freeze_only_where_the_project_says_so() {
    let strict = rules(YEAR_END);
    assert!(
        strict
            .hold(Train::Hotfix, at("2026-12-24T12:00:00Z"))
            .is_some()
    );
    let mild = rules(&YEAR_END.replace("[calendar]\n", "[calendar]\nhotfixes_pass = true\n"));
    assert!(
        mild.hold(Train::Hotfix, at("2026-12-24T12:00:00Z"))
            .is_none()
    );
    assert!(
        mild.hold(Train::Patch, at("2026-12-24T12:00:00Z"))
            .is_some()
    );
}

#[test]
fn trains_but_hotfixes_wait_for_a_maintenance_window_and_a_freeze_in_it_wins() {
    let rules = rules(YEAR_END);
    // Wednesday 2026-06-10, summer time: 02:00 is 00:00 UTC.
    assert_eq!(held(&rules, Train::Patch, "2026-06-10T00:00:00Z"), None);
    let next = at("2026-06-11T00:00:00Z");
    let why = "outside of maintenance windows; next is “nights”".to_owned();
    assert_eq!(
        held(&rules, Train::Minor, "2026-06-10T03:00:00Z"),
        Some((why, Some(next)))
    );
    assert_eq!(held(&rules, Train::Hotfix, "2026-06-10T03:00:00Z"), None);
    // Monday 2026-12-21, 02:30 in Berlin: inside both.
    let (why, _) = held(&rules, Train::Patch, "2026-12-21T01:30:00Z").unwrap();
    assert_eq!(why, "freeze “year's end”");
    // It opens with the first night after the freeze: Thursday 2027-01-07, 02:00 in winter time.
    let opens = rules.opens(Train::Patch, at("2026-12-21T01:30:00Z"));
    assert_eq!(opens, Some(at("2027-01-07T01:00:00Z")));
}

#[test]
fn a_holiday_is_a_day_of_its_time_zone() {
    let rules = rules(YEAR_END);
    for (time, is_held) in [
        ("2026-04-30T21:59:59Z", false),
        ("2026-04-30T22:00:00Z", true),
        ("2026-05-01T21:59:59Z", true),
        ("2026-05-01T22:00:00Z", false),
    ] {
        let hold = rules.hold(Train::Hotfix, at(time));
        assert_eq!(hold.is_some(), is_held, "{time}");
        if let Some(hold) = hold {
            assert_eq!(hold.why, "holiday 2026-05-01");
            assert_eq!(hold.until, Some(at("2026-05-01T22:00:00Z")));
        }
    }
}

#[test]
fn local_times_that_are_missing_or_there_twice_are_taken_as_rfc_5545_says() {
    let daily = |length: &str| {
        let text = format!(
            "[[calendar.freeze]]\nname = \"night\"\ntime_zone = \"America/New_York\"\nstart = \"2026-01-01T02:30\"\nlength = \"{length}\"\nrule = \"FREQ=DAILY\"\n"
        );
        rules(&text).freeze.remove(0)
    };
    let utc = TimeZone::UTC;
    let window = daily("PT1H");
    // 2026-03-08: 02:30 does not exist; with the offset before the gap it is 03:30 EDT.
    let ends = window.covers(at("2026-03-08T07:30:00Z"), &utc).unwrap();
    assert_eq!(ends, Some(at("2026-03-08T08:30:00Z")));
    // 2026-11-01: 01:30 is there twice; the first counts.
    let text = window.start.to_string().replace("02:30", "01:30");
    let window = Window {
        start: text.parse().unwrap(),
        ..window
    };
    let ends = window.covers(at("2026-11-01T05:30:00Z"), &utc).unwrap();
    assert_eq!(ends, Some(at("2026-11-01T06:30:00Z")));
    assert_eq!(
        window.covers(at("2026-11-01T06:30:00Z"), &utc).unwrap(),
        None
    );
    // A day by the calendar has 23 hours then; 24 hours are 24 hours.
    let (day, hours) = (daily("P1D"), daily("PT24H"));
    let from = at("2026-03-07T07:30:00Z");
    let zone = Zone("America/New_York".to_owned()).open().unwrap();
    assert_eq!(
        day.length.after(from, &zone).unwrap(),
        at("2026-03-08T07:30:00Z")
    );
    assert_eq!(
        hours.length.after(from, &zone).unwrap(),
        at("2026-03-08T07:30:00Z")
    );
    let from = at("2026-03-07T12:00:00Z");
    assert_eq!(
        day.length.after(from, &zone).unwrap(),
        at("2026-03-08T11:00:00Z")
    );
    assert_eq!(
        hours.length.after(from, &zone).unwrap(),
        at("2026-03-08T12:00:00Z")
    );
}

#[test]
fn a_window_without_a_rule_is_once_and_a_rule_ends_where_it_says() {
    let text = |rule: &str| {
        format!(
            "[[calendar.freeze]]\nname = \"fair\"\nstart = \"2026-09-01\"\nlength = \"P1D\"\n{rule}\n"
        )
    };
    let once = rules(&text(""));
    assert!(
        once.hold(Train::Patch, at("2026-09-01T12:00:00Z"))
            .is_some()
    );
    assert!(
        once.hold(Train::Patch, at("2027-09-01T12:00:00Z"))
            .is_none()
    );
    let until = rules(&text("rule = \"FREQ=YEARLY;UNTIL=20270901T000000Z\""));
    assert!(
        until
            .hold(Train::Patch, at("2027-09-01T12:00:00Z"))
            .is_some()
    );
    assert!(
        until
            .hold(Train::Patch, at("2028-09-01T12:00:00Z"))
            .is_none()
    );
    let count = rules(&text("rule = \"FREQ=YEARLY;COUNT=3\""));
    assert!(
        count
            .hold(Train::Patch, at("2028-09-01T12:00:00Z"))
            .is_some()
    );
    assert!(
        count
            .hold(Train::Patch, at("2029-09-01T12:00:00Z"))
            .is_none()
    );
}

#[test]
fn a_calendar_that_never_opens_says_so() {
    let text = "[[calendar.freeze]]\nname = \"all\"\nstart = \"2026-01-01\"\nlength = \"P2D\"\nrule = \"FREQ=DAILY\"\n";
    assert_eq!(
        rules(text).opens(Train::Patch, at("2026-06-01T00:00:00Z")),
        None
    );
    let over =
        "[[calendar.maintenance]]\nname = \"once\"\nstart = \"2026-01-01\"\nlength = \"P2D\"\n";
    let hold = rules(over)
        .hold(Train::Patch, at("2026-06-01T00:00:00Z"))
        .unwrap();
    assert_eq!(hold.why, "outside of maintenance windows, and none comes");
    assert_eq!(hold.until, None);
}

#[test]
fn what_is_wrong_in_a_calendar_is_named_with_its_line() {
    let window = |key: &str, value: &str| {
        let mut lines = vec![
            ("name", "\"x\""),
            ("start", "\"2026-01-01T00:00\""),
            ("length", "\"P1D\""),
            ("rule", "\"FREQ=DAILY\""),
        ];
        for line in &mut lines {
            if line.0 == key {
                line.1 = value;
            }
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        format!("{GOOD}\n[[calendar.freeze]]\n{}\n", lines.join("\n"))
    };
    for (text, message) in [
        (
            window("rule", "\"FREQ=HOURLY\""),
            "expected a recurrence rule of RFC 5545: FREQ=HOURLY is not followed here: windows recur by days",
        ),
        (
            window("rule", "\"FREQ=WEEKLY;BYDAY=MO,XX\""),
            "expected a recurrence rule of RFC 5545: “XX” is none of MO, TU, WE, TH, FR, SA, SU",
        ),
        (
            window("length", "\"P1M\""),
            "expected a length of weeks, days, hours and minutes such as P3D or PT4H, at most 366 days, found “P1M”",
        ),
        (
            window("length", "\"P367D\""),
            "expected a length of weeks, days, hours and minutes such as P3D or PT4H, at most 366 days, found “P367D”",
        ),
        (
            window("rule", "\"FREQ=WEEKLY;BYDAY=MO\""),
            "“x”: expected a start on a day of its own rule FREQ=WEEKLY;BYDAY=MO, found 2026-01-01",
        ),
        (
            format!("{GOOD}\n[calendar]\ntime_zone = \"Europe/Brelin\"\n"),
            "expected a time zone of the IANA database such as Europe/Berlin, found “Europe/Brelin”",
        ),
        (
            format!("{GOOD}\n[calendar]\nholidays = [\"2026-02-30\"]\n"),
            "",
        ),
    ] {
        let error = Config::parse("k.toml", &text).unwrap_err();
        assert!(error.expected.contains(message), "{error}");
        assert!(error.key.starts_with("calendar"), "{error}");
        assert!(error.line > 16, "{error}");
    }
}

#[test]
fn what_is_written_is_read_again_as_it_was() {
    let rules = rules(YEAR_END);
    let text = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<CalendarRules>(&text).unwrap(), rules);
    for (given, written) in [("P2W", "P14D"), ("PT90M", "PT90M"), ("P1DT2H", "P1DT120M")] {
        assert_eq!(given.parse::<Length>().unwrap().to_string(), written);
    }
    for odd in ["", "P", "PT0S", "-P1D", "P1Y", "PT1S", "1 day", "P1DT-1H"] {
        assert!(odd.parse::<Length>().is_err(), "{odd}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_given_as_a_rule_or_length_panics(text in "[A-Z0-9=;,+-]{0,60}", day in 0..80_000i64) {
        let _ = text.parse::<Length>();
        let start = Date::constant(1970, 1, 1).checked_add(Span::new().days(day)).unwrap();
        for text in [text.clone(), format!("FREQ=MONTHLY;{text}"), format!("FREQ=YEARLY;BYDAY={text}")] {
            if let Ok(rule) = text.parse::<Recurrence>() {
                let to = start.checked_add(Span::new().days(400)).unwrap();
                prop_assert!(rule.days(start, start, to).len() <= 401);
            }
        }
    }

    #[test]
    fn where_it_opens_nothing_holds_and_just_before_something_does(hours in 0..50_000i64) {
        let rules = rules(YEAR_END);
        let from = at("2025-01-01T00:00:00Z") + SignedDuration::from_hours(hours);
        let opens = rules.opens(Train::Patch, from).unwrap();
        prop_assert_eq!(rules.hold(Train::Patch, opens), None);
        if opens > from {
            let before = opens - SignedDuration::from_secs(1);
            prop_assert!(rules.hold(Train::Patch, before).is_some());
        }
    }
}
