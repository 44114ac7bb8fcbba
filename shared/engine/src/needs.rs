//! Which programs of the machine a product's configuration asks for, so that a machine can be looked at before a
//! build is.
//!
//! Not here: git and Python, which every product needs, and whether the programs work.

use crate::platform;
use kintsugi_domain::config::Config;
use std::path::{Path, PathBuf};

/// Where programs are looked for: as in the box.
pub const PROGRAM_FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// The name that stands for the machine's Python in a configuration.
const PYTHON: &str = "python3";

/// A program that a key of the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The key, such as `package.windows`.
    pub key: String,
    /// The program.
    pub program: String,
    /// The Debian package that has it, where that is known.
    pub package: Option<&'static str>,
}

/// The programs that a build of this product runs, apart from its own files.
pub fn needs(config: &Config) -> Vec<Need> {
    let mut needs: Vec<Need> = platform::tools(config)
        .map(|(key, program, package)| Need {
            key: key.to_owned(),
            program: program.to_owned(),
            package: Some(package),
        })
        .collect();
    let mut command = |key: String, argv: &[String]| {
        let program = argv.first().map_or("", String::as_str);
        // With a slash it is a file of the product.
        if !program.is_empty() && program != PYTHON && !program.contains('/') {
            needs.push(Need {
                key,
                program: program.to_owned(),
                package: None,
            });
        }
    };
    command("test".to_owned(), &config.test.command);
    if let Some(build) = &config.build {
        command("build".to_owned(), &build.command);
    }
    for gate in config.gates.commands() {
        command(format!("gates.{}", gate.name), &gate.command.command);
    }
    needs
}

/// Where a program is that runs in the box.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let mut folders = PROGRAM_FOLDERS.iter();
    let python = || {
        let python = kintsugi_sandbox::python_toolchain().ok()?;
        Some(python.program.parent()?.join(name)).filter(|path| path.is_file())
    };
    folders
        .find_map(|folder| Some(Path::new(folder).join(name)).filter(|path| path.is_file()))
        .or_else(python)
}
