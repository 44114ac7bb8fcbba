//! Who we are to a host.
//!
//! The stored form is that of git's own `git-credential-store`: one line per host, `https://user:password@host`, with
//! user and password percent-encoded. For the large hosts the password is an access token. The first line of a host counts.
//!
//! **A password never stands in a `Debug`, an error or a log.**

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::ports::PortError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Longest text of credentials, bytes.
const TEXT_BYTES_MAX: usize = 65_536;

/// A user and a password or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user's name, as HTTP's basic scheme sends it (RFC 7617).
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

impl Credential {
    /// The value of the header `Authorization`.
    pub(crate) fn header(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", STANDARD.encode(pair))
    }
}

/// Knows the credential of each host.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The credential for a host, named as in an address: `git.example.org`, `127.0.0.1:8080`. Nothing means that the host
    /// is asked without one.
    async fn of(&self, host: &str) -> Result<Option<Credential>, PortError>;
}

/// Knows none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCredentials;

#[async_trait]
impl Credentials for NoCredentials {
    async fn of(&self, _host: &str) -> Result<Option<Credential>, PortError> {
        Ok(None)
    }
}

/// Those of one text in the form of `git-credential-store`.
#[derive(Debug, Clone, Default)]
pub struct StoredCredentials {
    by_host: BTreeMap<String, Credential>,
}

impl StoredCredentials {
    /// Reads the text. Empty lines and lines that begin with `#` are passed over; errors name a line by its number only.
    pub fn parse(text: &str) -> Result<Self, PortError> {
        if text.len() > TEXT_BYTES_MAX {
            let why = format!("more than {TEXT_BYTES_MAX} bytes");
            return Err(PortError::broken("git credentials", why));
        }
        let mut by_host = BTreeMap::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((host, credential)) = parse_line(line) else {
                let what = format!("git credentials, line {}", place + 1);
                let why = "expected https://user:password@host, user and password percent-encoded";
                return Err(PortError::broken(what, why));
            };
            by_host.entry(host).or_insert(credential);
        }
        Ok(Self { by_host })
    }

    /// The credential for a host.
    pub fn get(&self, host: &str) -> Option<&Credential> {
        self.by_host.get(&host.to_ascii_lowercase())
    }
}

#[async_trait]
impl Credentials for StoredCredentials {
    async fn of(&self, host: &str) -> Result<Option<Credential>, PortError> {
        Ok(self.get(host).cloned())
    }
}

/// Those of a file, which is read at each call: what is put there counts at once.
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
}

impl CredentialFile {
    /// The credentials of that file.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

#[async_trait]
impl Credentials for CredentialFile {
    async fn of(&self, host: &str) -> Result<Option<Credential>, PortError> {
        let path = self.path.clone();
        let text = crate::blocking("git credentials", move || {
            let what = format!("git credentials {}", path.display());
            std::fs::read_to_string(&path).map_err(|error| PortError::unavailable(what, error))
        });
        Ok(StoredCredentials::parse(&text.await?)?.get(host).cloned())
    }
}

fn parse_line(line: &str) -> Option<(String, Credential)> {
    let rest = line
        .strip_prefix("https://")
        .or_else(|| line.strip_prefix("http://"))?;
    // A path is allowed by git and not looked at: one credential per host.
    let authority = rest.split('/').next()?;
    let (pair, host) = authority.rsplit_once('@')?;
    let (user, password) = pair.split_once(':')?;
    let host = host.to_ascii_lowercase();
    let credential = Credential {
        user: decode(user)?,
        password: decode(password)?,
    };
    (!host.is_empty()).then_some((host, credential))
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_the_credential_of_its_first_line() {
        let text = "# ours\n\nhttps://ada:s%40cret%3a@git.example.org\nhttp://eve:x@127.0.0.1:8080/a\nhttps://bob:y@Git.Example.org\n";
        let stored = StoredCredentials::parse(text).unwrap();
        let ada = stored.get("GIT.example.org").unwrap();
        assert_eq!(
            (ada.user.as_str(), ada.password.as_str()),
            ("ada", "s@cret:")
        );
        assert_eq!(stored.get("127.0.0.1:8080").unwrap().password, "x");
        assert_eq!(stored.get("127.0.0.1"), None);
        assert_eq!(stored.get("example.org"), None);
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number_without_what_it_holds() {
        for line in [
            "hunter2",
            "https://git.example.org",
            "https://hunter2@git.example.org",
            "https://a:hunter2%zz@git.example.org",
            "https://a:hunter2%0a@git.example.org",
            "https://a:hunter2@",
            "ssh://a:hunter2@git.example.org",
        ] {
            let refusal = StoredCredentials::parse(&format!("\n{line}\n")).unwrap_err();
            let words = refusal.to_string();
            assert!(
                words.contains("line 2") && !words.contains("hunter2"),
                "{words}"
            );
        }
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let stored = StoredCredentials::parse("https://ada:hunter2@git.example.org").unwrap();
        let shown = format!("{stored:?} {:?}", stored.get("git.example.org"));
        assert!(
            !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
    }
}
