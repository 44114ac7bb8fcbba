//! Writes what a fuzzer of one target begins with: `cargo run -p kintsugi-fuzzing --example seeds -- TARGET FOLDER` makes
//! `FOLDER/seeds/` and `FOLDER/words`, a dictionary in the form of libFuzzer. Without a target it lists them.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = words.as_slice() else {
        let mut out = std::io::stdout().lock();
        for target in kintsugi_fuzzing::TARGETS {
            writeln!(out, "{}", target.name)?;
        }
        return Ok(());
    };
    let target = kintsugi_fuzzing::target(name).ok_or("there is no such target")?;
    let seeds = Path::new(folder).join("seeds");
    fs::create_dir_all(&seeds)?;
    for (place, seed) in (target.seeds)().into_iter().enumerate() {
        fs::write(seeds.join(place.to_string()), seed)?;
    }
    let mut dictionary = String::new();
    for word in target.words {
        let bytes = word.bytes().map(|byte| format!("\\x{byte:02x}"));
        writeln!(dictionary, "\"{}\"", bytes.collect::<String>())?;
    }
    fs::write(Path::new(folder).join("words"), dictionary)?;
    Ok(())
}
