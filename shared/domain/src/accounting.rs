//! What became of everything that clients sent: received = accepted + refused + dropped, by category.
//!
//! The unit is the **item**: what has a header of its own in an envelope, one event of `/store/`, each report in a delivery to
//! `/security/`, a dump together with the event that it completes. Of a container of logs each entry is one. A request that was not
//! opened (a wrong key, a damaged body) is one item of the category `request`.
//!
//! - **received**: it arrived and was answered.
//! - **accepted**: it is kept.
//! - **refused**: it was not looked at: the key, the size or the encoding of its request, or the quota of its category.
//! - **dropped**: it was looked at and is of no use, or nothing keeps its kind.
//! - **client-discarded**: the client says it threw it away itself (`client_report`). It never arrived, so it is no part of the sum.
//!
//! **Invariant: every step adds as much to received as to the three ends, in one commit**, so the sum holds at any moment and
//! over any crash. An item that is sent again because its answer was lost arrived twice and is counted twice; an event is counted
//! when it is filed, once however often it was sent. One that waits in its queue, or is parked, is not counted yet.
//!
//! Not here: what is counted where (`kintsugi_app::ingest`, `kintsugi_app::triage`).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What an item is, by the names that Sentry's protocol has for its categories of data, and three of our own.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// A request that was not opened. Ours.
    Request,
    /// An error event.
    #[default]
    Error,
    /// A report of a browser's security policy.
    Security,
    /// A transaction.
    Transaction,
    /// A session, or sessions counted by the client.
    Session,
    /// Feedback of a user.
    Feedback,
    /// An attachment.
    Attachment,
    /// A check-in of a monitor.
    Monitor,
    /// An entry of a log.
    LogItem,
    /// Bytes of logs; clients report on them.
    LogByte,
    /// A span.
    Span,
    /// A profile.
    Profile,
    /// A replay.
    Replay,
    /// A metric.
    MetricBucket,
    /// What a client says about itself. Ours.
    Internal,
    /// Anything else.
    Default,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 16] = [
        Self::Request,
        Self::Error,
        Self::Security,
        Self::Transaction,
        Self::Session,
        Self::Feedback,
        Self::Attachment,
        Self::Monitor,
        Self::LogItem,
        Self::LogByte,
        Self::Span,
        Self::Profile,
        Self::Replay,
        Self::MetricBucket,
        Self::Internal,
        Self::Default,
    ];

    /// Its name, in counters and in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Error => "error",
            Self::Security => "security",
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Feedback => "feedback",
            Self::Attachment => "attachment",
            Self::Monitor => "monitor",
            Self::LogItem => "log_item",
            Self::LogByte => "log_byte",
            Self::Span => "span",
            Self::Profile => "profile",
            Self::Replay => "replay",
            Self::MetricBucket => "metric_bucket",
            Self::Internal => "internal",
            Self::Default => "default",
        }
    }

    /// The category of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|category| category.name() == name)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It is kept.
    Accepted,
    /// It was not looked at.
    Refused,
    /// It was looked at and is of no use.
    Dropped,
    /// The client threw it away itself.
    ClientDiscarded,
}

impl Fate {
    /// Its name in counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::ClientDiscarded => "client_discarded",
        }
    }
}

/// The field of the counter that says how many items of a category arrived.
pub fn received(category: Category) -> String {
    format!("received/{category}")
}

/// The field of the counter for a fate. `reason` must be one of ours, never a client's text: it names a field for ever.
pub fn ended(fate: Fate, category: Category, reason: &str) -> String {
    match fate {
        Fate::Accepted => format!("accepted/{category}"),
        Fate::Refused | Fate::Dropped | Fate::ClientDiscarded => {
            format!("{}/{category}/{reason}", fate.name())
        }
    }
}

/// What became of the items of one category.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// How many arrived.
    pub received: i64,
    /// How many are kept.
    pub accepted: i64,
    /// How many were not looked at, by reason.
    pub refused: BTreeMap<String, i64>,
    /// How many were of no use, by reason.
    pub dropped: BTreeMap<String, i64>,
    /// How many the client threw away itself, by reason. No part of the sum.
    pub client_discarded: BTreeMap<String, i64>,
}

impl Row {
    /// Items with an end.
    pub fn ended(&self) -> i64 {
        let all = self.refused.values().chain(self.dropped.values());
        all.fold(self.accepted, |sum, by| sum.saturating_add(*by))
    }
}

/// What became of everything that arrived for a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// By name of the category.
    pub categories: BTreeMap<String, Row>,
}

impl Account {
    /// Reads the fields of the counter. Fields of another form are left out.
    pub fn of(fields: &BTreeMap<String, i64>) -> Self {
        let mut account = Self::default();
        for (field, by) in fields {
            let mut parts = field.splitn(3, '/');
            let (Some(fate), Some(category)) = (parts.next(), parts.next()) else {
                continue;
            };
            if Category::named(category).is_none() {
                continue;
            }
            let row = account.categories.entry(category.to_owned()).or_default();
            let reason = parts.next().unwrap_or_default().to_owned();
            match fate {
                "received" => row.received = *by,
                "accepted" => row.accepted = *by,
                "refused" => _ = row.refused.insert(reason, *by),
                "dropped" => _ = row.dropped.insert(reason, *by),
                "client_discarded" => _ = row.client_discarded.insert(reason, *by),
                _ => {}
            }
        }
        account
    }

    /// Whether everything that arrived has an end, in every category.
    pub fn adds_up(&self) -> bool {
        self.categories
            .values()
            .all(|row| row.received == row.ended())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_is_found_by_its_name_as_it_is_stored() {
        for category in Category::ALL {
            assert_eq!(Category::named(category.name()), Some(category));
            let stored = serde_json::to_value(category).unwrap();
            assert_eq!(stored, category.name());
        }
        assert_eq!(Category::named("errors"), None);
    }

    #[test]
    fn an_account_adds_up_only_if_each_category_does() {
        let error = Category::Error;
        let mut fields = BTreeMap::from([
            (received(error), 4),
            (ended(Fate::Accepted, error, ""), 1),
            (ended(Fate::Refused, error, "rate_limited"), 2),
            (ended(Fate::Dropped, error, "event_broken"), 1),
            (ended(Fate::ClientDiscarded, error, "sample_rate"), 9),
            (received(Category::Session), 1),
            (ended(Fate::Accepted, Category::Session, ""), 1),
            ("something/else".to_owned(), 7),
        ]);
        let account = Account::of(&fields);
        assert!(account.adds_up(), "{account:?}");
        assert_eq!(account.categories.len(), 2);
        assert_eq!(account.categories["error"].refused["rate_limited"], 2);
        assert_eq!(
            account.categories["error"].client_discarded["sample_rate"],
            9
        );

        // One more here and one less there is not the same.
        *fields.get_mut("received/error").unwrap() += 1;
        *fields.get_mut("received/session").unwrap() -= 1;
        assert!(!Account::of(&fields).adds_up());
    }
}
