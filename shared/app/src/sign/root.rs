//! The next root: whether one is to be made, taken from those who hold the root keys, or asked from them.
//!
//! **A root that names a new key is published only after everything that is served is signed with that key too.** One that somebody put
//! beside the others by hand is visible to devices already, and taken at once.

use super::Sign;
use super::metadata::{key_use, online, online_key, roles, root_keys};
use super::publish::{ROOT_LIFE, metadata_key};
use crate::news;
use jiff::SignedDuration;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::channel::Head;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Commit, PortError};
use kintsugi_domain::signing::OnlineRole;
use kintsugi_trust::tuf::{
    Metadata as _, ROOT_BYTES_MAX, ROOT_UPDATES_MAX, Role, Root, RootDraft, Trusted, TufError,
};

/// Days before its end at which people are told of a root that the home cannot renew, the last first.
const WARNING_DAYS: [i64; 3] = [7, 30, 90];

/// What is to be done about the root.
#[derive(Debug)]
pub(super) enum NextRoot {
    /// Nothing now.
    Stays,
    /// It is stored under the next number already.
    Stored(Vec<u8>),
    /// It was brought: to be stored.
    Brought(String),
    /// The home makes it, with the ordered keys if `ordered`, otherwise with those in force.
    Own { ordered: bool },
}

/// What was found out on the way.
#[derive(Debug)]
pub(super) struct RootPlan {
    pub(super) next: NextRoot,
    /// Something was ordered and the home itself can go on with it.
    pub(super) more: bool,
    /// News for people.
    pub(super) alerts: Vec<Alert>,
    /// The head's record of what is asked or refused was changed.
    pub(super) changed: bool,
}

impl Sign {
    /// What to do about the root now. What is asked from people, and what was refused, is written into the head.
    pub(super) async fn plan_root(
        &self,
        head: &mut Head,
        id: ProjectId,
        is_old: bool,
    ) -> Result<RootPlan, PortError> {
        let mut plan = RootPlan {
            next: NextRoot::Stays,
            more: false,
            alerts: Vec::new(),
            changed: false,
        };
        let is_changing = head.signing.is_changing();
        let wants_higher = head.signing.skip.is_some_and(|skip| skip.root >= head.root);
        let next = metadata_key(id, Role::Root, head.root + 1);
        if let Some(text) = self.ports.blobs.get(&next, ROOT_BYTES_MAX).await? {
            plan.next = NextRoot::Stored(text);
            plan.more = is_changing || wants_higher;
            return Ok(plan);
        }
        if !is_old && !is_changing && !wants_higher && head.signing.brought_root.is_none() {
            return Ok(plan);
        }
        let Some(current) = self.current_root(head, id).await? else {
            plan.next = NextRoot::Own { ordered: false };
            return Ok(plan);
        };
        if let Some(text) = head.signing.brought_root.clone() {
            return self.plan_brought(head, current, text, plan).await;
        }
        let own = root_keys(&self.ports, id).await?;
        let named = &current.root().roles.root;
        let shared = own.keys().keys();
        let shared = shared.filter(|id| named.keys().contains_key(*id)).count();
        if shared >= named.threshold() {
            if is_changing && self.signed_by_all(head, id).await?.is_empty() {
                plan.next = NextRoot::Own { ordered: true };
            } else if is_old || wants_higher {
                plan.next = NextRoot::Own { ordered: false };
            }
            plan.more = is_changing || wants_higher;
            return Ok(plan);
        }
        if is_changing {
            self.ask(head, current.root(), &mut plan).await?;
        }
        plan.alerts.extend(self.ends_soon(head));
        Ok(plan)
    }

    /// The root in force; nothing where it cannot be found.
    async fn current_root(&self, head: &Head, id: ProjectId) -> Result<Option<Trusted>, PortError> {
        let key = metadata_key(id, Role::Root, head.root);
        let Some(text) = self.ports.blobs.get(&key, ROOT_BYTES_MAX).await? else {
            return Ok(None);
        };
        let trusted = Trusted::new(&text);
        trusted
            .map(Some)
            .map_err(|error| PortError::broken(format!("metadata {key}"), error))
    }

    /// A root that was brought: refused where devices would refuse it or what the home signs under it, published as soon as
    /// everything served is signed with its keys.
    async fn plan_brought(
        &self,
        head: &mut Head,
        mut current: Trusted,
        text: String,
        mut plan: RootPlan,
    ) -> Result<RootPlan, PortError> {
        let id = head.project;
        let why = match current.update_root(text.as_bytes()) {
            Err(error) => Some(error.to_string()),
            Ok(()) => self.unsignable(head, current.root()).await?,
        };
        if let Some(why) = why {
            head.signing.brought_root = None;
            plan.changed = true;
            plan.alerts.push(Alert::new(
                id,
                Urgency::Warning,
                "root.refused",
                &format!("{}: {why}", head.root + 1),
                format!("The root that was brought is not published: {why}"),
                self.ports.now(),
            ));
            head.signing.refused_root = Some(why);
            return Ok(plan);
        }
        plan.more = true;
        if self.signed_by_all(head, id).await?.is_empty() {
            plan.next = NextRoot::Brought(text);
        }
        Ok(plan)
    }

    /// The first role for which a root names no key that this home signs with.
    async fn unsignable(&self, head: &Head, root: &Root) -> Result<Option<String>, PortError> {
        for role in Role::ALL {
            let Some(of_home) = online(role) else {
                continue;
            };
            let mut named = false;
            for generation in head.signing.of(of_home).signing() {
                let key = key_use(of_home, generation);
                let key = online_key(&self.ports, head.project, key).await?;
                named |= root.roles.of(role).keys().contains_key(&key);
            }
            if !named || root.roles.of(role).threshold() != 1 {
                return Ok(Some(format!(
                    "role {role}: it names no key that this home signs with, or asks for more than one"
                )));
            }
        }
        Ok(None)
    }

    /// Writes the next root with the ordered keys for those who hold the root keys, once, and tells them.
    async fn ask(
        &self,
        head: &mut Head,
        current: &Root,
        plan: &mut RootPlan,
    ) -> Result<(), PortError> {
        let broken = |error: &dyn std::fmt::Display| PortError::broken("the next root", error);
        let mut next = current.next(self.ports.now() + ROOT_LIFE);
        let ordered = |role: OnlineRole| head.signing.of(role).ordered;
        let own = roles(&self.ports, head.project, ordered).await?;
        next.roles.targets = own.targets;
        next.roles.snapshot = own.snapshot;
        next.roles.timestamp = own.timestamp;
        let is_asked = head.signing.wanted_root.as_ref().is_some_and(|text| {
            let asked = RootDraft::read(text.as_bytes(), None);
            asked.is_ok_and(|asked| {
                let asked = asked.root();
                asked.version == next.version && asked.roles == next.roles
            })
        });
        if is_asked {
            return Ok(());
        }
        let draft = RootDraft::new(next).map_err(|error| broken(&error))?;
        let text = draft.to_text().map_err(|error| broken(&error))?;
        let version = draft.root().version;
        head.signing.wanted_root = Some(text);
        plan.changed = true;
        plan.alerts.push(Alert::new(
            head.project,
            Urgency::Warning,
            "root.signatures_wanted",
            &draft.digest(),
            format!(
                "A new signing key waits for root version {version}: those who hold the root keys must sign it (kintsugi tuf wanted)"
            ),
            self.ports.now(),
        ));
        Ok(())
    }

    /// News that the root ends and the home cannot renew it: once for each step.
    fn ends_soon(&self, head: &Head) -> Option<Alert> {
        let now = self.ports.now();
        let left = head.root_expires.duration_since(now);
        let of = |days: &i64| left <= SignedDuration::from_hours(days * 24);
        let step = WARNING_DAYS.iter().find(|days| of(days))?;
        let (urgency, ends) = match left.is_negative() {
            true => (Urgency::Page, "has ended"),
            false if *step == 7 => (Urgency::Page, "ends"),
            false => (Urgency::Warning, "ends"),
        };
        let days = (left.as_hours() / 24).max(0);
        Some(Alert::new(
            head.project,
            urgency,
            "root.expires",
            &format!("{} within {step} days", head.root),
            format!(
                "Root version {} {ends} at {}, in {days} days, and the home cannot sign the next one: after that devices take nothing. Sign it with kintsugi tuf refresh and bring it.",
                head.root, head.root_expires
            ),
            now,
        ))
    }

    /// Adds news to a commit.
    pub(super) async fn tell(
        &self,
        mut commit: Commit,
        alerts: Vec<Alert>,
    ) -> Result<Commit, PortError> {
        for alert in alerts {
            let cause = format!("sign/{}", alert.id);
            commit = news::raise(&self.ports, commit, &cause, alert).await?;
        }
        Ok(commit)
    }

    /// Puts the next root in force. What was stored under a name never changes, so a root that a publication wrote before it
    /// was cut off is taken as it is.
    pub(super) async fn take_root(&self, head: &mut Head, next: NextRoot) -> Result<(), PortError> {
        let id = head.project;
        match next {
            NextRoot::Stays => {}
            NextRoot::Stored(text) => self.in_force(head, &text).await?,
            NextRoot::Brought(text) => {
                let key = metadata_key(id, Role::Root, head.root + 1);
                self.ports
                    .blobs
                    .put(&key, text.clone().into_bytes())
                    .await?;
                self.in_force(head, text.as_bytes()).await?;
            }
            NextRoot::Own { ordered } => {
                self.write_root(head, ordered).await?;
                // Devices ask for one root after the other, so none may be missing.
                let above = head.signing.skip.map_or(0, |skip| skip.root);
                for _ in 1..ROOT_UPDATES_MAX {
                    if head.root > above {
                        break;
                    }
                    self.write_root(head, ordered).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes, stores and takes the next root. Roots are numbered without gaps.
    pub(super) async fn write_root(&self, head: &mut Head, ordered: bool) -> Result<(), PortError> {
        let id = head.project;
        let version = head.root + 1;
        let key = metadata_key(id, Role::Root, version);
        if let Some(text) = self.ports.blobs.get(&key, ROOT_BYTES_MAX).await? {
            return self.in_force(head, &text).await;
        }
        let generation = |role| {
            let generations = head.signing.of(role);
            if ordered {
                generations.ordered
            } else {
                generations.in_force
            }
        };
        let own = roles(&self.ports, id, generation).await?;
        let root = Root::new(version, self.ports.now() + ROOT_LIFE, own);
        self.write(head, version, &root).await?;
        let end = root.expires;
        self.took(head, Some(&root), end).await
    }

    async fn in_force(&self, head: &mut Head, text: &[u8]) -> Result<(), PortError> {
        // One that cannot be read is due at once, and a new root follows.
        let root: Result<Root, TufError> = Trusted::new(text).map(|it| it.root().clone());
        match root {
            Ok(root) => {
                let end = root.expires();
                self.took(head, Some(&root), end).await
            }
            Err(_) => self.took(head, None, Timestamp::UNIX_EPOCH).await,
        }
    }

    /// The head as it is under the next root: which keys it names is known from its text.
    async fn took(
        &self,
        head: &mut Head,
        root: Option<&Root>,
        expires: Timestamp,
    ) -> Result<(), PortError> {
        head.root += 1;
        head.root_expires = expires;
        head.signing.brought_root = None;
        head.signing.wanted_root = None;
        head.signing.refused_root = None;
        let Some(root) = root else {
            return Ok(());
        };
        for role in Role::ALL {
            let Some(of_home) = online(role) else {
                continue;
            };
            let generations = head.signing.of(of_home);
            // The newest first: a root may name several.
            let candidates = [generations.ordered, generations.in_force];
            let older = (1..generations.in_force).rev();
            for generation in candidates.into_iter().chain(older) {
                let key = key_use(of_home, generation);
                let key = online_key(&self.ports, head.project, key).await?;
                if root.roles.of(role).keys().contains_key(&key) {
                    head.signing.of_mut(of_home).in_force = generation;
                    break;
                }
            }
        }
        Ok(())
    }
}
