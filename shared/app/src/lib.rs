//! One module per stage: load, decide, save, hand on.
//!
//! Read it in the order of the loop: [`ingest`] → [`triage`] → [`diagnose`] → [`fix`] → [`schedule`] →
//! [`bundle`] → [`sign`] → [`rollout`] → [`rollback`], with [`manifest`] and [`outcomes`] facing the
//! devices, [`flags`] facing products, [`notify`] and [`admin`] facing people, and [`work`] in front of
//! the build engine, in this process or, by [`runner`], on another machine.
//!
//! [`stage`] says what a stage is, [`records`] how it reads; [`worker`]
//! takes messages from the queues, [`outbox`] puts them there, and [`deliveries`] says how each delivery ends.
//!
//! **Invariant: a stage changes the world by one commit, after everything else it does is stored.** What
//! it does before (signing, storing a blob, proposing a commit) is the same when it is done again.

pub mod admin;
pub mod bundle;
pub mod deliveries;
pub mod diagnose;
pub mod events;
pub mod fix;
pub mod flags;
pub mod ingest;
pub mod manifest;
pub mod news;
pub mod notify;
pub mod outbox;
pub mod outcomes;
pub mod records;
pub mod repository;
pub mod rollback;
pub mod rollout;
pub mod runner;
pub mod schedule;
pub mod sign;
pub mod stage;
pub mod triage;
pub mod work;
pub mod worker;

#[cfg(test)]
mod testing;
mod tickets;
