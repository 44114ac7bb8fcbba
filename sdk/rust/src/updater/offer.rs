//! Whether an offer may be taken: everything that is checked between a manifest and a download.
//!
//! **Invariant: an [`Offer`] exists only for a version that the signed channel document decides for
//! this device, with a statement signed by the targets role, of files that the signed targets list.**

use super::error::UpdateError;
use super::metadata::Repository;
use super::settings::Settings;
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::{
    CHANNEL_FORMAT, ChannelDocument, ChannelRelease, Decision, Grant, Package, Request, Target,
    decide,
};
use kintsugi_domain::id::RolloutId;
use kintsugi_domain::manifest::{MANIFEST_FORMAT, Manifest};
use kintsugi_trust::statement::{
    ReleaseExpectation, ReleaseStatement, RollbackExpectation, RollbackGrant,
};
use semver::Version;

/// A version that was found good to install.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What is offered, equal to what the signed document says.
    pub(super) manifest: Manifest,
    /// The ticket of the offer.
    pub(super) ticket: Option<String>,
    /// The comparison the install is part of.
    pub(super) rollout: Option<RolloutId>,
    /// Where the full package is.
    pub(super) full_url: String,
    /// Where the delta is.
    pub(super) delta_url: Option<String>,
}

impl Offer {
    /// The version to install.
    pub fn version(&self) -> &Version {
        &self.manifest.version
    }

    /// What was verified.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// What an offer is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) repository: &'a Repository,
    pub(super) document: &'a ChannelDocument,
    pub(super) installed: &'a Version,
    pub(super) now: Timestamp,
}

/// Refuses a document that is signed, but for another place.
pub(super) fn check_document(
    document: &ChannelDocument,
    settings: &Settings,
) -> Result<(), UpdateError> {
    let why = if document.format != CHANNEL_FORMAT {
        format!("format {} is not {CHANNEL_FORMAT}", document.format)
    } else if document.project != settings.project {
        format!("it is of project {}", document.project)
    } else if document.channel != settings.channel {
        format!("it is of channel {}", document.channel)
    } else {
        return Ok(());
    };
    Err(UpdateError::Document { why })
}

impl Facts<'_> {
    fn request(&self) -> Request {
        Request {
            device: self.settings.device.clone(),
            platform: self.settings.platform.clone(),
            arch: self.settings.arch.clone(),
            version: self.installed.clone(),
        }
    }

    /// What the signed document decides for this device.
    pub(super) fn decision(&self) -> Decision {
        decide(self.document, &self.request())
    }

    /// Judges a manifest. The order is the order in which a reason is most telling.
    pub(super) fn judge(
        &self,
        manifest: Manifest,
        ticket: Option<String>,
    ) -> Result<Offer, UpdateError> {
        if manifest.format != MANIFEST_FORMAT {
            return Err(UpdateError::Manifest {
                why: format!("format {} is not {MANIFEST_FORMAT}", manifest.format),
            });
        }
        let version = &manifest.version;
        if self.document.revoked.contains(version) {
            return Err(UpdateError::Revoked {
                version: version.clone(),
            });
        }
        if version < self.installed {
            self.check_grant(&manifest)?;
        }
        let (grant, rollout) = self.decided(version)?;
        let (release, package) = self.find(version)?;
        let expected = Manifest::of(release, package, self.installed, grant.as_ref());
        if let Some(field) = manifest.first_difference(&expected) {
            return Err(UpdateError::ManifestDiffers { field });
        }
        self.check_statement(release, package)?;
        self.check_size(package)?;
        let folder = self.targets_url(manifest.url.as_deref())?;
        let url = |target| {
            self.listed_name(target)
                .map(|name| format!("{folder}{name}"))
        };
        let full_url = url(&package.full)?;
        let delta = manifest.delta.as_ref();
        let delta_url = delta.map(|delta| url(&delta.target)).transpose()?;
        Ok(Offer {
            ticket: ticket.or_else(|| manifest.ticket.clone()),
            rollout,
            full_url,
            delta_url,
            manifest,
        })
    }

    /// The document must decide for the same version.
    fn decided(
        &self,
        offered: &Version,
    ) -> Result<(Option<Grant>, Option<RolloutId>), UpdateError> {
        let decided = match self.decision() {
            Decision::Update {
                version,
                grant,
                enrolment,
            } if version == *offered => {
                return Ok((grant, enrolment.map(|(rollout, _)| rollout)));
            }
            Decision::Update { version, .. } => {
                let is_stop = |release: &ChannelRelease| release.required_stop;
                if version < *offered && self.document.release(&version).is_some_and(is_stop) {
                    return Err(UpdateError::RequiredStopSkipped {
                        offered: offered.clone(),
                        stop: version,
                    });
                }
                format!("take {version}")
            }
            Decision::Stay { why, .. } => why.to_owned(),
        };
        Err(UpdateError::OfferNotInDocument {
            offered: offered.clone(),
            decided,
        })
    }

    fn find(&self, version: &Version) -> Result<(&ChannelRelease, &Package), UpdateError> {
        self.document
            .release(version)
            .and_then(|release| {
                let package = release.package(&self.settings.platform, &self.settings.arch)?;
                Some((release, package))
            })
            .ok_or_else(|| UpdateError::OfferNotInDocument {
                offered: version.clone(),
                decided: "there is no package for this device".to_owned(),
            })
    }

    /// Going down needs a permission for exactly this step.
    fn check_grant(&self, manifest: &Manifest) -> Result<(), UpdateError> {
        let Some(token) = &manifest.grant else {
            return Err(UpdateError::DowngradeWithoutGrant {
                from: self.installed.clone(),
                to: manifest.version.clone(),
            });
        };
        let expected = RollbackExpectation {
            project: self.settings.project,
            app: &self.document.app,
            channel: &self.settings.channel,
            from: self.installed,
            to: &manifest.version,
        };
        RollbackGrant::verify(token, |kid| self.repository.targets_key(kid))
            .and_then(|grant| grant.check(&expected, self.now))
            .map_err(|error| UpdateError::Grant {
                why: error.to_string(),
            })
    }

    fn check_statement(
        &self,
        release: &ChannelRelease,
        package: &Package,
    ) -> Result<(), UpdateError> {
        let expected = ReleaseExpectation {
            project: self.settings.project,
            app: &self.document.app,
            channel: &self.settings.channel,
            platform: &self.settings.platform,
            arch: &self.settings.arch,
            version: &release.version,
        };
        let statement =
            ReleaseStatement::verify(&package.statement, |kid| self.repository.targets_key(kid))
                .and_then(|statement| {
                    statement.check(&expected, self.now)?;
                    statement.check_package(package)?;
                    Ok(statement)
                })
                .map_err(|error| UpdateError::Statement {
                    why: error.to_string(),
                })?;
        if statement.required_stop == release.required_stop {
            Ok(())
        } else {
            Err(UpdateError::Statement {
                why: "it says otherwise whether this version is a required stop".to_owned(),
            })
        }
    }

    /// The name of a target in the repository, which must list it exactly as the document has it.
    fn listed_name(&self, target: &Target) -> Result<String, UpdateError> {
        self.repository
            .name_of(target)
            .ok_or_else(|| UpdateError::TargetNotListed {
                path: target.path.clone(),
            })
    }

    fn check_size(&self, package: &Package) -> Result<(), UpdateError> {
        let limit = self.settings.content_bytes_max;
        let largest = package.content.length.max(package.full.length);
        if largest <= limit {
            Ok(())
        } else {
            Err(UpdateError::TooLarge {
                what: package.full.path.clone(),
                limit,
            })
        }
    }

    /// Where targets are: where the manifest says, in the home's own terms, or beside the metadata.
    fn targets_url(&self, url: Option<&str>) -> Result<String, UpdateError> {
        let home = &self.settings.home;
        let prefix = match url {
            None => format!("{home}/tuf/{}/targets", self.settings.project),
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => url.into(),
            Some(url) if url.contains("://") => {
                return Err(UpdateError::Manifest {
                    why: "its url is neither http nor https".to_owned(),
                });
            }
            Some(path) => format!("{home}/{}", path.trim_start_matches('/')),
        };
        Ok(format!("{}/", prefix.trim_end_matches('/')))
    }
}
