//! Tests of the whole, in one binary: what no single crate can show.

mod architecture;
mod functions;
mod simulation;
