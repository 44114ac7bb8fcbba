//! The tables, and how they change.
//!
//! `PRAGMA user_version` says which step of [`STEPS`] was the last one. **A step that was ever shipped is never
//! edited**: a change is a new step at the end, and one line in the changelog. At open, the missing steps run, each
//! in a transaction with its new version number, so an update that is killed half-way begins again where it was. A
//! database of a newer schema is refused untouched: go back by putting the backup of the data folder in place
//! that was made before the update (`home.db`, copied while Kintsugi is stopped).

use super::sqlite_error;
use kintsugi_domain::ports::PortError;
use rusqlite::Connection;

/// The schema this program writes.
pub const SCHEMA_VERSION: usize = STEPS.len();

/// Marks the file as ours: "Kint".
const APPLICATION_ID: i64 = 0x4b69_6e74;

const STEPS: [&str; 2] = [STEP_1, STEP_2];

/// Times are milliseconds since 1970 UTC. Bodies are JSON as the domain writes it.
const STEP_1: &str = "
CREATE TABLE records (
    id      INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    version INTEGER NOT NULL,
    format  INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    UNIQUE (project, kind, key)
) STRICT;

CREATE TABLE index_entries (
    project INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    record  INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    PRIMARY KEY (project, kind, name, value, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_entries_of_record ON index_entries (record);

CREATE TABLE counters (
    project INTEGER NOT NULL,
    counter TEXT    NOT NULL,
    field   TEXT    NOT NULL,
    value   INTEGER NOT NULL,
    PRIMARY KEY (project, counter, field)
) STRICT, WITHOUT ROWID;

-- A message stays as an id without a body after it was sent, so that it is not put a second time.
CREATE TABLE outbox (
    place   INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT    NOT NULL UNIQUE,
    body    TEXT    NOT NULL,
    sent_at INTEGER
) STRICT;
CREATE INDEX outbox_unsent ON outbox (place) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

-- `attempt` counts deliveries since the message was sent or redriven; `delivery` never starts again and is
-- part of the receipt.
CREATE TABLE messages (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    message      TEXT    NOT NULL UNIQUE,
    queue        TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    visible_at   INTEGER NOT NULL,
    leased       INTEGER NOT NULL DEFAULT 0,
    attempt      INTEGER NOT NULL DEFAULT 0,
    delivery     INTEGER NOT NULL DEFAULT 0,
    parked_at    INTEGER,
    parked_cause TEXT
) STRICT;
CREATE INDEX messages_visible ON messages (queue, visible_at, place) WHERE parked_cause IS NULL;
CREATE INDEX messages_parked ON messages (queue, parked_at, place) WHERE parked_cause IS NOT NULL;
";

/// What was reported may go from a time on; nothing stands there for what is kept. What is there already is kept for as long as if it
/// came today.
const STEP_2: &str = "
ALTER TABLE records ADD COLUMN expires_at INTEGER;
UPDATE records SET expires_at = (unixepoch() + 90 * 86400) * 1000
    WHERE kind IN ('event', 'session', 'visitor', 'feedback', 'attachment', 'logs', 'quota', 'batch');
CREATE INDEX records_expiring ON records (expires_at) WHERE expires_at IS NOT NULL;
";

/// Brings the database to [`SCHEMA_VERSION`], or refuses it.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), PortError> {
    let failed = |error| sqlite_error("open the database", &error);
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = number("user_version").map_err(failed)?;
    let application = number("application_id").map_err(failed)?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables = connection.query_row(tables, (), |row| row.get::<_, i64>(0));
    let ours = application == APPLICATION_ID || (version == 0 && tables.map_err(failed)? == 0);
    if !ours {
        let why = "home.db belongs to another program; use another data folder";
        return Err(PortError::broken("open the database", why));
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > SCHEMA_VERSION {
        let why = format!(
            "home.db was written by a newer Kintsugi (schema {version}, this one knows {SCHEMA_VERSION}); \
             start that version again"
        );
        return Err(PortError::broken("open the database", why));
    }
    for (step, version) in STEPS.iter().zip(1_i64..).skip(done) {
        let run = || {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()
        };
        run_step(run, version)?;
    }
    Ok(())
}

fn run_step(
    mut run: impl FnMut() -> Result<(), rusqlite::Error>,
    version: i64,
) -> Result<(), PortError> {
    let what = format!("bring the database to schema {version}");
    run().map_err(|error| sqlite_error(&what, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::limits::REPORT_DAYS;

    #[test]
    fn opening_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: usize = connection
            .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
            .map(|version| version.try_into().unwrap())
            .unwrap();
        assert_eq!(version, SCHEMA_VERSION);
    }

    #[test]
    fn reports_of_an_older_home_are_kept_for_their_days_from_the_update_on() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(STEP_1).unwrap();
        let application = ("application_id", APPLICATION_ID);
        for (pragma, value) in [application, ("user_version", 1)] {
            connection.pragma_update(None, pragma, value).unwrap();
        }
        let rows = "INSERT INTO records (project, kind, key, version, format, body)
                    VALUES (1, 'event', 'a', 1, 1, ''), (1, 'issue', 'a', 1, 1, '')";
        connection.execute_batch(rows).unwrap();
        migrate(&mut connection).unwrap();
        let days =
            "SELECT (expires_at / 1000 - unixepoch() + 60) / 86400 FROM records ORDER BY kind";
        let days: Vec<Option<i64>> = connection
            .prepare(days)
            .and_then(|mut rows| rows.query_map((), |row| row.get(0))?.collect())
            .unwrap();
        assert_eq!(days, [Some(REPORT_DAYS), None]);
    }

    #[test]
    fn a_newer_schema_is_refused_with_both_numbers() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 77).unwrap();
        let refusal = migrate(&mut connection).unwrap_err().to_string();
        assert!(refusal.contains("schema 77"), "{refusal}");
        assert!(refusal.contains("start that version again"), "{refusal}");
    }

    #[test]
    fn another_programs_database_is_refused_untouched() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let refusal = migrate(&mut connection).unwrap_err().to_string();
        assert!(refusal.contains("another program"), "{refusal}");
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = connection.query_row(tables, (), |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}
