//! The program `kintsugi`. Everything is in the library beside it, so that tests can run it in-process.

use std::process::ExitCode;

fn main() -> ExitCode {
    kintsugi::run()
}
