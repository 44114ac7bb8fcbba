//! The updater against a real signed repository, served on loopback by a small home.

mod crashes;
mod home;
mod installs;
mod offers;
mod refusals;
