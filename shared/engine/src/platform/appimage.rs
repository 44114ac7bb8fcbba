//! An `AppImage` (the type-2 format of its specification): a runtime, and right behind it a squashfs image of a folder with a program
//! `AppRun`, a desktop entry and an icon.
//!
//! The runtime is a file of the product whose digest is in the configuration: this machine takes none from a network. Owners, modes, times and
//! order are fixed. Not here: signatures in the file (the release's provenance names it) and update information (the updater's package is
//! another).

use super::{Input, Unmade, file, named, title};
use crate::tree::Tree;
use crate::workshop::{self, Tool};
use kintsugi_domain::config::{AppImageRules, Arch};
use kintsugi_domain::digest::Digest;

/// The folder of the image, as the tool sees it.
const APP_DIR: &str = "AppDir";
/// The folder of the package's files in it.
const FILES: &str = "app";
/// What the tool makes.
const IMAGE: &str = "image.squashfs";
/// The mark of a type-2 runtime, in the bytes of the ELF header that nobody reads.
const MARK: (usize, &[u8]) = (8, b"AI\x02");

/// Makes the file.
pub(super) fn make(input: &Input<'_>) -> Result<Vec<u8>, Unmade> {
    let Some(rules) = &input.config.package.appimage else {
        return Err(Unmade::Product("it is not asked for".to_owned()));
    };
    let runtime = named(input.product, &rules.runtime)?;
    check_runtime(runtime, rules).map_err(Unmade::Product)?;
    let tree = app_dir(input, rules)?;
    let at = input.order.at.as_second().max(0);
    // What the owner may do is as it was written; the rest hangs on the machine's mask. The tool takes a time once only.
    let script = format!(
        "unset SOURCE_DATE_EPOCH; chmod -R u=rwX,go=rX {APP_DIR} && exec mksquashfs {APP_DIR} {IMAGE} -noappend -no-progress -quiet \
         -all-root -no-xattrs -comp gzip -b 131072 -processors 1 -mem 256M -mkfs-time {at} -all-time {at}"
    );
    let tool = Tool {
        argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        output: IMAGE,
        ..Tool::default()
    };
    let (finished, image) = input.workshop.tool(&tree, tool)?;
    let Some(image) = image.filter(|_| finished.success()) else {
        let why = format!("mksquashfs {}", workshop::explain(&finished));
        return Err(Unmade::Product(why));
    };
    let mut content = runtime.to_vec();
    content.extend(image);
    Ok(content)
}

/// The folder that becomes the image.
fn app_dir(input: &Input<'_>, rules: &AppImageRules) -> Result<Tree, Unmade> {
    let name = &input.config.product.name;
    let icon = named(input.product, &rules.icon)?.to_vec();
    let end = if rules.icon.to_ascii_lowercase().ends_with(".svg") {
        "svg"
    } else {
        "png"
    };
    let mut tree = Tree::default();
    let mut put = |path: String, node| tree.insert(&format!("{APP_DIR}/{path}"), node);
    put("AppRun".to_owned(), file(app_run(&rules.command), true))?;
    put(
        format!("{name}.desktop"),
        file(desktop_entry(input, rules), false),
    )?;
    put(format!("{name}.{end}"), file(icon.clone(), false))?;
    put(".DirIcon".to_owned(), file(icon, false))?;
    for (path, content) in input.files {
        let node = file(content.content.clone(), content.executable);
        put(format!("{FILES}/{path}"), node)?;
    }
    Ok(tree)
}

/// The program that the runtime starts. The folder of the user stays the current one.
fn app_run(command: &[String]) -> String {
    let words = command.iter().map(|word| {
        let quoted = word.replace('\'', r"'\''");
        format!("'{}'", quoted.replace("{app}", "'\"$app\"'"))
    });
    let words = words.collect::<Vec<_>>().join(" ");
    format!(
        "#!/bin/sh\n\
         here=$(dirname -- \"$(readlink -f -- \"$0\")\")\n\
         app=$here/{FILES}\n\
         export KINTSUGI_APP=\"$app\"\n\
         exec {words} \"$@\"\n"
    )
}

/// A desktop entry (Desktop Entry Specification 1.5). `Exec` is the name that tools which install an `AppImage` put their own path for.
fn desktop_entry(input: &Input<'_>, rules: &AppImageRules) -> String {
    let (name, version) = (&input.config.product.name, &input.order.version);
    let title = title(input.config, &rules.name);
    let mut categories = rules.categories.join(";");
    if !categories.is_empty() {
        categories = format!("Categories={categories};\n");
    }
    let terminal = rules.terminal;
    format!(
        "[Desktop Entry]\nType=Application\nName={title}\nExec={name}\nIcon={name}\n{categories}\
         Terminal={terminal}\nX-AppImage-Version={version}\n"
    )
}

/// Refuses what is not the runtime that the configuration names, or does not look for its image where we put it.
fn check_runtime(runtime: &[u8], rules: &AppImageRules) -> Result<(), String> {
    let path = &rules.runtime;
    let found = Digest::of(runtime);
    if found != rules.runtime_sha256 {
        let expected = rules.runtime_sha256;
        return Err(format!(
            "the runtime {path} has the digest {found}, not {expected}"
        ));
    }
    let (at, mark) = MARK;
    let is_type_2 = runtime.get(at..at + mark.len()) == Some(mark);
    let elf = Elf::read(runtime).filter(|_| is_type_2);
    let Some(elf) = elf else {
        return Err(format!(
            "{path} is not a type-2 runtime: a 64-bit ELF file with “AI”, 2 at byte 8"
        ));
    };
    if elf.machine != rules.arch.elf_machine() {
        let all = [Arch::X86_64, Arch::Aarch64];
        let of = all.iter().find(|arch| arch.elf_machine() == elf.machine);
        let of = of.map_or("another processor", |arch| arch.name());
        return Err(format!(
            "the runtime {path} is for {of}, not {}",
            rules.arch.name()
        ));
    }
    if elf.end != runtime.len() as u64 {
        let (end, length) = (elf.end, runtime.len());
        return Err(format!(
            "the runtime {path} has {length} bytes and looks for the image at byte {end}, the end of its sections"
        ));
    }
    Ok(())
}

/// What a runtime's header says (System V ABI, ELF-64, little-endian).
struct Elf {
    machine: u16,
    /// Where the section headers end: there the runtime looks for the image.
    end: u64,
}

impl Elf {
    fn read(bytes: &[u8]) -> Option<Self> {
        let half = |at: usize| {
            let two = bytes.get(at..at + 2)?.try_into().ok()?;
            Some(u16::from_le_bytes(two))
        };
        // The magic number, 64 bits, little-endian.
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let sections = u64::from_le_bytes(bytes.get(40..48)?.try_into().ok()?);
        let length = u64::from(half(58)?) * u64::from(half(60)?);
        Some(Self {
            machine: half(18)?,
            end: sections.checked_add(length)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a runtime whose sections end with it.
    fn runtime() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[8..11].copy_from_slice(b"AI\x02");
        bytes[18] = 62;
        bytes[40] = 64;
        bytes
    }

    fn rules(runtime: &[u8]) -> AppImageRules {
        AppImageRules {
            runtime: "runtime".to_owned(),
            runtime_sha256: Digest::of(runtime),
            command: vec![],
            icon: String::new(),
            name: String::new(),
            categories: vec![],
            terminal: false,
            arch: Arch::X86_64,
        }
    }

    #[test]
    fn a_runtime_that_would_not_find_its_image_is_refused_with_the_reason() {
        let good = runtime();
        check_runtime(&good, &rules(&good)).unwrap();
        let why = check_runtime(&good, &rules(b"another")).unwrap_err();
        assert!(
            why.starts_with("the runtime runtime has the digest "),
            "{why}"
        );
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            check_runtime(&bytes, &rules(&bytes)).unwrap_err()
        };
        assert!(changed(10, 1).contains("is not a type-2 runtime"));
        assert!(changed(4, 1).contains("is not a type-2 runtime"));
        assert!(changed(18, 183).ends_with("is for aarch64, not x86_64"));
        let why = "has 64 bytes and looks for the image at byte 65, the end of its sections";
        assert!(changed(40, 65).ends_with(why));
        assert!(changed(47, 255).ends_with("the end of its sections"));
        for length in 0..good.len() {
            let (cut, _) = good.split_at(length);
            assert!(check_runtime(cut, &rules(cut)).is_err(), "{length}");
        }
    }

    #[test]
    fn every_word_of_the_command_comes_to_the_program_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["printf", "%s\\n", "{app}/a b", "it's $HOME", "\"{app}\""];
        let script = app_run(&words.map(str::to_owned));
        let path = folder.path().join("AppRun");
        std::fs::write(&path, script).unwrap();
        let mut command = std::process::Command::new("sh");
        let done = command.arg(&path).args(["more;", "$x"]).output().unwrap();
        let app = folder.path().canonicalize().unwrap().join("app");
        let app = app.display();
        let expected = format!("{app}/a b\nit's $HOME\n\"{app}\"\nmore;\n$x\n");
        assert_eq!(String::from_utf8_lossy(&done.stdout), expected);
    }
}
