//! The `triage` function: wires and runs, decides nothing.
//!
//! **Every function's `main` is this one but for the name.** What it is wired to stands in
//! `context.rs`, how its trigger becomes a command in `handler.rs`, what it does in `kintsugi-app`.

mod context;
mod handler;

fn main() -> std::process::ExitCode {
    kintsugi_runtime::start("triage", context::open, handler::serve)
}
