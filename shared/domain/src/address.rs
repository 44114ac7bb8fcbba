//! Web addresses: whether what is sent there, or comes from there, is safe on its way.
//!
//! **Invariant: an address that passes is `https://`, or names this machine itself, and holds no user and no password.**
//! The rule is stricter than a client's parser, so that no client can understand another host than was checked here.
//!
//! Not here: whether a host is one that we trust.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why nothing is sent to an address. It never repeats the address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an address of the web.
    #[error("expected https://host/path")]
    Malformed,
    /// Credentials in an address end up in logs.
    #[error("it holds a user or a password")]
    User,
    /// Others could listen.
    #[error("http:// is for this machine alone; use https://")]
    InTheClear,
}

/// An address that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// Whether it is reached over TLS. If not, it is of this machine.
    pub is_tls: bool,
    /// The host, with its port where there is one, as it is written.
    pub authority: &'a str,
}

/// Checks an address.
pub fn check(address: &str) -> Result<Address<'_>, AddressError> {
    let (scheme, rest) = address.split_once("://").ok_or(AddressError::Malformed)?;
    let is_tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(AddressError::Malformed),
    };
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Malformed);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(AddressError::User);
    }
    let host = host(authority).ok_or(AddressError::Malformed)?;
    if is_tls || is_this_machine(host) {
        Ok(Address { is_tls, authority })
    } else {
        Err(AddressError::InTheClear)
    }
}

/// The host before a port.
fn host(authority: &str) -> Option<&str> {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) | None => authority,
    };
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_name = !host.is_empty() && host.bytes().all(of_name);
    (is_name || ip6(host).is_some()).then_some(host)
}

/// The address between brackets.
fn ip6(host: &str) -> Option<Ipv6Addr> {
    let inner = host.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok()
}

/// A loopback address, or a name that resolvers answer with one (RFC 6761 §6.3).
fn is_this_machine(host: &str) -> bool {
    let ip4: Option<Ipv4Addr> = host.parse().ok();
    host == "localhost"
        || host.ends_with(".localhost")
        || ip4.is_some_and(|ip| ip.is_loopback())
        || ip6(host).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_goes_anywhere_and_plain_http_to_this_machine() {
        for (address, is_tls, authority) in [
            (
                "https://Git.example.org:8443/a/",
                true,
                "Git.example.org:8443",
            ),
            ("https://[2001:db8::1]/a?b#c", true, "[2001:db8::1]"),
            ("https://kintsugi.example.com", true, "kintsugi.example.com"),
            ("http://127.0.0.1:80/a", false, "127.0.0.1:80"),
            ("http://127.8.0.1?a", false, "127.8.0.1"),
            ("http://[::1]:9/a", false, "[::1]:9"),
            ("http://localhost#a", false, "localhost"),
            ("http://api.localhost:4566", false, "api.localhost:4566"),
        ] {
            let expected = Address { is_tls, authority };
            assert_eq!(check(address), Ok(expected), "{address}");
        }
    }

    #[test]
    fn plain_http_to_another_machine_is_refused_however_it_is_dressed_up() {
        for address in [
            "http://example.org/a",
            "http://127.0.0.1.example.org/a",
            "http://localhost.example.org",
            "http://notlocalhost",
            "http://127.1/a",
            "http://0.0.0.0/a",
            "http://[::]/a",
            "http://[::ffff:192.0.2.1]/a",
            "http://example.org/http://127.0.0.1",
            "http://example.org?@127.0.0.1",
        ] {
            assert_eq!(check(address), Err(AddressError::InTheClear), "{address}");
        }
        for address in [
            "http://127.0.0.1:1@example.org/a",
            "http://127.0.0.1@example.org:80/a",
            "http://example.org@127.0.0.1/",
            "https://ada:secret@example.org/a",
            "https://ada@example.org/a",
        ] {
            assert_eq!(check(address), Err(AddressError::User), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "",
            "example.org",
            "/127.0.0.1",
            "ftp://127.0.0.1/a",
            "file:///etc/passwd",
            "https:/example.org",
            "https://",
            "https:///a",
            "https://:443/a",
            "https://exa mple.org/a",
            "https://example.org/a b",
            "https://example.org/\r\nHost: other",
            "http://127.0.0.1:80:90/",
            "http://127.0.0.1\\.example.org/",
            "http://localhost:/a",
            "http://localhost:x/a",
            "http://[::1/a",
            "http://[::1]x/a",
            "http://::1/a",
            "http://127.0.0.1%2e.example.org/",
        ] {
            assert_eq!(check(address), Err(AddressError::Malformed), "{address}");
        }
    }
}
