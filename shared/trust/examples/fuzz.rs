//! Damages TUF metadata at random and reads it: `cargo run --release -p kintsugi-trust --example fuzz --
//! EXECUTIONS [SEED]`.

use std::error::Error;
use std::io::Write as _;

#[path = "../tests/fuzz/target.rs"]
mod target;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let executions: u64 = words.first().map_or(Ok(100_000), |it| it.parse())?;
    let start: u64 = words.get(1).map_or(Ok(1), |it| it.parse())?;
    let outcomes = target::run(executions, start)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{executions} executions from seed {start}")?;
    for (name, count) in outcomes {
        writeln!(out, "{count:>10}  {name}")?;
    }
    Ok(())
}
