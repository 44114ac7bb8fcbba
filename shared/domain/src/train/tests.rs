//! Each term of the score, each predicate, and what holds a train.

use super::*;
use crate::config::{Config, tests::GOOD};
use crate::fix::FixState;
use crate::grouping::Fingerprint;
use crate::id::ProjectId;
use crate::issue::IssueState;
use crate::job::FixClass;
use crate::score::{Level, Score};
use proptest::prelude::*;

/// A handled issue of one event and one user, that no term applies to.
fn issue() -> Issue {
    Issue {
        id: "issue1".parse().unwrap(),
        project: ProjectId(1),
        state: IssueState::Fixed,
        title: "x".to_owned(),
        culprit: None,
        fingerprint: Fingerprint {
            rule: "message".to_owned(),
            parts: vec![],
        },
        level: Level::Medium,
        score: Score::default(),
        sample: "event1".parse().unwrap(),
        events: 1,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        critical_since: None,
        users: std::iter::once("user".to_owned()).collect(),
        releases: std::collections::BTreeSet::new(),
        handled: true,
        fix: None,
        fixed_in: None,
        clocks: crate::sla::Clocks::default(),
        story: crate::story::Story::default(),
    }
}

fn with_impact(name: &str) -> Issue {
    let reasons = vec![format!("impact {name}: × 2")];
    Issue {
        score: Score {
            value: 500,
            reasons,
        },
        ..issue()
    }
}

fn waiting(number: usize, train: Train, since: Timestamp) -> Waiting {
    let id = format!("fix{number}");
    Waiting {
        fix: Fix {
            id: id.parse().unwrap(),
            project: ProjectId(1),
            issue: "issue1".parse().unwrap(),
            state: FixState::Approved,
            title: id,
            rule: "guard".into(),
            class: FixClass::Guards,
            base: String::new(),
            files: vec![],
            diff: String::new(),
            gates: vec![],
            branch: None,
            commit: None,
            priority: None,
            bundle: None,
            story: crate::story::Story::default(),
        },
        score: FixScore {
            value: 0,
            reasons: vec![],
            train,
        },
        since,
    }
}

fn day(number: i64) -> Timestamp {
    let start: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(24 * number)
}

/// The train that departs on a day, by which predicate.
fn departing(
    waiting: &[Waiting],
    last: &[(Train, i64)],
    calendar: &CalendarRules,
    now: i64,
) -> Option<(Train, Predicate)> {
    let rules = TrainRules::default();
    let last = last.iter().map(|(train, at)| (*train, day(*at))).collect();
    let timetable = Timetable {
        rules: &rules,
        calendar,
        last: &last,
    };
    let trains = outlook(waiting, &timetable, day(now));
    let leaving = trains.iter().find(|train| train.departs(day(now)))?;
    Some((leaving.train, leaving.predicate))
}

#[test]
fn versions_follow_the_train() {
    let from = Version::new(1, 2, 3);
    assert_eq!(Train::Hotfix.version_after(&from), Version::new(1, 2, 4));
    assert_eq!(Train::Minor.version_after(&from), Version::new(1, 3, 0));
    assert_eq!(Train::Major.version_after(&from), Version::new(2, 0, 0));
    for train in [Train::Patch, Train::Minor, Train::Major] {
        assert_eq!(Train::between(&from, &train.version_after(&from)), train);
    }
}

#[test]
fn each_term_of_the_score_counts_from_where_it_says() {
    let users = |count: usize| (0..count).map(|user| format!("user {user}")).collect();
    for (issue, points) in [
        (issue(), 0),
        (
            Issue {
                events: 100,
                ..issue()
            },
            0,
        ),
        (
            Issue {
                events: 101,
                ..issue()
            },
            30,
        ),
        (
            Issue {
                users: users(50),
                ..issue()
            },
            0,
        ),
        (
            Issue {
                users: users(51),
                ..issue()
            },
            25,
        ),
        (
            Issue {
                handled: false,
                ..issue()
            },
            20,
        ),
        (with_impact("security"), 50),
        (with_impact("performance"), 15),
        (with_impact("data loss"), 0),
        (
            Issue {
                events: 101,
                handled: false,
                ..with_impact("security")
            },
            100,
        ),
    ] {
        let found = score(&issue, &TrainRules::default());
        assert_eq!(found.value, points, "{:?}", found.reasons);
        let is_term = |reason: &String| reason.contains(": + ");
        assert!(found.reasons.iter().all(is_term), "{:?}", found.reasons);
    }
}

#[test]
fn the_score_chooses_level_and_train_at_the_published_thresholds() {
    let rules = TrainRules::default();
    let thresholds = (rules.hotfix_at, rules.patch_at, rules.minor_at);
    assert_eq!(thresholds, (70, 40, 20));
    // The points of one term stand for any sum.
    for (points, level, train) in [
        (70, Level::Critical, Train::Hotfix),
        (69, Level::High, Train::Patch),
        (40, Level::High, Train::Patch),
        (39, Level::Medium, Train::Minor),
        (20, Level::Medium, Train::Minor),
        (19, Level::Low, Train::Major),
    ] {
        let rules = TrainRules {
            security: points,
            ..TrainRules::default()
        };
        let found = score(&with_impact("security"), &rules);
        assert_eq!(
            (found.value, found.level(), found.train),
            (points, level, train)
        );
        assert_eq!(found.reasons, [format!("security: + {points}")]);
    }
    let urgent = Issue {
        level: Level::Critical,
        score: Score {
            value: 800,
            reasons: vec![],
        },
        ..issue()
    };
    assert_eq!(score(&urgent, &rules).train, Train::Hotfix);
}

#[test]
fn each_predicate_fires_when_the_ledger_says() {
    use Predicate as P;
    use Train as T;
    let open = CalendarRules::default();
    let fixes = |count: usize, train: Train| -> Vec<Waiting> {
        (0..count)
            .map(|number| waiting(number, train, day(0)))
            .collect()
    };
    for (waiting, last, now, expected) in [
        (
            fixes(1, T::Hotfix),
            vec![],
            0,
            Some((T::Hotfix, P::Immediate)),
        ),
        (fixes(4, T::Patch), vec![], 6, None),
        (
            fixes(5, T::Patch),
            vec![],
            0,
            Some((T::Patch, P::EnoughFixes)),
        ),
        (
            fixes(1, T::Patch),
            vec![],
            7,
            Some((T::Patch, P::OldestWaits)),
        ),
        (fixes(9, T::Minor), vec![(T::Minor, -20)], 0, None),
        (
            fixes(1, T::Minor),
            vec![(T::Minor, -21)],
            0,
            Some((T::Minor, P::MinorCadence)),
        ),
        // Patches in between do not put it off; a major release is a minor one too.
        (
            fixes(1, T::Minor),
            vec![(T::Minor, -21), (T::Patch, -1)],
            0,
            Some((T::Minor, P::MinorCadence)),
        ),
        (
            fixes(1, T::Minor),
            vec![(T::Minor, -21), (T::Major, -1)],
            0,
            None,
        ),
        (fixes(1, T::Minor), vec![(T::Patch, -1)], 20, None),
        (
            fixes(1, T::Minor),
            vec![(T::Patch, -1)],
            21,
            Some((T::Minor, P::MinorCadence)),
        ),
        (fixes(9, T::Major), vec![(T::Major, -119)], 0, None),
        (
            fixes(1, T::Major),
            vec![(T::Major, -120)],
            0,
            Some((T::Major, P::MajorCadence)),
        ),
    ] {
        let found = departing(&waiting, &last, &open, now);
        assert_eq!(found, expected, "{} fixes, {last:?}", waiting.len());
    }
}

#[test]
fn the_fifth_fix_makes_a_patch_due_when_it_comes() {
    let waiting: Vec<Waiting> = (0..5)
        .map(|number| waiting(number, Train::Patch, day(i64::try_from(number).unwrap())))
        .collect();
    let (rules, calendar, last) = Default::default();
    let timetable = Timetable {
        rules: &rules,
        calendar: &calendar,
        last: &last,
    };
    let trains = outlook(&waiting, &timetable, day(1));
    let patch = trains.first().unwrap();
    assert_eq!((patch.train, patch.due_at), (Train::Patch, day(4)));
    assert_eq!(patch.why, "5 fixes wait, 5 are enough");
    assert_eq!(patch.departs_at, Some(day(4)));
}

#[test]
fn a_freeze_holds_a_train_that_is_due_and_lets_it_go_when_it_ends() {
    let text = "[[calendar.freeze]]\nname = \"fair\"\nstart = \"2026-06-07\"\nlength = \"P3D\"\n";
    let calendar = Config::parse("k.toml", &format!("{GOOD}\n{text}"))
        .unwrap()
        .calendar;
    let waits = [waiting(0, Train::Patch, day(0))];
    for (now, expected) in [
        (6, None),
        (7, None),
        (8, None),
        (9, Some((Train::Patch, Predicate::OldestWaits))),
    ] {
        assert_eq!(departing(&waits, &[], &calendar, now), expected, "{now}");
    }
    let (rules, last) = Default::default();
    let timetable = Timetable {
        rules: &rules,
        calendar: &calendar,
        last: &last,
    };
    let trains = outlook(&waits, &timetable, day(0));
    assert_eq!(trains.first().unwrap().departs_at, Some(day(9)));
}

#[test]
fn the_fix_with_the_highest_score_goes_first_and_of_equals_the_one_that_waits_longest() {
    let with = |number, value, since| {
        let mut one = waiting(number, Train::Patch, day(since));
        one.score.value = value;
        one
    };
    let waits = [
        with(0, 40, 3),
        with(1, 60, 4),
        with(2, 40, 1),
        with(3, 40, 1),
    ];
    let (rules, calendar, last) = Default::default();
    let timetable = Timetable {
        rules: &rules,
        calendar: &calendar,
        last: &last,
    };
    let trains = outlook(&waits, &timetable, day(10));
    let train = trains.iter().find(|it| it.train == Train::Patch).unwrap();
    let aboard: Vec<&str> = train.aboard.iter().map(|it| it.fix.id.as_str()).collect();
    let named = |number: usize| waits[number].fix.id.as_str();
    assert_eq!(aboard, [named(1), named(2), named(3), named(0)]);
}

proptest! {
    #[test]
    fn what_departs_takes_every_fix_that_may_take_it_and_never_a_slower_one(
        kinds in prop::collection::vec(0..4usize, 1..12), now in 0..200i64,
    ) {
        let waits: Vec<Waiting> = kinds
            .iter()
            .enumerate()
            .map(|(number, kind)| waiting(number, Train::ALL[*kind], day(0)))
            .collect();
        let (rules, calendar, last) = Default::default();
        let timetable = Timetable { rules: &rules, calendar: &calendar, last: &last };
        for train in outlook(&waits, &timetable, day(now)) {
            let may = waits.iter().filter(|it| it.score.train <= train.train).count();
            prop_assert_eq!(train.aboard.len(), may);
            prop_assert!(train.aboard.iter().all(|it| it.score.train <= train.train));
            prop_assert_eq!(train.departs_at, Some(train.due_at.max(day(now))));
        }
    }
}
