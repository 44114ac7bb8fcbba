//! Puts the sample product into the binary, so that `kintsugi demo` runs wherever the binary is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[expect(
    clippy::disallowed_methods,
    reason = "a build script has no other way to be told its folders"
)]
fn main() -> io::Result<()> {
    let sample = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../samples/till");
    let mut files = Vec::new();
    list(&sample, &mut files)?;
    files.sort();
    let mut code = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for file in &files {
        let name = file.strip_prefix(&sample).unwrap_or(file).to_string_lossy();
        let path = fs::canonicalize(file)?;
        let path = path.to_string_lossy();
        // Writing to a string does not fail.
        let _ = writeln!(code, "    ({name:?}, include_bytes!({path:?})),");
    }
    code.push_str("];\n");
    println!("cargo::rerun-if-changed={}", sample.display());
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    fs::write(out.join("sample.rs"), code)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name == "__pycache__" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
