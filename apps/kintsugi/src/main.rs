//! The program `kintsugi`. Everything is in the library beside it, so that tests can run it in-process.

use std::process::ExitCode;

// A report's parts are made on one thread and let go of on another, where the C library's allocator has threads wait for each other
// (`docs/benches.md`). It is as safe as that one in the children that a sandbox forks: jemalloc holds its locks over a fork.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    kintsugi::run()
}
