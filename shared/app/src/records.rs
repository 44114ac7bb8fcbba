//! Reading records as what they are. Writing goes through [`kintsugi_domain::ports::Commit`].

use kintsugi_domain::id::ProjectId;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::ports::{PortError, Query, RawRecord, RecordKey, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{IndexEntry, Record, Stored};
use std::collections::BTreeMap;

/// The record of that key, or nothing.
pub async fn get<T: Record>(
    store: &dyn Store,
    project: ProjectId,
    key: &str,
) -> Result<Option<Stored<T>>, PortError> {
    let key = RecordKey {
        project,
        kind: T::KIND,
        key: key.to_owned(),
    };
    let raw = store.get(&key).await?;
    raw.as_ref().map(read).transpose()
}

/// The records of those keys that there are, by key.
pub async fn get_all<T: Record>(
    store: &dyn Store,
    project: ProjectId,
    keys: impl IntoIterator<Item = &str>,
) -> Result<BTreeMap<String, Stored<T>>, PortError> {
    let keys = keys.into_iter().map(|key| RecordKey {
        project,
        kind: T::KIND,
        key: key.to_owned(),
    });
    let keys: Vec<RecordKey> = keys.collect();
    let found = store.get_all(&keys).await?.into_iter().flatten();
    found
        .map(|raw| Ok((raw.key.key.clone(), read(&raw)?)))
        .collect()
}

/// The record of that key, which another record names: without it, that one cannot be right.
pub async fn need<T: Record>(
    store: &dyn Store,
    project: ProjectId,
    key: &str,
) -> Result<Stored<T>, PortError> {
    match get(store, project, key).await? {
        Some(found) => Ok(found),
        None => Err(PortError::broken(
            format!("{} {key} of project {project}", T::KIND),
            "another record names it, and it does not exist",
        )),
    }
}

/// An issue as it is now, for work that took a while since it was read. Reports join an issue at any time:
/// one that is reported often would lose every commit that was decided on before such work.
///
/// **One that came back meanwhile is a conflict**: the work was about another event.
pub async fn issue_again(
    store: &dyn Store,
    read: &Stored<Issue>,
) -> Result<Stored<Issue>, PortError> {
    let now: Stored<Issue> = need(store, read.value.project, read.value.id.as_str()).await?;
    if now.value.sample == read.value.sample {
        return Ok(now);
    }
    let what = format!("the sample of issue {}", read.value.id);
    Err(PortError::Conflict { what })
}

/// The project itself.
pub async fn project(
    store: &dyn Store,
    project: ProjectId,
) -> Result<Option<Stored<Project>>, PortError> {
    get(store, project, "project").await
}

/// A project that names where its source lives, and where that is.
pub async fn sourced(
    store: &dyn Store,
    id: ProjectId,
) -> Result<Option<(Stored<Project>, String)>, PortError> {
    Ok(project(store, id).await?.and_then(|stored| {
        let repository = stored.value.repository.clone()?;
        Some((stored, repository))
    }))
}

/// One page of records in key order, after a key.
pub async fn page<T: Record>(
    store: &dyn Store,
    project: ProjectId,
    index: Option<IndexEntry>,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<Stored<T>>, PortError> {
    let query = Query {
        project,
        kind: T::KIND,
        index,
        after,
        limit: limit.min(PAGE_RECORDS_MAX),
    };
    store.list(&query).await?.iter().map(read).collect()
}

/// Every record with that index entry (all of them without one), in key order.
pub async fn all<T: Record>(
    store: &dyn Store,
    project: ProjectId,
    index: Option<IndexEntry>,
) -> Result<Vec<Stored<T>>, PortError> {
    let mut found: Vec<Stored<T>> = Vec::new();
    loop {
        let after = found.last().map(|last| last.value.key());
        let page = page(store, project, index.clone(), after, PAGE_RECORDS_MAX).await?;
        let is_last = page.len() < PAGE_RECORDS_MAX;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

fn read<T: Record>(raw: &RawRecord) -> Result<Stored<T>, PortError> {
    if raw.format != T::FORMAT {
        let why = format!(
            "it has format {}, this version reads {}",
            raw.format,
            T::FORMAT
        );
        return Err(PortError::broken(&raw.key, why));
    }
    match serde_json::from_str(&raw.body) {
        Ok(value) => Ok(Stored {
            value,
            version: raw.version,
        }),
        Err(error) => Err(PortError::broken(&raw.key, error)),
    }
}
