//! Installers for Windows are run, by Wine: the file system, the registry and the uninstaller are what Windows' programs see there.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::platforms::{build, must, only, order, with_installer};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's package `wine64` puts no program on the path.
const WINE: &str = "/usr/lib/wine/wine64";
const SERVER: &str = "/usr/lib/wine/wineserver64";
/// What Windows lists the product under, as Wine writes it.
const KEY: &str = r"Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\till]";

/// A Windows of our own. It ends with this value.
struct Windows {
    folder: tempfile::TempDir,
}

impl Windows {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", self.folder.path().join("prefix"))
            .env("WINEDEBUG", "-all")
            // Without the runtimes of .NET and of web pages, which it would ask for.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env_remove("DISPLAY");
        command
    }

    /// Runs a program there without a window, and waits for every process that it leaves.
    fn run(&self, program: &Path) {
        must(&self.command(WINE).arg(program).arg("/S").output().unwrap());
        must(&self.command(SERVER).arg("-w").output().unwrap());
    }

    /// The registry of the user, as Wine keeps it in a file.
    fn registry(&self) -> String {
        fs::read_to_string(self.folder.path().join("prefix/user.reg")).unwrap()
    }

    /// Where programs of the user are installed.
    fn programs(&self) -> PathBuf {
        let users = self.folder.path().join("prefix/drive_c/users");
        let mut users = fs::read_dir(users)
            .unwrap()
            .map(|user| user.unwrap().path());
        let user = users.find(|user| !user.ends_with("Public")).unwrap();
        user.join("AppData/Local/Programs")
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        // It has ended already, but where a test failed.
        let _ = self.command(SERVER).arg("-k").output();
    }
}

fn version(programs: &Path) -> String {
    fs::read_to_string(programs.join("till/till/VERSION")).unwrap()
}

#[tokio::test]
async fn an_installer_installs_updates_and_its_uninstaller_leaves_only_what_is_the_users() {
    let product = with_installer(false);
    product.write("till/gone.py", "print('gone')\n");
    product.commit("a file of the first version");
    let windows = Windows::new();
    let folder = tempfile::tempdir().unwrap();
    let installer = async |number: &str| {
        let built = build(&product, order(&product, number)).await;
        let name = format!("till-{number}-setup.exe");
        only(&product, &built.built.unwrap(), &name, folder.path()).await
    };
    let first = installer("1.0.1").await;
    fs::remove_file(product.repository().join("till/gone.py")).unwrap();
    product.commit("without it");
    let second = installer("1.0.2").await;
    let install = |installer: &Path| {
        windows.run(installer);
        windows.programs()
    };

    let programs = install(&first);
    assert_eq!(version(&programs), "1.0.1\n");
    assert!(programs.join("till/till/gone.py").is_file());
    let registry = windows.registry();
    let (_, listed) = registry.split_once(KEY).unwrap();
    for line in [
        r#""DisplayName"="Till of Gold""#,
        r#""DisplayVersion"="1.0.1""#,
        r#""Publisher"="Till & S\xf6hne""#,
    ] {
        assert!(listed.contains(line), "{line}: {listed}");
    }

    fs::write(programs.join("till/notes.txt"), "mine").unwrap();
    install(&second);
    assert_eq!(version(&programs), "1.0.2\n");
    assert!(!programs.join("till/till/gone.py").exists());

    windows.run(&programs.join("till/uninstall.exe"));
    let left = fs::read_dir(programs.join("till")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    assert!(!windows.registry().contains(KEY));
}
