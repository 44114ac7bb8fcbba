//! Removes personal data and secrets from reports, with a remark for each removal.
