//! Builds a version: fixes, tests, build command, package, deltas, release commit.
//!
//! What is tested is exactly what is released: version file and changelog are written before the suite
//! runs. A fix that does not fit, breaks the suite or fails a gate is set aside, and the others go on.
//! **Invariant: nothing is pushed or stored before everything has passed.** Not here: which fixes and
//! which version (`kintsugi_domain::train`), and signing.

mod blame;

use crate::depot::Depot;
use crate::gates::Before;
use crate::git::{CommitInfo, Git, Person};
use crate::inputs;
use crate::merge::{self, Applied};
use crate::package::{self, Blob, Packages};
use crate::platform;
use crate::search::ran_none;
use crate::tree::Tree;
use crate::workshop::{self, Workshop};
use crate::{Site, changelog};
use kintsugi_domain::change::Change;
use kintsugi_domain::id::FixId;
use kintsugi_domain::job::{BuildOrder, BuildReport, Built, Failure, Gate, Job, PatchToApply};
use kintsugi_domain::ports::PortError;
use std::collections::BTreeMap;

const CHANGELOG: &str = "CHANGELOG.md";
const AUTHOR: &str = "Kintsugi";
const AUTHOR_MAIL: &str = "kintsugi@localhost";

/// A report and what to store for it.
pub(crate) struct Made {
    pub(crate) report: BuildReport,
    pub(crate) blobs: Vec<Blob>,
}

/// A fix that fits: the product with it.
struct Step<'a> {
    patch: &'a PatchToApply,
    commit: CommitInfo,
    tree: Tree,
}

/// A version that passed everything: what is committed, and what is packaged.
struct Trees {
    release: Tree,
    product: Tree,
}

/// What a product's own failure looks like inside the engine.
pub(crate) type OrFailure<T> = Result<Result<T, Failure>, PortError>;

/// Does a build.
pub(crate) fn run(
    site: &Site,
    job: &Job,
    order: &BuildOrder,
    depot: &Depot,
) -> Result<Made, PortError> {
    platform::check(job, site.code_signing.as_ref())?;
    let git = Git::clone(&job.repository, site)?;
    if git.commit(&order.commit)?.is_none() {
        let what = format!("the commit {:?}", order.commit);
        return Err(PortError::broken(what, "it is not in the repository"));
    }
    let base = git.tree(&order.commit)?;
    let workshop = Workshop::open(site, order.at.as_second());
    let mut build = Build {
        git: &git,
        site,
        workshop: &workshop,
        depot,
        before: Before::of(&job.config.gates, order, depot)?,
        job,
        order,
        base: &base,
        set_aside: BTreeMap::new(),
        gates: Vec::new(),
        changes: Vec::new(),
    };
    if let Some(since) = &order.since {
        let messages = git.messages(since, &order.commit)?;
        build.changes = messages.iter().filter_map(|it| Change::read(it)).collect();
    }
    let (mut applied, mut changes, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
    let built = match build.proven()? {
        Err(failure) => Err(failure),
        Ok((steps, trees)) => {
            applied = self::applied(&steps);
            changes = build.changes_with(&steps);
            build.finish(&steps, &trees)?.map(|(built, stored)| {
                blobs = stored;
                built
            })
        }
    };
    let report = BuildReport {
        applied,
        set_aside: build.set_aside,
        gates: build.gates,
        changes,
        built,
    };
    Ok(Made { report, blobs })
}

struct Build<'a> {
    git: &'a Git,
    site: &'a Site,
    depot: &'a Depot,
    /// What permissions are compared with, where they are.
    before: Option<Before>,
    workshop: &'a Workshop<'a>,
    job: &'a Job,
    order: &'a BuildOrder,
    base: &'a Tree,
    set_aside: BTreeMap<FixId, String>,
    gates: Vec<Gate>,
    /// What commits since the release before say.
    changes: Vec<Change>,
}

impl<'a> Build<'a> {
    /// Applies the fixes and tests the result. Only when that fails are they tried one by one.
    fn assemble(&mut self) -> OrFailure<Vec<Step<'a>>> {
        let mut steps: Vec<Step<'a>> = Vec::new();
        for patch in &self.order.fixes {
            if self.set_aside.contains_key(&patch.fix) {
                continue;
            }
            let step = self.apply(tip(&steps, self.base), patch)?;
            steps.extend(step);
        }
        let nothing_left = !self.order.fixes.is_empty() && steps.is_empty();
        if nothing_left {
            return Ok(Err(self.nothing_left()));
        }
        let gate = match self.test(&steps)? {
            Ok(gate) => gate,
            Err(failure) => return Ok(Err(failure)),
        };
        if gate.passed {
            self.gates.push(gate);
            return Ok(Ok(steps));
        }
        if steps.is_empty() {
            return Ok(Err(self.test_failure(gate)));
        }
        let without = match self.test(&[])? {
            Ok(gate) => gate,
            Err(failure) => return Ok(Err(failure)),
        };
        if !without.passed {
            return Ok(Err(self.test_failure(without)));
        }
        self.one_by_one(steps, gate)
    }

    /// Sets aside each fix with which the suite fails. `failed` is the gate of all of them together.
    fn one_by_one(&mut self, all: Vec<Step<'a>>, failed: Gate) -> OrFailure<Vec<Step<'a>>> {
        let mut steps: Vec<Step<'a>> = Vec::new();
        let mut passed = None;
        let mut known = (all.len() == 1).then_some(failed);
        for patch in all.into_iter().map(|step| step.patch) {
            let Some(step) = self.apply(tip(&steps, self.base), patch)? else {
                continue;
            };
            steps.push(step);
            let gate = match known.take() {
                Some(gate) => gate,
                None => match self.test(&steps)? {
                    Ok(gate) => gate,
                    Err(failure) => return Ok(Err(failure)),
                },
            };
            if gate.passed {
                passed = Some(gate);
            } else {
                steps.pop();
                let why = format!("TEST_FAILURE: {}", gate.detail);
                self.set_aside.insert(patch.fix.clone(), why);
            }
        }
        self.gates.extend(passed);
        if steps.is_empty() {
            return Ok(Err(self.nothing_left()));
        }
        Ok(Ok(steps))
    }

    fn apply(
        &mut self,
        tree: &Tree,
        patch: &'a PatchToApply,
    ) -> Result<Option<Step<'a>>, PortError> {
        match merge::apply(self.git, tree, &patch.commit)? {
            Applied::Clean(tree, commit) => Ok(Some(Step {
                patch,
                commit,
                tree,
            })),
            Applied::Conflict(why) => {
                self.set_aside.insert(patch.fix.clone(), why);
                Ok(None)
            }
        }
    }

    /// The suite on the product with some fixes, as it would be released.
    fn test(&self, steps: &[Step<'_>]) -> OrFailure<Gate> {
        let tree = match self.dressed(steps) {
            Ok(tree) => tree,
            Err(failure) => return Ok(Err(failure)),
        };
        let finished = self.workshop.run(&tree, &self.job.config.test)?;
        let mut gate = workshop::gate("suite", &finished);
        if gate.passed && ran_none(&finished) {
            gate.passed = false;
            "no test ran".clone_into(&mut gate.detail);
        }
        Ok(Ok(gate))
    }

    /// What commits since the release before say, and what fixes ask for.
    fn changes_with(&self, steps: &[Step<'_>]) -> Vec<Change> {
        let asked = steps
            .iter()
            .filter_map(|step| Change::of_fix(&step.commit.message));
        self.changes.iter().cloned().chain(asked).collect()
    }

    /// The product with some fixes, its version and its notes written into it.
    fn dressed(&self, steps: &[Step<'_>]) -> Result<Tree, Failure> {
        let version = self.order.version.to_string();
        let mut tree = tip(steps, self.base).clone();
        if let Some(path) = &self.job.config.package.version_file {
            let path = path.trim_start_matches("./");
            tree = tree
                .with_text(path, &format!("{version}\n"))
                .map_err(|why| build_failure(format!("package.version_file: {why}")))?;
        }
        if let Some(text) = tree.text(CHANGELOG) {
            let date = self.order.at.strftime("%Y-%m-%d").to_string();
            let notes = self
                .order
                .notes_with(&applied(steps), &self.changes_with(steps));
            let text = changelog::insert(text, &version, &date, &notes);
            tree = tree.with_text(CHANGELOG, &text).map_err(build_failure)?;
        }
        Ok(tree)
    }

    /// Everything after the gates: packages, deltas, commits.
    fn finish(
        &mut self,
        steps: &[Step<'_>],
        Trees { release, product }: &Trees,
    ) -> OrFailure<(Built, Vec<Blob>)> {
        let (config, project) = (&self.job.config, self.job.project);
        let packed = package::archive(product, config, self.order).and_then(|(archive, files)| {
            let zips = package::zips(project, config, self.order, &files)?;
            Ok((archive, files, zips))
        });
        let (archive, files, zips) = match packed {
            Ok(packed) => packed,
            Err(why) => return Ok(Err(build_failure(why))),
        };
        let app = &self.job.config.product.name;
        let Packages {
            full,
            content,
            deltas,
            gates,
            mut blobs,
        } = package::make(project, app, self.order, &archive, self.depot)?;
        self.gates.extend(gates);
        let (zips, of_zips): (Vec<_>, Vec<_>) = zips.into_iter().unzip();
        blobs.extend(of_zips);
        let input = platform::Input {
            workshop: self.workshop,
            product,
            files: &files,
            config,
            order: self.order,
        };
        let signing = self.site.code_signing.as_ref();
        let made = match platform::make(&input, project, signing, self.depot)? {
            Ok(made) => made,
            Err(failure) => return Ok(Err(failure)),
        };
        self.gates.extend(made.gates);
        blobs.extend(made.blobs);
        let commit = self.commit(steps, release)?;
        let branch = format!("kintsugi/release/{}", self.order.version);
        self.git.publish(&commit, &branch)?;
        let built = Built {
            commit,
            full,
            content,
            deltas,
            zips,
            platforms: made.packages,
            inputs: inputs::lock_files(release),
            builder: inputs::builder(),
        };
        Ok(Ok((built, blobs)))
    }

    /// The commits of the release: a fix that stands on the tip stays the commit it is, any other is
    /// made anew with its author and message, and the version comes last.
    fn commit(&self, steps: &[Step<'a>], release: &Tree) -> Result<String, PortError> {
        let committer = Person {
            name: AUTHOR.to_owned(),
            mail: AUTHOR_MAIL.to_owned(),
            date: format!("{} +0000", self.order.at.as_second()),
        };
        let mut head = self.order.commit.clone();
        let mut tree = self.base;
        for step in steps {
            let commit = &step.commit;
            if commit.parents.first() == Some(&head) {
                head.clone_from(&step.patch.commit);
            } else if step.tree != *tree {
                let (message, author) = (&commit.message, &commit.author);
                head = self
                    .git
                    .make(&head, tree, &step.tree, message, author, &committer)?;
            }
            tree = &step.tree;
        }
        let name = &self.job.config.product.name;
        let mut message = format!("release: {name} {}\n", self.order.version);
        let titles = steps.iter().map(|step| step.patch.title.lines().next());
        for (number, title) in titles.enumerate() {
            message.push_str(if number == 0 { "\n- " } else { "- " });
            message.push_str(title.unwrap_or_default());
            message.push('\n');
        }
        self.git
            .make(&head, tree, release, &message, &committer, &committer)
    }

    fn test_failure(&mut self, gate: Gate) -> Failure {
        let why = format!("without any fix the suite {}", gate.detail);
        self.gates.push(gate);
        Failure {
            code: "TEST_FAILURE".to_owned(),
            why,
        }
    }

    fn nothing_left(&self) -> Failure {
        let reasons: Vec<String> = self
            .set_aside
            .iter()
            .map(|(fix, why)| format!("{fix}: {}", why.lines().next().unwrap_or_default()))
            .collect();
        Failure {
            code: "NOTHING_LEFT".to_owned(),
            why: format!("every fix was set aside: {}", reasons.join("; ")),
        }
    }
}

/// The fixes of some steps.
fn applied(steps: &[Step<'_>]) -> Vec<FixId> {
    steps.iter().map(|step| step.patch.fix.clone()).collect()
}

fn tip<'t>(steps: &'t [Step<'_>], base: &'t Tree) -> &'t Tree {
    steps.last().map_or(base, |step| &step.tree)
}

fn build_failure(why: String) -> Failure {
    Failure {
        code: "BUILD_FAILURE".to_owned(),
        why,
    }
}
