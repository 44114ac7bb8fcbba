//! Time stamps of installers, by an authority of our own on this machine: `openssl ts` behind a server.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::platforms::{
    PASSPHRASE, build_signed, certificates, must, only, order, run, signing, text, with_installer,
};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// The configuration of `openssl ts`.
const AUTHORITY: &str = "[tsa]\ndefault_tsa=one\n[one]\nserial=./serial\nsigner_cert=tsa.crt\ncerts=ca.crt\n\
                         signer_key=tsa.key\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha384\n";

/// An authority that answers every request; its certificate is by the `ca.crt` of the folder. Answers with its address.
fn authority(folder: &Path) -> String {
    let openssl = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        must(&run("openssl", &words, folder));
    };
    let stamps = "extendedKeyUsage=critical,timeStamping\n";
    fs::write(folder.join("stamps"), stamps).unwrap();
    fs::write(folder.join("tsa.cnf"), AUTHORITY).unwrap();
    fs::write(folder.join("serial"), "01\n").unwrap();
    openssl("req -newkey rsa:2048 -noenc -keyout tsa.key -out tsa.csr -subj /CN=Clock");
    openssl(
        "x509 -req -in tsa.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out tsa.crt -days 30 -extfile stamps",
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder: PathBuf = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &folder);
        }
    });
    format!("http://{address}/stamp")
}

fn answer(stream: TcpStream, folder: &Path) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut asked = vec![0; length];
    reader.read_exact(&mut asked).unwrap();
    fs::write(folder.join("asked"), asked).unwrap();
    let words = [
        "ts",
        "-reply",
        "-queryfile",
        "asked",
        "-config",
        "tsa.cnf",
        "-out",
        "stamp",
    ];
    must(&run("openssl", &words, folder));
    let stamp = fs::read(folder.join("stamp")).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        stamp.len()
    );
    let mut stream = reader.into_inner();
    stream
        .write_all(&[head.as_bytes(), &stamp].concat())
        .unwrap();
}

/// Whether the signature and its time stamp are taken, and what is said of them.
fn verify(file: &Path, folder: &Path) -> String {
    let (file, ca) = (file.display().to_string(), folder.join("ca.crt"));
    let ca = ca.display().to_string();
    let words = ["verify", "-CAfile", &ca, "-TSA-CAfile", &ca, "-in", &file];
    let done = run("osslsigncode", &words, folder);
    assert!(done.status.success(), "{}", text(&done));
    text(&done)
}

#[tokio::test]
async fn an_installer_and_its_uninstaller_have_the_time_stamp_of_the_authority() {
    let mut product = with_installer(true);
    let folder = certificates();
    let folder = folder.path();
    let url = authority(folder);
    let rules = product.config.package.windows.as_mut().unwrap();
    rules.timestamp_url = url;
    let signing = Some(signing(folder, PASSPHRASE));
    let report = build_signed(&product, order(&product, "1.0.1"), signing).await;
    let built = report.unwrap().built.unwrap();
    let installer = only(&product, &built, "till-1.0.1-setup.exe", folder).await;
    let name = installer.display().to_string();
    must(&run("7z", &["x", "-oinstalled", &name], folder));
    for program in [&installer, &folder.join("installed/uninstall.exe")] {
        let told = verify(program, folder);
        assert!(
            told.contains("Timestamp Server Signature verification: ok"),
            "{told}"
        );
        assert!(told.contains("CN=Clock"), "{told}");
    }
}

#[tokio::test]
async fn without_an_answer_of_the_authority_nothing_is_built_and_it_is_tried_again() {
    let mut product = with_installer(true);
    let folder = certificates();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    drop(silent);
    let rules = product.config.package.windows.as_mut().unwrap();
    rules.timestamp_url.clone_from(&url);
    let signing = Some(signing(folder.path(), PASSPHRASE));
    let refused = build_signed(&product, order(&product, "1.0.1"), signing).await;
    let error = refused.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let told = error.to_string();
    let expected = format!("package.windows.timestamp_url: TIME_STAMP_FAILED: {url}: osslsigncode");
    assert!(told.starts_with(&expected), "{told}");
    assert!(!told.contains(PASSPHRASE), "{told}");
}
