//! The address of a repository on a host.

use kintsugi_domain::address::{self, AddressError};
use kintsugi_domain::ports::PortError;

/// Longest address, bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

/// A repository on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Without a slash at its end.
    url: String,
    /// With its port where there is one.
    host: String,
}

impl Remote {
    /// Reads an address. Refuses what would send a credential in the clear or keep one in the address.
    pub(crate) fn parse(url: &str) -> Result<Self, PortError> {
        // The address itself is not repeated before it is known to hold no password.
        let refuse = |why: &str| Err(PortError::broken("the address of the repository", why));
        if url.len() > ADDRESS_BYTES_MAX {
            return refuse("it is longer than 2048 bytes");
        }
        if url.contains(['?', '#', '\\']) {
            return refuse("expected https://host/path without '?', '#' or '\\'");
        }
        let checked = match address::check(url) {
            Ok(checked) => checked,
            Err(AddressError::User) => {
                return refuse(
                    "it holds a user or a password; store those as a credential instead",
                );
            }
            Err(error) => return refuse(&error.to_string()),
        };
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: checked.authority.to_ascii_lowercase(),
        })
    }

    /// The address, which holds no secret.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The host as credentials name it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_path() {
        let remote = Remote::parse("https://Git.example.org:8443/team/till.git/").unwrap();
        assert_eq!(remote.url(), "https://Git.example.org:8443/team/till.git");
        assert_eq!(remote.host(), "git.example.org:8443");
        for address in [
            "http://127.0.0.1:80/a",
            "http://localhost/a",
            "http://[::1]:9/a",
        ] {
            assert_eq!(Remote::parse(address).unwrap().url(), address);
        }
    }

    #[test]
    fn what_would_leak_a_credential_or_is_no_address_is_refused_without_repeating_it() {
        let long = format!("https://hunter2/{}", "a".repeat(2048));
        for address in [
            "http://hunter2.example.org/a",
            "http://127.0.0.1.hunter2.org/a",
            "https://ada:hunter2@example.org/a",
            "https://hunter2@example.org/a",
            "https://example.org/a?token=hunter2",
            "https://example.org/a#hunter2",
            "ftp://hunter2/a",
            "https:///hunter2",
            "https://hunter2 /a",
            "/hunter2",
            "hunter2",
            "",
            &long,
        ] {
            let refusal = Remote::parse(address).unwrap_err();
            assert!(!refusal.is_transient());
            assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
        }
    }
}
