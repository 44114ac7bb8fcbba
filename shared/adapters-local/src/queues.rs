//! Queues in SQLite, in the same database as the store.
//!
//! A message that is sent again while it waits, is being handled or is parked is the same message, once. Deliveries are
//! leases: a reader that dies loses them when they end, or at the next start ([`SqliteQueues::release_leases`]).
//!
//! A message that this program cannot read (it is damaged, or a newer program wrote it) is parked when its turn comes, and its
//! neighbours are handed out. It stays as it came, for a redrive by a program that can read it.

use crate::bell::Bell;
use crate::database::{Database, sqlite_error};
use async_trait::async_trait;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::ports::{Clock, Delivery, Letter, Parked, PortError, Queues};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Queues in SQLite. Clones share the database, and hear of each other's messages.
#[derive(Clone)]
pub struct SqliteQueues {
    database: Database,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
}

impl fmt::Debug for SqliteQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteQueues").finish_non_exhaustive()
    }
}

/// What a receipt names: a place in the table and one delivery of what is there.
#[derive(Debug, Clone, Copy)]
struct Receipt {
    place: i64,
    delivery: i64,
}

impl Receipt {
    fn read(text: &str) -> Option<Self> {
        let (place, delivery) = text.split_once('/')?;
        Some(Self {
            place: place.parse().ok()?,
            delivery: delivery.parse().ok()?,
        })
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a message, or says why it is none, and nothing of what it says.
fn envelope(body: &[u8]) -> Result<Envelope, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("not an envelope: {error}"))?;
    Envelope::read(text).map_err(|error| error.to_string())
}

impl SqliteQueues {
    /// The queues of a database.
    pub fn new(database: &Database, clock: Arc<dyn Clock>) -> Self {
        Self {
            database: database.clone(),
            clock,
            bell: Arc::new(Bell::new()),
        }
    }

    /// Waits until a message was sent or redriven to the queue, here or by a clone; one that came since the last call counts.
    /// For one worker a queue. What comes back after a delay or the end of its lease wakes nobody.
    pub async fn rung(&self, queue: Queue) {
        self.bell.rung(queue).await;
    }

    /// Shows every message that was being handled. Call it once after opening: the database belongs to one process,
    /// so whoever held a lease before is dead. Delays of retries stay. Returns how many there were.
    pub async fn release_leases(&self) -> Result<usize, PortError> {
        let now = self.now();
        self.write("release leases", move |connection| {
            let sql = "UPDATE messages SET visible_at = ?1, leased = 0 WHERE leased = 1";
            connection.execute(sql, [now])
        })
        .await
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    async fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, PortError> {
        let write = self
            .database
            .write(move |connection| work(connection).map_err(|error| sqlite_error(what, &error)));
        write.await
    }

    /// Changes the message of a receipt, if the receipt is that of its newest delivery; says whether it is. The
    /// statement gets the place as `?1`, the delivery as `?2` and `values` from `?3` on.
    async fn settle(
        &self,
        what: &'static str,
        receipt: &str,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<bool, PortError> {
        let Some(receipt) = Receipt::read(receipt) else {
            return Ok(false);
        };
        let named = [receipt.place.into(), receipt.delivery.into()];
        let changed = self.write(what, move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.execute(params_from_iter(named.into_iter().chain(values)))
        });
        Ok(changed.await? > 0)
    }

    async fn park_delivery(&self, receipt: &str, cause: &str) -> Result<(), PortError> {
        let sql = "UPDATE messages SET parked_at = ?3, parked_cause = ?4, leased = 0 \
                   WHERE place = ?1 AND delivery = ?2 AND parked_cause IS NULL";
        let values = vec![self.now().into(), cause.to_owned().into()];
        self.settle("park a message", receipt, sql, values).await?;
        Ok(())
    }

    /// One number about a queue. The statement gets the queue as `?1` and `values` from `?2` on.
    async fn number(
        &self,
        sql: &'static str,
        queue: Queue,
        values: Vec<Value>,
    ) -> Result<i64, PortError> {
        let named = [queue.name().to_owned().into()];
        let read = self.database.read(move |connection| {
            let values = params_from_iter(named.into_iter().chain(values));
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
                .map_err(|error| sqlite_error("look into a queue", &error))
        });
        read.await
    }
}

/// A message that was leased, as it lies in the table.
struct Leased {
    place: i64,
    id: String,
    /// What is damaged may be no text.
    body: Vec<u8>,
    delivery: i64,
    attempt: u32,
}

fn lease(
    connection: &Connection,
    queue: Queue,
    max: usize,
    now: i64,
    until: i64,
) -> Result<Vec<Leased>, rusqlite::Error> {
    let mut leased: Vec<Leased> = connection
        .prepare_cached(
            "UPDATE messages SET visible_at = ?3, leased = 1, attempt = attempt + 1, delivery = delivery + 1 \
             WHERE place IN (SELECT place FROM messages \
                 WHERE queue = ?1 AND parked_cause IS NULL AND visible_at <= ?2 \
                 ORDER BY visible_at, place LIMIT ?4) \
             RETURNING place, message, body, delivery, attempt",
        )?
        .query_map(
            params![queue.name(), now, until, i64::try_from(max).unwrap_or(i64::MAX)],
            |row| {
                Ok(Leased {
                    place: row.get(0)?,
                    id: row.get(1)?,
                    body: row.get_ref(2)?.as_bytes()?.to_vec(),
                    delivery: row.get(3)?,
                    attempt: row.get(4)?,
                })
            },
        )?
        .collect::<Result<_, _>>()?;
    // SQLite returns them in no order of ours.
    leased.sort_by_key(|leased| leased.place);
    Ok(leased)
}

/// A parked message, or what came in its place.
struct Lot {
    place: i64,
    id: String,
    /// What is damaged may be no text.
    body: Vec<u8>,
    cause: String,
}

/// What is parked in a queue, oldest first.
fn lots(connection: &Connection, queue: Queue) -> Result<Vec<Lot>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT place, message, body, parked_cause FROM messages \
             WHERE queue = ?1 AND parked_cause IS NOT NULL ORDER BY parked_at, place",
        )?
        .query_map([queue.name()], |row| {
            Ok(Lot {
                place: row.get(0)?,
                id: row.get(1)?,
                body: row.get_ref(2)?.as_bytes()?.to_vec(),
                cause: row.get(3)?,
            })
        })?
        .collect()
}

#[async_trait]
impl Queues for SqliteQueues {
    async fn send(&self, envelopes: &[Envelope]) -> Result<(), PortError> {
        if envelopes.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            let body = serde_json::to_string(envelope)
                .map_err(|error| PortError::broken(format!("message {}", envelope.id), error))?;
            rows.push((envelope.id.clone(), envelope.queue().name(), body));
        }
        let now = self.now();
        self.write("send messages", move |connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO messages (message, queue, body, visible_at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (message) DO NOTHING",
            )?;
            for (id, queue, body) in rows {
                insert.execute(params![id.as_str(), queue, body, now])?;
            }
            Ok(())
        })
        .await?;
        for envelope in envelopes {
            self.bell.ring(envelope.queue());
        }
        Ok(())
    }

    async fn receive(
        &self,
        queue: Queue,
        max: usize,
        lease_time: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let now = self.now();
        // Looking first keeps idle readers from the disk.
        let waiting = self
            .number(
                "SELECT EXISTS (SELECT 1 FROM messages \
                 WHERE queue = ?1 AND parked_cause IS NULL AND visible_at <= ?2)",
                queue,
                vec![now.into()],
            )
            .await?;
        if waiting == 0 {
            return Ok(Vec::new());
        }
        let until = now.saturating_add(millis(lease_time));
        let leased = self.write("receive messages", move |connection| {
            lease(connection, queue, max, now, until)
        });
        let mut deliveries = Vec::new();
        for leased in leased.await? {
            let receipt = format!("{}/{}", leased.place, leased.delivery);
            match envelope(&leased.body) {
                Ok(envelope) => deliveries.push(Delivery {
                    envelope,
                    receipt,
                    attempt: leased.attempt,
                }),
                Err(cause) => {
                    self.park_delivery(&receipt, &cause).await?;
                    tracing::error!(%queue, message = leased.id, reason = cause, "parked: it cannot be read");
                }
            }
        }
        Ok(deliveries)
    }

    async fn extend(&self, receipt: &str, lease: Duration) -> Result<(), PortError> {
        let until = self.now().saturating_add(millis(lease));
        let sql = "UPDATE messages SET visible_at = ?3 \
                   WHERE place = ?1 AND delivery = ?2 AND parked_cause IS NULL";
        if self
            .settle("extend a lease", receipt, sql, vec![until.into()])
            .await?
        {
            return Ok(());
        }
        let what = format!("delivery {receipt}");
        Err(PortError::Conflict { what })
    }

    async fn done(&self, receipt: &str) -> Result<(), PortError> {
        let sql =
            "DELETE FROM messages WHERE place = ?1 AND delivery = ?2 AND parked_cause IS NULL";
        self.settle("end a message", receipt, sql, Vec::new())
            .await?;
        Ok(())
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let at = self.now().saturating_add(millis(delay));
        let sql = "UPDATE messages SET visible_at = ?3, leased = 0 \
                   WHERE place = ?1 AND delivery = ?2 AND parked_cause IS NULL";
        self.settle("put a message back", receipt, sql, vec![at.into()])
            .await?;
        Ok(())
    }

    async fn park(&self, delivery: &Delivery, cause: &str) -> Result<(), PortError> {
        self.park_delivery(&delivery.receipt, cause).await
    }

    async fn set_aside(&self, letter: &Letter, cause: &str) -> Result<(), PortError> {
        let Letter {
            queue, id, body, ..
        } = letter.clone();
        let id = envelope(body.as_bytes()).map_or(id, |envelope| envelope.id.to_string());
        let (now, cause) = (self.now(), cause.to_owned());
        self.write("set a message aside", move |connection| {
            let sql = "INSERT INTO messages (message, queue, body, visible_at, parked_at, parked_cause) \
                       VALUES (?1, ?2, ?3, ?4, ?4, ?5) \
                       ON CONFLICT (message) DO UPDATE \
                           SET queue = ?2, parked_at = ?4, parked_cause = ?5, leased = 0 \
                           WHERE parked_cause IS NULL";
            connection.execute(sql, params![id, queue.name(), body, now, cause])
        })
        .await?;
        Ok(())
    }

    async fn parked(&self, queue: Queue) -> Result<Vec<Parked>, PortError> {
        let read = self.database.read(move |connection| {
            lots(connection, queue).map_err(|error| sqlite_error("look into a queue", &error))
        });
        let parked = read.await?.into_iter().map(|lot| Parked {
            id: lot.id,
            envelope: envelope(&lot.body).ok(),
            queue,
            cause: lot.cause,
        });
        Ok(parked.collect())
    }

    async fn redrive(&self, queue: Queue) -> Result<usize, PortError> {
        let now = self.now();
        let redriven = self.write("redrive a queue", move |connection| {
            let mut put_back = connection.prepare_cached(
                "UPDATE messages SET parked_at = NULL, parked_cause = NULL, visible_at = ?2, \
                 attempt = 0, queue = ?3 WHERE place = ?1",
            )?;
            let mut to = Vec::new();
            for lot in lots(connection, queue)? {
                if let Ok(envelope) = envelope(&lot.body) {
                    put_back.execute(params![lot.place, now, envelope.queue().name()])?;
                    to.push(envelope.queue());
                }
            }
            Ok(to)
        });
        let to = redriven.await?;
        for queue in &to {
            self.bell.ring(*queue);
        }
        Ok(to.len())
    }

    async fn depth(&self, queue: Queue) -> Result<usize, PortError> {
        let sql = "SELECT count(*) FROM messages WHERE queue = ?1 AND parked_cause IS NULL";
        let depth = self.number(sql, queue, Vec::new()).await?;
        Ok(usize::try_from(depth).unwrap_or(0))
    }
}
