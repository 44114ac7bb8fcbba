//! What the tests of several stages share.

use crate::records;
use futures::executor::block_on;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Store;
use kintsugi_domain::record::Record;

/// The only project of a test.
pub(crate) const PROJECT: ProjectId = ProjectId(1);

/// Every record of a kind that the project has.
pub(crate) fn all<T: Record>(store: &dyn Store) -> Vec<T> {
    let found = block_on(records::all::<T>(store, PROJECT, None)).unwrap();
    found.into_iter().map(|it| it.value).collect()
}
