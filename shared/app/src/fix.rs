//! Fixes: orders a search, judges what it found, proposes the chosen change to the product's
//! repository, and lets it depart by policy or by a person's word.
//!
//! **No reproducer, no fix:** only a candidate whose regression test failed before and passes after is
//! ever proposed ([`kintsugi_domain::fix::choose`]).
//!
//! Not here: how candidates are made and tried (`kintsugi-repair`, `kintsugi-engine`).

use crate::events::sample;
use crate::news;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine, step};
use crate::work::done_message;
use async_trait::async_trait;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::{Approval, Config};
use kintsugi_domain::diagnosis::Diagnosis;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove, FixState, Verdict, choose};
use kintsugi_domain::id::{FixId, IssueId, JobId};
use kintsugi_domain::issue::{Issue, IssueMove};
use kintsugi_domain::job::{
    CandidateReport, FixClass, Job, JobState, Order, Report, SearchOrder, SourceFile,
};
use kintsugi_domain::ports::{Commit, PortError, Ports, Proposal};
use kintsugi_domain::record::Stored;

/// A rule that is trusted less than this before any test never departs without a person: tests alone
/// are weak evidence for changes that are often wrong (`FixRules::approve`).
const AUTOMATIC_PRIOR_MIN: f64 = 0.35;
/// Longest line of a title, characters: what git shows whole.
const TITLE_CHARS_MAX: usize = 72;

/// The fix stage.
#[derive(Debug, Clone)]
pub struct Fixes {
    ports: Ports,
}

impl Fixes {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Orders a search for a diagnosed issue.
    async fn search(&self, cause: &Envelope, id: &IssueId) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(mut issue) = records::get::<Issue>(store, cause.project, id.as_str()).await?
        else {
            return Ok(Done::nothing("the issue does not exist"));
        };
        if let Err(refused) = issue.value.state.next(IssueMove::StartFix) {
            return Ok(refused.into());
        }
        let Some((project, repository)) = records::sourced(store, cause.project).await? else {
            return Ok(Done::nothing("the project names no repository"));
        };
        let config = project.value.config;
        let diagnosis: Stored<Diagnosis> = records::need(store, cause.project, id.as_str()).await?;
        let event = sample(&self.ports, cause.project, &issue.value.sample).await?;
        let order = Order::Search(Box::new(SearchOrder {
            issue: id.clone(),
            commit: diagnosis.value.commit,
            event,
            suspects: diagnosis.value.suspects,
        }));
        let job = Job::order(cause.project, repository, order, config, at);
        let why = format!("search {}", job.id);
        step!(issue.value, IssueMove::StartFix, at, Self::NAME, why);
        // Named by this decision, not by the message: an old message that comes again after the issue
        // came back must be able to hand on anew.
        let decision = format!("issue/{id}@{}", issue.version);
        let commit = Commit::new().update(&issue);
        let commit = self.order(&decision, commit, &job).await?;
        store.commit(commit).await?;
        Ok(Done::did(format!(
            "ordered search {} for issue {id}",
            job.id
        )))
    }

    /// Adds a job to a commit. The same order as before is the same job: if it is done, its answer is
    /// judged again.
    async fn order(&self, decision: &str, commit: Commit, job: &Job) -> Result<Commit, PortError> {
        let store = self.ports.store.as_ref();
        let known = records::get::<Job>(store, job.project, job.id.as_str()).await?;
        let send = |message| Envelope::new(decision, job.project, message);
        let run = || Message::RunJob {
            job: job.id.clone(),
        };
        Ok(match known.map(|known| known.value.state) {
            None => commit.create(job).send(send(run())),
            Some(JobState::Ordered) => commit.send(send(run())),
            Some(JobState::Done) => commit.send(send(done_message(job))),
        })
    }

    /// Judges a search.
    async fn judge(&self, cause: &Envelope, id: &JobId) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let Some(job) = records::get::<Job>(store, cause.project, id.as_str()).await? else {
            return Ok(Done::nothing("the job does not exist"));
        };
        let job = job.value;
        let (Order::Search(order), Some(Report::Search(report))) = (&job.order, &job.report) else {
            return Ok(Done::nothing("the job is not a search that has ended"));
        };
        let issue: Stored<Issue> =
            records::need(store, cause.project, order.issue.as_str()).await?;
        if let Err(refused) = issue.value.state.next(IssueMove::Prove) {
            return Ok(refused.into());
        }
        let diagnosis: Stored<Diagnosis> =
            records::need(store, cause.project, order.issue.as_str()).await?;
        if order.event.id != issue.value.sample || order.commit != diagnosis.value.commit {
            return Ok(Done::nothing(
                "the issue came back since, and has another search",
            ));
        }
        match choose(report) {
            Verdict::None { why } => {
                news::give_up(
                    &self.ports,
                    cause,
                    issue,
                    (Self::NAME, &format!("NO_VALID_FIX: {why}")),
                )
                .await
            }
            Verdict::Chosen {
                candidate,
                regression_test,
                why,
            } => {
                let fix = Fix::from_candidate(
                    cause.project,
                    &order.issue,
                    &order.commit,
                    title(&issue.value),
                    candidate,
                    regression_test,
                    &report.base,
                );
                let chosen = Chosen {
                    job: &job,
                    candidate,
                    regression_test,
                    why,
                };
                self.propose(cause, issue, fix, &chosen).await
            }
        }
    }

    async fn propose(
        &self,
        cause: &Envelope,
        issue: Stored<Issue>,
        mut fix: Fix,
        chosen: &Chosen<'_>,
    ) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let known = records::get::<Fix>(store, cause.project, fix.id.as_str()).await?;
        if let Some(known) = known {
            let why = format!(
                "NO_VALID_FIX: the best candidate was tried before and is {:?}",
                known.value.state
            );
            return news::give_up(&self.ports, cause, issue, (Self::NAME, &why)).await;
        }
        let branch = format!("kintsugi/fix/{}", fix.id);
        let proposal = Proposal {
            project: cause.project,
            repository: chosen.job.repository.clone(),
            branch: branch.clone(),
            base: fix.base.clone(),
            files: fix
                .files
                .iter()
                .map(|file| (file.path.clone(), file.content.clone()))
                .collect(),
            message: message(&fix, &issue.value, chosen.regression_test),
            // The order's date, so that the same proposal made again is the same commit.
            at: chosen.job.ordered_at,
        };
        fix.commit = Some(self.ports.forge.propose(&proposal).await?);
        let mut issue = records::issue_again(store, &issue).await?;
        fix.branch = Some(branch);
        step!(fix, FixMove::Validate, at, Self::NAME, &chosen.why);
        step!(issue.value, IssueMove::Prove, at, Self::NAME, &chosen.why);
        issue.value.fix = Some(fix.id.clone());
        let commit = match needs_person(&chosen.job.config, chosen.candidate) {
            None => {
                let why = "policy: proven fixes that correct or guard depart by themselves";
                step!(fix, FixMove::Approve, at, Self::NAME, why);
                let message = Message::FixApproved {
                    fix: fix.id.clone(),
                };
                Commit::new().send(Envelope::new(cause.id.to_string(), cause.project, message))
            }
            Some(why) => {
                let alert = Alert::new(
                    cause.project,
                    Urgency::Notice,
                    "fix.review",
                    &fix.id,
                    format!("Fix “{}” waits for a person: {why}", fix.title),
                    at,
                );
                news::raise(&self.ports, Commit::new(), cause.id.as_str(), alert).await?
            }
        };
        store.commit(commit.create(&fix).update(&issue)).await?;
        Ok(Done::did(format!("fix {} is {:?}", fix.id, fix.state)))
    }

    /// A person's word on a fix.
    async fn review(
        &self,
        cause: &Envelope,
        (id, approved, by): (&FixId, bool, &str),
    ) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(mut fix) = records::get::<Fix>(store, cause.project, id.as_str()).await? else {
            return Ok(Done::nothing("the fix does not exist"));
        };
        if approved {
            step!(fix.value, FixMove::Approve, at, by, "approved by a person");
            let message = Message::FixApproved { fix: id.clone() };
            let envelope = Envelope::new(cause.id.to_string(), cause.project, message);
            store
                .commit(Commit::new().update(&fix).send(envelope))
                .await?;
            return Ok(Done::did(format!("fix {id} is approved")));
        }
        // The build that is under way has it in: from here on only its release can be called back.
        if fix.value.state == FixState::Bundled {
            return Ok(Done::nothing("the fix is on its train"));
        }
        step!(fix.value, FixMove::Reject, at, by, "refused by a person");
        let mut commit = Commit::new().update(&fix);
        let mut issue: Stored<Issue> =
            records::need(store, cause.project, fix.value.issue.as_str()).await?;
        let why = format!("fix {id} was refused by a person");
        if issue.value.step(IssueMove::GiveUp, at, by, why).is_ok() {
            commit = commit.update(&issue);
        }
        store.commit(commit).await?;
        Ok(Done::did(format!("fix {id} is rejected")))
    }
}

/// What a search leads to, with what it came from.
struct Chosen<'a> {
    job: &'a Job,
    candidate: &'a CandidateReport,
    regression_test: &'a SourceFile,
    why: String,
}

/// Why a person must look at a proven fix, if one must.
fn needs_person(config: &Config, candidate: &CandidateReport) -> Option<String> {
    if config.fix.approve == Approval::Required {
        return Some("the project asks for a person's approval".to_owned());
    }
    if candidate.class == FixClass::Suppresses {
        return Some("it hides the symptom instead of correcting it".to_owned());
    }
    let prior = candidate.prior;
    (prior < AUTOMATIC_PRIOR_MIN).then(|| {
        format!(
            "rule “{}” is rarely right (prior {prior:.2})",
            candidate.rule
        )
    })
}

/// The line for commit and changelog. Made from the event's type and place only, and only of letters,
/// digits and `._`: the event's text is a stranger's.
fn title(issue: &Issue) -> String {
    let clean = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
            .take(40)
            .collect()
    };
    let kind = clean(issue.title.split(':').next().unwrap_or_default());
    let place = clean(issue.culprit.as_deref().unwrap_or_default());
    let title = match (kind.is_empty(), place.is_empty()) {
        (false, false) => format!("Fix {kind} in {place}"),
        (false, true) => format!("Fix {kind}"),
        (true, _) => format!("Fix issue {}", issue.id),
    };
    title.chars().take(TITLE_CHARS_MAX).collect()
}

/// The commit message: what, by which rule, shown by which test.
fn message(fix: &Fix, issue: &Issue, test: &SourceFile) -> String {
    format!(
        "{}\n\nMade by rule “{}” ({:?}) for an error that was seen in the field.\n\
         {} fails before this change and passes after it, as does the whole suite.\n\n\
         Kintsugi-Issue: {}\nKintsugi-Fix: {}\n",
        fix.title, fix.rule, fix.class, test.path, issue.id, fix.id
    )
}

#[async_trait]
impl Stage for Fixes {
    const NAME: &'static str = "fix";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::FindFix { issue })) => self.search(envelope, issue).await,
            Some((envelope, Message::SearchDone { job })) => self.judge(envelope, job).await,
            Some((envelope, Message::FixReviewed { fix, approved, by })) => {
                self.review(envelope, (fix, *approved, by)).await
            }
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}
