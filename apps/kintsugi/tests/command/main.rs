//! The program `kintsugi` as people and programs use it, with the conditions of the real world: occupied
//! ports, full disks, missing tools, and signals at bad moments.

mod access;
mod audit;
mod browser;
mod crashes;
mod delta;
mod doctor;
mod files;
mod machine;
mod parked;
mod release;
mod reporter;
mod runner;
mod running;
mod sample;
mod scrub;
mod sdks;
mod signing;
mod stats;
mod support;
mod trains;
mod tuf;
mod verify;
mod verify_delegated;
