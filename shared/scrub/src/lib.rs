//! Removes personal data and secrets from reports, with a remark for each removal.
//!
//! Two kinds of evidence count. **What a value is**: card numbers (Luhn and brand), IBANs (mod 97 and
//! country length), US social security numbers (ranges), e-mail, IP and MAC addresses, phone numbers
//! (international, those of North America as they are written there, others behind a word like `call`), user names in paths, URL
//! credentials, bearer tokens, JWTs, PEM blocks and the keys of well-known vendors. **What a value is called**: `password=…`, `"api_key": …`, `Cookie: …`.
//! Patterns alone over-scrub, so whatever has a check digit, a range or a decodable form is validated.
//!
//! A removed value leaves a typed placeholder (`[email]`, `[card]`, `[secret]` …), so that messages
//! still group and say what was there, and a [`Remark`] with rule, path and range.
//!
//! A project can switch rules off, name further secrets, let values stay and add patterns of its own
//! ([`ScrubRules`]).
//!
//! **Invariants: scrubbing what was scrubbed changes nothing. Time is linear in the length of the
//! text: every look-around is bounded or consumes what it reads.**
//!
//! Not here: which events are scrubbed and when (`kintsugi-app`, before anything is stored), and data
//! that only its owner knows to be personal, such as names of people.
//!
//! Deliberately kept: loopback and unspecified addresses, net masks, version numbers of four parts
//! where the context says so, `git@host:` remotes, values that say nothing (`None`, `""`, `true`).

mod blank;
mod encoded;
mod event;
mod forms;
mod keys;
mod marks;
mod names;
mod net;
mod numbers;
mod own;
mod pairs;
mod paths;
mod rewrite;
mod rules;
mod scan;
mod secrets;
mod stream;
mod text;
mod value;
mod vocabulary;

#[cfg(test)]
mod corpus;

use hmac::{Hmac, Mac};
use kintsugi_domain::event::{Event, Remark};
use kintsugi_domain::scrub_rules::ScrubRules;
use rules::Rules;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use text::Reading;

pub use rules::RulesError;
pub use stream::NotJson;

/// Most remarks kept of one event; the last one then has the rule `more`.
pub const REMARKS_MAX: usize = 200;

/// Longest path in a remark, bytes; the beginning of a longer one is left out. Names are a client's, up to 10,000 characters each and a
/// hundred deep: whole paths would be many times the document.
pub const REMARK_PATH_BYTES_MAX: usize = 1_000;

/// Bytes of an HMAC-SHA256 block key (RFC 2104).
const HMAC_BLOCK_BYTES: usize = 64;

/// Hexadecimal digits of a user's hash: 128 bits.
const USER_HASH_DIGITS: usize = 32;

/// Removes personal data and secrets.
#[derive(Clone)]
pub struct Scrubber {
    users: Hmac<Sha256>,
    rules: Arc<Rules>,
}

impl Scrubber {
    /// A scrubber whose hashes of user ids are keyed with `user_salt`, a secret of the project.
    pub fn new(user_salt: &[u8]) -> Self {
        let mut key = [0; HMAC_BLOCK_BYTES];
        // RFC 2104 §2: a key longer than a block is hashed first, a shorter one is padded with zeros.
        let hashed = Sha256::digest(user_salt);
        let salt = if user_salt.len() > HMAC_BLOCK_BYTES {
            hashed.as_slice()
        } else {
            user_salt
        };
        for (to, from) in key.iter_mut().zip(salt) {
            *to = *from;
        }
        Self {
            users: Mac::new(&key.into()),
            rules: Arc::default(),
        }
    }

    /// The same with the rules of a project.
    ///
    /// # Errors
    /// The rules cannot be used; [`ScrubRules::check`] finds the same.
    pub fn with_rules(user_salt: &[u8], rules: &ScrubRules) -> Result<Self, RulesError> {
        Ok(Self {
            rules: Arc::new(Rules::new(rules)?),
            ..Self::new(user_salt)
        })
    }

    /// Scrubs every text of an event and appends what was removed to its remarks.
    pub fn scrub_event(&self, event: &mut Event) {
        event::scrub(event, &self.rules);
    }

    /// Scrubs one text. `path` goes into the remarks. Over-long text is cut.
    pub fn scrub_text(&self, path: &str, text: &str) -> (String, Vec<Remark>) {
        let mut walk = value::Walk::at(&self.rules, path);
        let mut text = text.to_owned();
        walk.text(&mut text, Reading::Prose);
        (text, walk.into_remarks())
    }

    /// Scrubs a text of any length, such as an attachment, and cuts nothing. How long it may be is
    /// for the caller to say.
    pub fn scrub_long_text(&self, path: &str, text: &str) -> (String, Vec<Remark>) {
        let mut walk = value::Walk::at(&self.rules, path).uncut();
        let mut text = text.to_owned();
        walk.text(&mut text, Reading::Prose);
        (text, walk.into_remarks())
    }

    /// Scrubs a JSON document without building it in memory: what can stay is copied as it is written.
    /// It does what [`Self::scrub_value`] does, several times as fast.
    ///
    /// # Errors
    /// The text is no JSON document, or one nested deeper than 127 levels.
    pub fn scrub_json(&self, text: &str) -> Result<(String, Vec<Remark>), NotJson> {
        stream::scrub(text, &self.rules)
    }

    /// Scrubs a JSON value of any shape: texts, numbers that are cards, keys of maps, and whatever
    /// stands under a sensitive name. `path` starts the paths of the remarks.
    pub fn scrub_value(&self, path: &str, value: &mut Value) -> Vec<Remark> {
        let mut walk = value::Walk::at(&self.rules, path);
        walk.value(value, Reading::Prose);
        walk.into_remarks()
    }

    /// The keyed hash that stands for a user: HMAC-SHA256 (RFC 2104), the first 128 bits as hex.
    pub fn user_hash(&self, id: &str) -> String {
        let mut mac = self.users.clone();
        mac.update(id.as_bytes());
        let mut hash = hex::encode(mac.finalize().into_bytes());
        hash.truncate(USER_HASH_DIGITS);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_hash_is_stable_per_salt_and_says_nothing_of_the_id() {
        let scrubber = Scrubber::new(b"salt");
        let hash = scrubber.user_hash("alice");
        assert_eq!(hash, scrubber.user_hash("alice"));
        assert_ne!(hash, Scrubber::new(b"other").user_hash("alice"));
        assert_ne!(hash, scrubber.user_hash("bob"));
        assert_eq!(hash.len(), 32);
    }

    #[test]
    fn the_hash_is_hmac_sha256() {
        // RFC 4231, test case 2 and test case 6 (a key longer than a block).
        assert_eq!(
            Scrubber::new(b"Jefe").user_hash("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c7"
        );
        assert_eq!(
            Scrubber::new(&[0xaa; 131])
                .user_hash("Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f"
        );
    }
}
