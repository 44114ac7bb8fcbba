//! The updater against a real signed repository, served on loopback by a small home; the reporter against another one.

mod crashes;
mod delegations;
mod home;
mod installs;
mod offers;
mod quotas;
mod refusals;
mod reports;
mod sessions;
mod spool;
