//! Packages for platforms: an `AppImage` that is started, and an installer for Windows that is opened and whose signature is checked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use crate::product::{Product, at};
use kintsugi_delta::{Expected, apply};
use kintsugi_domain::config::{AppImageRules, Arch, WindowsRules};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{BuildOrder, BuildReport, Built, Job, Order, Report};
use kintsugi_domain::platform::{PlatformBase, PlatformKind};
use kintsugi_domain::ports::{Blobs as _, BuildEngine as _, PortError};
use kintsugi_engine::CodeSigning;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const PASSPHRASE: &str = "gold between the shards";
const ARCH: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Aarch64
} else {
    Arch::X86_64
};

pub(crate) fn order(product: &Product, version: &str) -> BuildOrder {
    BuildOrder {
        bundle: "b".parse().unwrap(),
        commit: product.head(),
        fixes: vec![],
        version: version.parse().unwrap(),
        at: at(),
        delta_bases: vec![],
        platform_bases: vec![],
        since: None,
        build: 0,
        notes: String::new(),
    }
}

/// Builds with the certificates of a folder, if there is one.
pub(crate) async fn build_signed(
    product: &Product,
    order: BuildOrder,
    signing: Option<CodeSigning>,
) -> Result<BuildReport, PortError> {
    let repository = product.repository().display().to_string();
    let (order, config) = (Order::Build(Box::new(order)), product.config.clone());
    let job = Job::order(ProjectId(1), repository, order, config, at());
    let engine = product.engine().with_code_signing(signing);
    match engine.run(&job).await? {
        Report::Build(report) => Ok(report),
        Report::Search(report) => panic!("{report:?}"),
    }
}

pub(crate) async fn build(product: &Product, order: BuildOrder) -> BuildReport {
    build_signed(product, order, None).await.unwrap()
}

/// The only package for a platform, checked against its name, as a file.
pub(crate) async fn only(product: &Product, built: &Built, name: &str, folder: &Path) -> PathBuf {
    let [package] = built.platforms.as_slice() else {
        panic!("{built:?}");
    };
    let blob = &package.artifact.blob;
    let content = product.blobs.get(blob, 1 << 30).await.unwrap().unwrap();
    assert_eq!(package.artifact.length, content.len() as u64);
    let digest = Digest::of(&content);
    assert_eq!(*blob, format!("tuf/1/targets/{digest}.{name}"));
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub(crate) fn run(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
    folder: &Path,
) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    [out, err].map(|it| String::from_utf8_lossy(it)).concat()
}

pub(crate) fn must(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

/// The sample with a runtime, an icon and the rules for an `AppImage`.
fn with_appimage() -> Product {
    let mut product = Product::sample();
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/runtime.c");
    let source = source.display().to_string();
    must(&run(
        "cc",
        &["-Os", "-s", "-o", "runtime", &source],
        folder.path(),
    ));
    let mut runtime = fs::read(folder.path().join("runtime")).unwrap();
    runtime[8..11].copy_from_slice(b"AI\x02");
    product.write("packaging/runtime", &runtime);
    product.write(
        "packaging/till.svg",
        "<svg xmlns='http://www.w3.org/2000/svg'/>\n",
    );
    product.commit("packaging");
    let command = ["env", "PYTHONPATH={app}", "python3", "-m", "till"];
    product.config.package.appimage = Some(AppImageRules {
        runtime: "packaging/runtime".to_owned(),
        runtime_sha256: Digest::of(&runtime),
        command: command.map(str::to_owned).to_vec(),
        icon: "packaging/till.svg".to_owned(),
        name: "Till & Söhne".to_owned(),
        categories: vec!["Office".to_owned()],
        terminal: true,
        arch: ARCH,
    });
    product
}

#[tokio::test]
async fn an_appimage_is_the_same_each_time_and_starts_the_product() {
    let product = with_appimage();
    let first = build(&product, order(&product, "1.0.1"))
        .await
        .built
        .unwrap();
    let again = build(&product, order(&product, "1.0.1"))
        .await
        .built
        .unwrap();
    assert_eq!(first, again);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let name = format!("till-1.0.1-{}.AppImage", ARCH.name());
    let appimage = only(&product, &first, &name, folder).await;
    assert_eq!(run(&appimage, &["health"], folder).status.code(), Some(0));
    assert_eq!(
        run(&appimage, &["no such word"], folder).status.code(),
        Some(2)
    );

    let offset = must(&run(&appimage, &["--appimage-offset"], folder));
    let unpack = ["-offset", offset.trim(), "-dest", "root", &name];
    must(&run("unsquashfs", &unpack, folder));
    let entry = fs::read_to_string(folder.join("root/till.desktop")).unwrap();
    let expected = "[Desktop Entry]\nType=Application\nName=Till & Söhne\nExec=till\nIcon=till\n\
                    Categories=Office;\nTerminal=true\nX-AppImage-Version=1.0.1\n";
    assert_eq!(entry, expected);
    for path in [
        "root/AppRun",
        "root/.DirIcon",
        "root/till.svg",
        "root/app/till/VERSION",
    ] {
        let meta = fs::metadata(folder.join(path)).unwrap();
        let modified = meta.modified().unwrap();
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_795_233_600, "{path}");
        let mode = if path.ends_with("AppRun") {
            0o755
        } else {
            0o644
        };
        assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
    }
    let list = must(&run(
        "unsquashfs",
        &["-offset", offset.trim(), "-llnumeric", &name],
        folder,
    ));
    assert!(
        list.lines()
            .filter(|it| it.contains("squashfs-root"))
            .all(|it| it.contains(" 0/0 ")),
        "{list}"
    );
}

#[tokio::test]
async fn a_delta_between_two_appimages_gives_exactly_the_new_one() {
    let product = with_appimage();
    let old = build(&product, order(&product, "1.0.0"))
        .await
        .built
        .unwrap();
    product.write("till/new.py", "print('new')\n");
    product.commit("new");
    let base = &old.platforms[0];
    let mut order = order(&product, "1.0.1");
    order.delta_bases = vec![("1.0.0".parse().unwrap(), old.full.blob.clone())];
    order.platform_bases = vec![PlatformBase {
        version: "1.0.0".parse().unwrap(),
        kind: base.kind,
        blob: base.artifact.blob.clone(),
    }];
    let report = build(&product, order).await;
    let built = report.built.unwrap();
    let package = &built.platforms[0];
    let [delta] = package.deltas.as_slice() else {
        panic!("{:?}", report.gates);
    };
    let end = format!(".till-1.0.0-1.0.1-{}.AppImage.delta", ARCH.name());
    assert!(delta.artifact.blob.ends_with(&end), "{delta:?}");
    assert!(delta.artifact.length * 5 <= package.artifact.length * 4);
    assert!(
        built
            .artifacts()
            .any(|artifact| *artifact == delta.artifact)
    );
    let read = async |key: &str| product.blobs.get(key, 1 << 30).await.unwrap().unwrap();
    let (old, bytes) = (
        read(&base.artifact.blob).await,
        read(&delta.artifact.blob).await,
    );
    let expected = Expected {
        base: delta.base,
        digest: package.artifact.digest,
        length: package.artifact.length,
    };
    let new = read(&package.artifact.blob).await;
    assert_eq!(apply(&old, &bytes, &expected).unwrap(), new);
}

#[tokio::test]
async fn a_runtime_that_was_changed_makes_no_appimage() {
    let product = with_appimage();
    let mut runtime = fs::read(product.repository().join("packaging/runtime")).unwrap();
    *runtime.last_mut().unwrap() ^= 1;
    product.write("packaging/runtime", runtime);
    product.commit("another runtime");
    let report = build(&product, order(&product, "1.0.1")).await;
    let failure = report.built.unwrap_err();
    assert_eq!(failure.code, "BUILD_FAILURE");
    let why = "package.appimage: the runtime packaging/runtime has the digest ";
    assert!(failure.why.starts_with(why), "{}", failure.why);
}

pub(crate) fn with_installer(sign: bool) -> Product {
    let mut product = Product::sample();
    product.config.package.windows = Some(WindowsRules {
        program: "till/__main__.py".to_owned(),
        publisher: "Till & Söhne".to_owned(),
        name: "Till of Gold".to_owned(),
        icon: String::new(),
        sign,
        timestamp_url: String::new(),
    });
    product
}

/// A folder with a certificate for project 1 by an authority of our own, `ca.crt`, and its sealed key.
pub(crate) fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        must(&run("openssl", &words, folder.path()));
    };
    fs::write(folder.path().join("use"), "extendedKeyUsage=codeSigning\n").unwrap();
    fs::write(folder.path().join("pass"), PASSPHRASE).unwrap();
    openssl(
        "req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.crt -subj /CN=Authority -days 30",
    );
    openssl("req -newkey rsa:2048 -keyout 1.key -passout file:pass -out 1.csr -subj /CN=Till");
    openssl(
        "x509 -req -in 1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out 1.crt -days 30 -extfile use",
    );
    let sealed = fs::read_to_string(folder.path().join("1.key")).unwrap();
    assert!(sealed.contains("ENCRYPTED"));
    let key = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path().join("1.key"), key).unwrap();
    folder
}

pub(crate) fn signing(folder: &Path, passphrase: &str) -> CodeSigning {
    CodeSigning::new(folder.to_owned(), Some(passphrase.to_owned()))
}

/// Whether `osslsigncode` takes the signature, and what it says.
fn verify(file: &Path, folder: &Path) -> (bool, String) {
    let (file, ca) = (
        file.display().to_string(),
        folder.join("ca.crt").display().to_string(),
    );
    let arguments = ["verify", "-CAfile", &ca, "-in", &file];
    let done = run("osslsigncode", &arguments, folder);
    (done.status.success(), text(&done))
}

#[tokio::test]
async fn an_installer_is_the_same_each_time_and_holds_the_files_of_the_package() {
    let product = with_installer(false);
    let first = build(&product, order(&product, "1.0.1"))
        .await
        .built
        .unwrap();
    let again = build(&product, order(&product, "1.0.1"))
        .await
        .built
        .unwrap();
    assert_eq!(first, again);
    assert_eq!(first.platforms[0].kind, PlatformKind::WindowsInstaller);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let name = "till-1.0.1-setup.exe";
    let installer = only(&product, &first, name, folder).await;
    let content = fs::read(&installer).unwrap();
    assert!(content.starts_with(b"MZ"));
    for word in [
        "ProductName",
        "Till of Gold",
        "CompanyName",
        "Till & Söhne",
        "ProductVersion",
        "1.0.1",
    ] {
        let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(
            content.windows(wide.len()).any(|window| window == wide),
            "{word}"
        );
    }
    must(&run("7z", &["x", "-oinstalled", name], folder));
    let version = fs::read(folder.join("installed/till/VERSION")).unwrap();
    assert_eq!(version, b"1.0.1\n");
    let program = fs::read(folder.join("installed/till/__main__.py")).unwrap();
    assert_eq!(
        program,
        fs::read(product.repository().join("till/__main__.py")).unwrap()
    );
    assert!(folder.join("installed/kintsugi-package.json").is_file());
    assert!(folder.join("installed/uninstall.exe").is_file());
}

#[tokio::test]
async fn a_signed_installer_is_verified_and_refused_with_one_byte_changed() {
    let product = with_installer(true);
    let folder = certificates();
    let folder = folder.path();
    let mut built = Vec::new();
    for _ in 0..2 {
        let signing = Some(signing(folder, PASSPHRASE));
        let report = build_signed(&product, order(&product, "1.0.1"), signing)
            .await
            .unwrap();
        let told = serde_json::to_string(&report).unwrap();
        assert!(!told.contains(PASSPHRASE), "{told}");
        built.push(report.built.unwrap());
    }
    assert_eq!(built[0], built[1]);
    let installer = only(&product, &built[0], "till-1.0.1-setup.exe", folder).await;
    let (is_good, told) = verify(&installer, folder);
    assert!(is_good, "{told}");
    assert!(told.contains("Till"), "{told}");
    let name = installer.display().to_string();
    must(&run("7z", &["x", "-oinstalled", &name], folder));
    assert!(folder.join("installed/till/VERSION").is_file());
    let (is_good, told) = verify(&folder.join("installed/uninstall.exe"), folder);
    assert!(is_good, "the uninstaller is signed too: {told}");
    let mut content = fs::read(&installer).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&installer, content).unwrap();
    let (is_good, told) = verify(&installer, folder);
    assert!(!is_good, "{told}");
}

#[tokio::test]
async fn without_a_certificate_its_key_or_its_passphrase_nothing_is_built_and_why_is_told() {
    let product = with_installer(true);
    let folder = certificates();
    let folder = folder.path();
    let refused = async |signing| {
        let error = build_signed(&product, order(&product, "1.0.1"), signing).await;
        let error = error.unwrap_err();
        assert!(!error.is_transient());
        error.to_string()
    };
    let none = refused(None).await;
    let expected = "package.windows.sign: CODE_SIGNING_MISSING: KINTSUGI_CODE_SIGNING names no folder; \
                    give the certificate, or set package.windows.sign to false";
    assert_eq!(none, expected);
    let wrong = refused(Some(signing(folder, "steel"))).await;
    assert!(
        wrong.starts_with("package.windows.sign: CODE_SIGNING_FAILED: osslsigncode ended"),
        "{wrong}"
    );
    assert!(!wrong.contains("steel"), "{wrong}");
    let key = folder.join("1.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = refused(Some(signing(folder, PASSPHRASE))).await;
    assert!(open.contains("1.key can be read by others"), "{open}");
    fs::remove_file(&key).unwrap();
    assert!(
        refused(Some(signing(folder, PASSPHRASE)))
            .await
            .contains("CODE_SIGNING_MISSING")
    );
}
