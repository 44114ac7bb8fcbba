//! Parked messages in the table: `pk` is `parked#<queue>`, `sk` the place in the order of parking.

use crate::bodies::Bodies;
use crate::table::{Key, Source, Table, string, text};
use futures::future::try_join_all;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::ports::PortError;

/// Most bytes of a cause that are kept: beside its body, an item has room for that.
const CAUSE_BYTES_MAX: usize = 8 * 1024;
/// The attribute of the cause.
const CAUSE: &str = "cause";

/// The parked messages of all queues.
#[derive(Clone)]
pub(super) struct Parking {
    table: Table,
    bodies: Bodies,
}

/// A parked message.
pub(super) struct Lot {
    pub(super) place: String,
    pub(super) body: String,
    pub(super) cause: String,
}

fn partition(queue: Queue) -> String {
    format!("parked#{}", queue.name())
}

fn cut(cause: &str) -> &str {
    cause
        .get(..cause.floor_char_boundary(CAUSE_BYTES_MAX))
        .unwrap_or(cause)
}

impl Parking {
    pub(super) fn new(table: Table, bodies: Bodies) -> Self {
        Self { table, bodies }
    }

    /// Parks a body, unless that place is taken: the same place again is the same message again, and the first cause stays.
    pub(super) async fn keep(
        &self,
        queue: Queue,
        place: &str,
        body: String,
        cause: &str,
    ) -> Result<(), PortError> {
        let what = format!("park a message of {queue}");
        let body = self.bodies.pack(&what, body)?;
        self.bodies.store(&body).await?;
        let mut item = Key::new(partition(queue), place).item();
        item.insert(CAUSE.to_owned(), text(cut(cause)));
        item.extend([body.attribute()]);
        self.table.create(&what, item).await?;
        Ok(())
    }

    /// What is parked, oldest first.
    pub(super) async fn list(&self, queue: Queue) -> Result<Vec<Lot>, PortError> {
        let what = format!("list the parked messages of {queue}");
        let source = Source {
            index: None,
            partition: partition(queue),
        };
        let found = self.table.merged(&what, &[source], "", usize::MAX).await?;
        let lots = found.iter().map(async |(key, item)| {
            Ok(Lot {
                place: key.sk.clone(),
                body: self.bodies.read(&what, item).await?,
                cause: string(item, CAUSE).unwrap_or_default().to_owned(),
            })
        });
        try_join_all(lots).await
    }

    /// Removes a parked message; says whether it was still there.
    pub(super) async fn remove(&self, queue: Queue, place: &str) -> Result<bool, PortError> {
        let what = format!("remove a parked message of {queue}");
        let key = Key::new(partition(queue), place);
        self.table.remove(&what, &key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cause_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "ü".repeat(CAUSE_BYTES_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), CAUSE_BYTES_MAX - 1);
    }
}
