//! An installer for Windows, made by NSIS from a script that is written here: for one user, into their own folder, without asking for more rights.
//!
//! `/S` installs silently, `/D=C:\path` elsewhere. It removes the version that it finds by that one's own uninstaller first, and tells Windows
//! how to remove what it installed; the uninstaller removes exactly the files of its version, and folders that are then empty. Names that NSIS
//! would read as something else are refused. **Nothing of the product is run, and no file is named by the product while the script is compiled**:
//! they are numbered. Where installers are signed, the uninstaller is made first, signed, and put into the installer in the place of its own.
//! Not here: the signatures ([`super::authenticode`]).

use super::{Input, Unmade, file, named, title};
use crate::tree::Tree;
use crate::workshop::{self, Tool};
use kintsugi_domain::config::WindowsRules;
use semver::Version;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const SCRIPT: &str = "installer.nsi";
const INSTALLER: &str = "installer.exe";
const ICON: &str = "icon.ico";
/// The uninstaller as NSIS makes it, and as it goes into the installer.
const MADE: &str = "made.exe";
const GIVEN: &str = "given.exe";
/// The folder of the package's files, by number.
const FILES: &str = "files";
/// Names that Windows keeps for devices.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// What signs a program.
pub(super) type Signing<'a> = &'a dyn Fn(Vec<u8>) -> Result<Vec<u8>, Unmade>;

/// What becomes of the uninstaller while the script is compiled.
enum Uninstaller {
    /// It is in the installer as NSIS makes it.
    Plain,
    /// It is what is wanted: the files of the package are left out.
    Wanted,
    /// This one is put in its place.
    Given(Vec<u8>),
}

/// Makes the installer, with its uninstaller signed where it is to be signed too.
pub(super) fn make(input: &Input<'_>, signing: Option<Signing<'_>>) -> Result<Vec<u8>, Unmade> {
    let Some(rules) = &input.config.package.windows else {
        return Err(Unmade::Product("it is not asked for".to_owned()));
    };
    let Some(sign) = signing else {
        return compile(input, rules, Uninstaller::Plain);
    };
    let uninstaller = sign(compile(input, rules, Uninstaller::Wanted)?)?;
    sign(compile(input, rules, Uninstaller::Given(uninstaller))?)
}

/// Compiles the script; answers with the installer, or the uninstaller where that is wanted.
fn compile(
    input: &Input<'_>,
    rules: &WindowsRules,
    uninstaller: Uninstaller,
) -> Result<Vec<u8>, Unmade> {
    let script = script(input, rules, &uninstaller).map_err(Unmade::Product)?;
    let mut tree = Tree::default();
    tree.insert(SCRIPT, file(script, false))?;
    if !rules.icon.is_empty() {
        let icon = named(input.product, &rules.icon)?.to_vec();
        tree.insert(ICON, file(icon, false))?;
    }
    let output = match uninstaller {
        Uninstaller::Wanted => MADE,
        Uninstaller::Plain | Uninstaller::Given(_) => INSTALLER,
    };
    if output == INSTALLER {
        for (number, content) in input.files.values().enumerate() {
            tree.insert(&numbered(number), file(content.content.clone(), false))?;
        }
    }
    if let Uninstaller::Given(signed) = uninstaller {
        tree.insert(GIVEN, file(signed, false))?;
    }
    let argv = [
        "makensis",
        "-NOCONFIG",
        "-V2",
        "-INPUTCHARSET",
        "UTF8",
        SCRIPT,
    ];
    let tool = Tool {
        argv: argv.map(str::to_owned).to_vec(),
        output,
        ..Tool::default()
    };
    let (finished, made) = input.workshop.tool(&tree, tool)?;
    made.filter(|_| finished.success()).ok_or_else(|| {
        // NSIS says on standard output what is wrong.
        let why = workshop::explain(&finished);
        Unmade::Product(format!("makensis {why}"))
    })
}

fn numbered(number: usize) -> String {
    format!("{FILES}/{number:06}")
}

/// The whole script. The error says what it cannot say.
fn script(
    input: &Input<'_>,
    rules: &WindowsRules,
    uninstaller: &Uninstaller,
) -> Result<String, String> {
    let (app, version) = (&input.config.product.name, &input.order.version);
    let title = title(input.config, &rules.name);
    let parts = rules.program.split('/');
    let parts = parts.filter(|part| !matches!(*part, "" | "."));
    let program = parts.collect::<Vec<_>>().join("/");
    if !input.files.contains_key(&program) {
        return Err(format!(
            "program: there is no file {program} in the package"
        ));
    }
    let program = windows_path(&program)?;
    let mut paths = Vec::new();
    for path in input.files.keys() {
        paths.push(windows_path(path)?);
    }
    let mut text = header(app, title, version, rules)?;
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    // The command has the uninstaller's path in place of %1.
    match uninstaller {
        Uninstaller::Plain => {}
        Uninstaller::Wanted => line(&format!("!uninstfinalize 'cp \"%1\" {MADE}' = 0")),
        Uninstaller::Given(_) => line(&format!("!uninstfinalize 'cp {GIVEN} \"%1\"' = 0")),
    }
    line("Section");
    line("IfFileExists \"$INSTDIR\\uninstall.exe\" 0 +2");
    line("ExecWait '\"$INSTDIR\\uninstall.exe\" /S _?=$INSTDIR'");
    let installed = match uninstaller {
        Uninstaller::Wanted => &[],
        Uninstaller::Plain | Uninstaller::Given(_) => paths.as_slice(),
    };
    for (number, path) in installed.iter().enumerate() {
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
        line(&format!("SetOutPath \"$INSTDIR\\{folder}\""));
        line(&format!("File \"/oname={name}\" \"{}\"", numbered(number)));
    }
    line("SetOutPath \"$INSTDIR\"");
    line("WriteUninstaller \"$INSTDIR\\uninstall.exe\"");
    line(&format!(
        "CreateShortcut \"$SMPROGRAMS\\{title}.lnk\" \"$INSTDIR\\{program}\""
    ));
    let key = format!("Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\{app}");
    line(&entry(&key, input, rules, &program));
    line("SectionEnd");
    line("Section Uninstall");
    for path in &paths {
        line(&format!("Delete \"$INSTDIR\\{path}\""));
    }
    // What is deeper sorts behind its folder.
    for folder in folders(&paths).iter().rev() {
        line(&format!("RMDir \"$INSTDIR\\{folder}\""));
    }
    line(&format!("Delete \"$SMPROGRAMS\\{title}.lnk\""));
    line(&format!("DeleteRegKey HKCU \"{key}\""));
    line("Delete \"$INSTDIR\\uninstall.exe\"");
    line("RMDir \"$INSTDIR\"");
    line("SectionEnd");
    Ok(text)
}

/// The folders of some files, each before what is in it.
fn folders(paths: &[String]) -> BTreeSet<&str> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut path = path.as_str();
        while let Some((folder, _)) = path.rsplit_once('\\') {
            folders.insert(folder);
            path = folder;
        }
    }
    folders
}

/// What Windows shows in its list of programs.
fn entry(key: &str, input: &Input<'_>, rules: &WindowsRules, program: &str) -> String {
    let bytes: usize = input.files.values().map(|file| file.content.len()).sum();
    let mut text = String::new();
    for (name, value) in [
        ("DisplayName", title(input.config, &rules.name)),
        ("DisplayVersion", &input.order.version.to_string()),
        ("Publisher", &rules.publisher),
        ("DisplayIcon", &format!("$INSTDIR\\{program}")),
        ("InstallLocation", "$INSTDIR"),
        ("UninstallString", "$\\\"$INSTDIR\\uninstall.exe$\\\""),
        (
            "QuietUninstallString",
            "$\\\"$INSTDIR\\uninstall.exe$\\\" /S",
        ),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "WriteRegStr HKCU \"{key}\" \"{name}\" \"{value}\"");
    }
    let kibibytes = bytes.div_ceil(1024);
    for (name, value) in [
        ("NoModify", 1),
        ("NoRepair", 1),
        ("EstimatedSize", kibibytes),
    ] {
        let _ = writeln!(text, "WriteRegDWORD HKCU \"{key}\" \"{name}\" {value}");
    }
    text
}

/// What comes before the files.
fn header(
    app: &str,
    title: &str,
    version: &Version,
    rules: &WindowsRules,
) -> Result<String, String> {
    let number = |part: u64| match u16::try_from(part) {
        Ok(part) => Ok(part),
        Err(_) => Err(format!(
            "version {version}: Windows has numbers up to 65535 only"
        )),
    };
    let (major, minor, patch) = (
        number(version.major)?,
        number(version.minor)?,
        number(version.patch)?,
    );
    let publisher = &rules.publisher;
    // Not solid: what did not change is packed alike in each version, and a delta finds it.
    let mut text = format!(
        "Target amd64-unicode\nUnicode true\nManifestDPIAware true\nManifestSupportedOS all\n\
         RequestExecutionLevel user\nSetCompressor lzma\nSetDateSave off\n\
         Name \"{title}\"\nOutFile \"{INSTALLER}\"\nBrandingText \"{publisher}\"\n\
         InstallDir \"$LOCALAPPDATA\\Programs\\{app}\"\n\
         VIProductVersion {major}.{minor}.{patch}.0\nVIFileVersion {major}.{minor}.{patch}.0\n"
    );
    for (key, value) in [
        ("ProductName", title),
        ("CompanyName", publisher),
        ("FileDescription", &format!("Installs {title}")),
        ("FileVersion", &version.to_string()),
        ("ProductVersion", &version.to_string()),
        ("LegalCopyright", publisher),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "VIAddVersionKey /LANG=1033 \"{key}\" \"{value}\"");
    }
    if !rules.icon.is_empty() {
        let _ = write!(text, "Icon \"{ICON}\"\nUninstallIcon \"{ICON}\"\n");
    }
    text.push_str(
        "Page directory\nPage instfiles\nUninstPage uninstConfirm\nUninstPage instfiles\n",
    );
    Ok(text)
}

/// A path of the package as Windows writes it; the error says why Windows or the script has no such path.
fn windows_path(path: &str) -> Result<String, String> {
    let unfit = |c: char| {
        matches!(
            c,
            '$' | '"' | '`' | '<' | '>' | '|' | '?' | '*' | '\\' | ':'
        )
    };
    for part in path.split('/') {
        let stem = part
            .split('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let digits = stem
            .strip_prefix("com")
            .or_else(|| stem.strip_prefix("lpt"));
        let is_port = digits.is_some_and(|digit| matches!(digit.as_bytes(), [b'0'..=b'9']));
        if part.contains(unfit)
            || part.ends_with(['.', ' '])
            || DEVICES.contains(&stem.as_str())
            || is_port
        {
            return Err(format!("{path:?} cannot be a path in a Windows installer"));
        }
    }
    if path.eq_ignore_ascii_case("uninstall.exe") {
        return Err(format!("{path:?} is the uninstaller's name"));
    }
    Ok(path.replace('/', "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_windows_or_the_script_reads_otherwise_is_refused() {
        for path in [
            "a/$INSTDIR",
            "a\"b",
            "nul",
            "x/CON.txt",
            "lpt1.py",
            "a./b",
            "a /b",
            "a?b",
            "a`b",
            "Uninstall.exe",
        ] {
            assert!(windows_path(path).is_err(), "{path}");
        }
        for (path, expected) in [
            ("a/b c.py", "a\\b c.py"),
            ("com/lpt/grüße.txt", "com\\lpt\\grüße.txt"),
        ] {
            assert_eq!(windows_path(path).unwrap(), expected);
        }
    }
}
