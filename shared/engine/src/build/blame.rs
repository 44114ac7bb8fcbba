//! Which fix a version fails by, where its build command or a gate fails: the suite alone is tried with each fix anyway.
//!
//! Fixes stand in the order of their scores, and some number of the first of them passes while one more does not: that one is guilty, whatever
//! else may be. It is found by halving. **A fix is blamed only if the same product passes without it and fails with it; if it fails without any fix,
//! none is blamed.** Each search costs at most as many builds as the number of fixes has binary digits, the first one build more, and no bundle costs more than
//! [`PROBES_MAX`].

use super::{Build, OrFailure, Step, Trees, build_failure, tip};
use crate::gates;
use crate::workshop;
use kintsugi_domain::job::{Failure, Gate, PatchToApply};
use kintsugi_domain::ports::PortError;

/// Most builds that are made only to find out which fixes are guilty.
const PROBES_MAX: usize = 40;

impl<'a> Build<'a> {
    /// Fixes with which the product passes everything, and what it is then.
    pub(super) fn proven(&mut self) -> OrFailure<(Vec<Step<'a>>, Trees)> {
        let mut probes = 0;
        loop {
            let steps = match self.assemble()? {
                Ok(steps) => steps,
                Err(failure) => return Ok(Err(failure)),
            };
            let (gates, passed) = self.attempt(&steps)?;
            let failure = match passed {
                Ok(trees) => {
                    self.gates.extend(gates);
                    return Ok(Ok((steps, trees)));
                }
                Err(failure) => failure,
            };
            let patches: Vec<_> = steps.iter().map(|step| step.patch).collect();
            drop(steps);
            let guilty = if patches.is_empty() {
                None
            } else {
                self.guilty(&patches, &mut probes, failure.clone())?
            };
            match guilty {
                Some(Guilty::Fix(patch, why)) => {
                    self.set_aside.insert(patch.fix.clone(), why);
                    // What is told in the end is what the rest passes.
                    self.gates.clear();
                }
                Some(Guilty::Product(gates, failure)) => {
                    self.gates.extend(gates);
                    return Ok(Err(failure));
                }
                None => {
                    self.gates.extend(gates);
                    return Ok(Err(failure));
                }
            }
        }
    }

    /// Builds and checks the product with some fixes.
    fn attempt(
        &self,
        steps: &[Step<'_>],
    ) -> Result<(Vec<Gate>, Result<Trees, Failure>), PortError> {
        let mut all = Vec::new();
        let release = match self.dressed(steps) {
            Ok(tree) => tree,
            Err(failure) => return Ok((all, Err(failure))),
        };
        let product = match &self.job.config.build {
            None => release.clone(),
            // What the command leaves is what is packaged.
            Some(command) => {
                let (finished, left) = self.workshop.run_and_read(&release, command)?;
                let gate = workshop::gate("build", &finished);
                let (passed, detail) = (gate.passed, gate.detail.clone());
                all.push(gate);
                match left {
                    _ if !passed => return Ok((all, Err(build_failure(detail)))),
                    Err(why) => {
                        let why = build_failure(format!("what the build left: {why}"));
                        return Ok((all, Err(why)));
                    }
                    Ok(tree) => tree,
                }
            }
        };
        let rules = &self.job.config.gates;
        let (gates, failure) = gates::run(
            self.workshop,
            &product,
            rules,
            self.order,
            self.before.as_ref(),
        )?;
        all.extend(gates);
        let passed = match failure {
            Some(failure) => Err(failure),
            None => Ok(Trees { release, product }),
        };
        Ok((all, passed))
    }

    /// The first fix that makes a product fail that passes with those before it. `failure` is that of all of them; nothing where too many builds
    /// were made already.
    fn guilty(
        &mut self,
        patches: &[&'a PatchToApply],
        probes: &mut usize,
        failure: Failure,
    ) -> Result<Option<Guilty<'a>>, PortError> {
        // What it is without any does not change from one search to the next.
        if *probes == 0 {
            *probes += 1;
            let (gates, passed) = self.attempt(&[])?;
            if let Err(failure) = passed {
                let why = format!("without any fix the product fails: {}", failure.why);
                return Ok(Some(Guilty::Product(gates, Failure { why, ..failure })));
            }
        }
        // So many of the first pass, so many do not.
        let (mut good, mut bad) = (0, patches.len());
        let mut failure = failure;
        while bad - good > 1 {
            if *probes >= PROBES_MAX {
                return Ok(None);
            }
            let middle = good + (bad - good) / 2;
            let steps = self.first(patches.get(..middle).unwrap_or_default())?;
            *probes += 1;
            match self.attempt(&steps)?.1 {
                Ok(_) => good = middle,
                Err(why) => (bad, failure) = (middle, why),
            }
        }
        let guilty = patches.get(good).map(|patch| {
            let why = format!("{}: {}", failure.code, failure.why);
            Guilty::Fix(patch, why)
        });
        Ok(guilty)
    }

    /// The first fixes again. What fitted with those before it once fits again.
    fn first(&mut self, patches: &[&'a PatchToApply]) -> Result<Vec<Step<'a>>, PortError> {
        let mut steps: Vec<Step<'a>> = Vec::new();
        for patch in patches {
            steps.extend(self.apply(tip(&steps, self.base), patch)?);
        }
        Ok(steps)
    }
}

/// Whose fault a failure is.
enum Guilty<'a> {
    /// A fix, with what it fails.
    Fix(&'a PatchToApply, String),
    /// It fails without any.
    Product(Vec<Gate>, Failure),
}
