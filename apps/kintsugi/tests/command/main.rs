//! The program `kintsugi` as people and programs use it, with the conditions of the real world: occupied
//! ports, full disks, missing tools, and signals at bad moments.

mod delta;
mod files;
mod machine;
mod running;
mod sample;
mod support;
