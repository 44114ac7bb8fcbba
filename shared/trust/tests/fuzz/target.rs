//! Damaged metadata for the TUF reader. The example `fuzz` runs it for long, the test `fuzz` for a moment.
//!
//! Good files of every role, with delegations, are damaged in three ways: their text (then every step of a
//! client reads it), their values (then every role is made from them), and both (then they are written again).
//! **An execution fails if anything panics, if a client takes metadata that nobody signed, or if what was read
//! is written as something else.** The same seed gives the same executions.

use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::digest::Digest;
use kintsugi_trust::json;
use kintsugi_trust::key::{KeyError, PublicKey, SecretKey};
use kintsugi_trust::tuf::{
    DelegatedRole, Delegations, MetaFile, Metadata, Role, RoleKeys, Roles, Root, RootDraft, Scope,
    SearchStep, Snapshot, TargetInfo, TargetPath, Targets, Timestamp, Trusted, TufError, assemble,
    canonical,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What became of the executions, and how many there were of each.
pub(crate) type Outcomes = BTreeMap<String, u64>;

/// Largest text that a seed can grow to, bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Xorshift (G. Marsaglia, 2003): enough to choose damage.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from((self.next() >> 20) % bound).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 24 & 0xff).unwrap_or_default()
    }
}

/// A repository whose files are good, and its client.
struct Seeds {
    client: Trusted,
    path: TargetPath,
    now: Time,
    files: Vec<Seed>,
}

struct Seed {
    text: String,
    value: Value,
    /// What its signatures cover.
    signed: Vec<u8>,
}

fn at(second: i64) -> Time {
    Time::from_second(second).unwrap_or(Time::UNIX_EPOCH)
}

fn secret(number: u8) -> Result<SecretKey, KeyError> {
    SecretKey::from_random(&[number; 48])
}

fn seed<T: Metadata>(metadata: &T, keys: &[u8]) -> Result<Seed, String> {
    let fault = |error: &dyn std::fmt::Display| error.to_string();
    let signed = canonical(metadata).map_err(|error| fault(&error))?;
    let mut signatures = Vec::new();
    for number in keys {
        let key = secret(*number).map_err(|error| fault(&error))?;
        let public = key.public_key().map_err(|error| fault(&error))?;
        let der = key.sign(&signed).map_err(|error| fault(&error))?;
        signatures.push((public.key_id(), der));
    }
    let text = assemble(metadata, &signatures).map_err(|error| fault(&error))?;
    let value = json::parse(text.as_bytes(), TEXT_BYTES_MAX).map_err(|error| fault(&error))?;
    Ok(Seed {
        text,
        value,
        signed,
    })
}

fn role_keys(role: Role, numbers: &[u8], threshold: usize) -> Result<RoleKeys, String> {
    let keys: Result<Vec<PublicKey>, KeyError> = numbers
        .iter()
        .map(|number| secret(*number)?.public_key())
        .collect();
    let keys = keys.map_err(|error| error.to_string())?;
    RoleKeys::new(role, &keys, threshold).map_err(|error| error.to_string())
}

impl Seeds {
    fn new() -> Result<Self, String> {
        let fault = |error: TufError| error.to_string();
        let (now, end) = (at(1_800_000_000), at(1_900_000_000));
        let path: TargetPath = "shelf/one.bin".parse().map_err(|_| "the path".to_owned())?;
        let roles = Roles {
            root: role_keys(Role::Root, &[1, 2, 3], 2)?,
            targets: role_keys(Role::Targets, &[4], 1)?,
            snapshot: role_keys(Role::Snapshot, &[5], 1)?,
            timestamp: role_keys(Role::Timestamp, &[6], 1)?,
        };
        let root = Root::new(1, end, roles);
        let delegated = |name: &str, scope, terminating| {
            Ok::<_, String>(DelegatedRole {
                name: name.to_owned(),
                keys: role_keys(Role::Targets, &[7], 1)?,
                terminating,
                scope,
            })
        };
        let bins = ["0", "1", "2", "3", "4", "5", "6", "7"].map(str::to_owned);
        let delegations = vec![
            delegated("bin", Scope::HashPrefixes(bins.into()), false)?,
            delegated("shelf", Scope::Paths(vec!["shelf/*.bin".into()]), true)?,
        ];
        let mut info = TargetInfo::new(3, Digest::of(b"one"));
        info.custom = Some(json!({"note": ["\u{e9}\"\\", null, true, -7]}));
        let below = Targets {
            version: 2,
            expires: end,
            targets: [(path.clone(), info)].into(),
            delegations: None,
        };
        let targets = Targets {
            version: 3,
            expires: end,
            targets: BTreeMap::new(),
            delegations: Some(Delegations::new(delegations).map_err(fault)?),
        };
        let (below, targets) = (seed(&below, &[7])?, seed(&targets, &[4])?);
        // Neither length nor digest is listed, so that damage is met by the signatures.
        let listed = |version| MetaFile {
            version,
            length: None,
            hashes: None,
        };
        let mut snapshot = Snapshot::new(4, end, listed(3));
        for name in ["shelf.json", "bin.json"] {
            snapshot.meta.insert(name.to_owned(), listed(2));
        }
        let snapshot = seed(&snapshot, &[5])?;
        let timestamp = seed(&Timestamp::new(5, end, listed(4)), &[6])?;
        let next = seed(&root.next(end), &[1, 2])?;
        let root = seed(&root, &[1, 3])?;
        let mut client = Trusted::new(root.text.as_bytes()).map_err(fault)?;
        let stamp = client.update_timestamp(timestamp.text.as_bytes(), now);
        stamp.map_err(fault)?;
        let shot = client.update_snapshot(snapshot.text.as_bytes(), now);
        shot.map_err(fault)?;
        let top = client.update_targets(targets.text.as_bytes(), now);
        top.map_err(fault)?;
        Ok(Self {
            client,
            path,
            now,
            files: vec![root, next, timestamp, snapshot, targets, below],
        })
    }

    fn any(&self, random: &mut Random) -> Result<&Seed, String> {
        let seed = self.files.get(random.below(self.files.len()));
        seed.ok_or_else(|| "no seed".to_owned())
    }

    /// What a client makes of a text: nothing, or a file that was signed.
    fn read(&self, text: &[u8]) -> Result<String, String> {
        let mut client = self.client.clone();
        let search = |client: &Trusted| {
            let mut search = client.search(&self.path)?;
            match search.step(client)? {
                SearchStep::Fetch { .. } => search.take(client, text, self.now),
                SearchStep::Found(_) | SearchStep::NotFound => Ok(()),
            }
        };
        let tried = [
            ("search", search(&client)),
            ("targets", client.update_targets(text, self.now)),
            ("snapshot", client.update_snapshot(text, self.now)),
            (
                "timestamp",
                client.update_timestamp(text, self.now).map(|_| ()),
            ),
            ("root", client.update_root(text)),
            ("first root", Trusted::new(text).map(|_| ())),
        ];
        let mut code = String::new();
        for (step, outcome) in tried {
            match outcome {
                Ok(()) => {
                    self.check_signed(step, text)?;
                    return Ok("taken: it was signed all the same".to_owned());
                }
                Err(error) => match error.code() {
                    "tuf.wrong_role" => {}
                    other => other.clone_into(&mut code),
                },
            }
        }
        Ok(code)
    }

    fn check_signed(&self, step: &str, text: &[u8]) -> Result<(), String> {
        let value = json::parse(text, TEXT_BYTES_MAX).map_err(|error| error.to_string())?;
        let signed = value.get("signed").cloned().unwrap_or_default();
        let signed = json::canonical(&signed).map_err(|error| error.to_string())?;
        if self.files.iter().any(|seed| seed.signed == signed) {
            Ok(())
        } else {
            Err(format!("{step} took what nobody signed"))
        }
    }
}

/// Damages a text.
fn damage_text(random: &mut Random, text: &str, other: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.byte()),
            2 => {
                let from = random.below(other.len());
                let part = other.as_bytes().get(from..).unwrap_or_default();
                bytes.truncate(at);
                bytes.extend(part);
            }
            3 => {
                let end = (at + 1 + random.below(40)).min(bytes.len());
                let copy = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, copy);
            }
            4 => {
                const LETTERS: &[u8] = b"{}[]\",:0123456789-.eE\\u /abf";
                let letter = LETTERS.get(random.below(LETTERS.len()));
                if let (Some(byte), Some(letter)) = (bytes.get_mut(at), letter) {
                    *byte = *letter;
                }
            }
            _ => {
                let mask = random.byte();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
        }
    }
    bytes
}

/// A value that is rarely the right one.
fn odd(random: &mut Random, other: &Value) -> Value {
    let texts = [
        "",
        "root",
        "targets",
        "2030-01-01T00:00:00Z",
        "9999-99-99T99:99:99Z",
        "../x",
        "*",
        "2.0",
        "1.0",
        "ecdsa",
        "ed25519",
        "ecdsa-sha2-nistp256",
        "rsa",
        "rsassa-pss-sha256",
        "\u{0}",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ];
    let numbers = [0, 1, 2, 3, u64::from(u32::MAX), u64::MAX];
    match random.below(8) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(numbers.get(random.below(numbers.len()))),
        3 => json!(-1),
        4 => json!([]),
        5 => Value::Object(Map::new()),
        6 => json!(texts.get(random.below(texts.len()))),
        _ => other.clone(),
    }
}

/// Changes one place of a value.
fn damage_value(random: &mut Random, value: &mut Value, other: &Value) {
    let stop = random.below(6) == 0;
    match value {
        Value::Object(map) if !stop && !map.is_empty() => {
            // Whatever happens to these two is noticed first, and hides the rest.
            let is_first = |key: &str| matches!(key, "_type" | "spec_version");
            let all = random.below(20) == 0;
            let keys: Vec<&String> = map.keys().filter(|key| all || !is_first(key)).collect();
            let Some(key) = keys.get(random.below(keys.len())).map(|key| (*key).clone()) else {
                return;
            };
            let below = other.get(&key).unwrap_or(other);
            match random.below(12) {
                0 => {
                    map.remove(&key);
                }
                1 => {
                    let moved = map.remove(&key).unwrap_or_default();
                    map.insert(odd(random, other).to_string(), moved);
                }
                _ => {
                    if let Some(item) = map.get_mut(&key) {
                        damage_value(random, item, below);
                    }
                }
            }
        }
        Value::Array(items) if !stop && !items.is_empty() => {
            let at = random.below(items.len());
            let below = other.get(0).unwrap_or(other);
            match random.below(8) {
                0 => {
                    items.remove(at);
                }
                1 => {
                    let copy = items.get(at).cloned().unwrap_or_default();
                    items.push(copy);
                }
                _ => {
                    if let Some(item) = items.get_mut(at) {
                        damage_value(random, item, below);
                    }
                }
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => *value = odd(random, other),
    }
}

/// Makes a role from a value; what was made must be written and read as the same.
fn make<T: Metadata + PartialEq>(signed: &Value) -> Result<String, String> {
    let made = match T::from_signed(signed) {
        Ok(made) => made,
        Err(error) => return Ok(error.code().to_owned()),
    };
    let written = made.to_signed().map_err(|error| error.to_string())?;
    match T::from_signed(&written) {
        Ok(again) if again == made => Ok("read, and written as the same".to_owned()),
        Ok(_) => Err(format!("{} is written as another", T::ROLE)),
        Err(error) => Err(format!("{} is not read again: {error}", T::ROLE)),
    }
}

fn make_any(signed: &Value) -> Result<String, String> {
    match signed.get("_type").and_then(Value::as_str) {
        Some("root") => make::<Root>(signed),
        Some("targets") => make::<Targets>(signed),
        Some("snapshot") => make::<Snapshot>(signed),
        _ => make::<Timestamp>(signed),
    }
}

/// The canonical form of what was read must be read as the same value.
fn rewrite(text: &[u8]) -> Result<(), String> {
    let Ok(value) = json::parse(text, TEXT_BYTES_MAX) else {
        return Ok(());
    };
    let Ok(canonical) = json::canonical(&value) else {
        return Ok(());
    };
    // The form is not JSON where a text has control characters: there it cannot be read again.
    match json::parse(&canonical, usize::MAX) {
        Ok(again) if again != value => Err("the canonical form means something else".to_owned()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn execute(random: &mut Random, seeds: &Seeds) -> Result<String, String> {
    let (seed, other) = (seeds.any(random)?, seeds.any(random)?);
    match random.below(8) {
        0 => {
            let text = damage_text(random, &seed.text, &other.text);
            rewrite(&text)?;
            seeds.read(&text)
        }
        1 => {
            let mut value = seed.value.clone();
            damage_value(random, &mut value, &other.value);
            let text = value.to_string();
            // A ceremony must not take it either.
            if RootDraft::read(text.as_bytes(), Some(seeds.client.root())).is_ok() {
                return Ok("a draft that could be signed".to_owned());
            }
            seeds.read(text.as_bytes())
        }
        _ => {
            let mut signed = seed.value.get("signed").cloned().unwrap_or_default();
            let below = other.value.get("signed").unwrap_or(&other.value);
            for _ in 0..=random.below(3) {
                damage_value(random, &mut signed, below);
            }
            make_any(&signed)
        }
    }
}

/// Damages metadata so often; answers with what became of it, or with what failed.
pub(crate) fn run(executions: u64, start: u64) -> Result<Outcomes, String> {
    let mut random = Random(start.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let seeds = Seeds::new()?;
    let mut outcomes = Outcomes::new();
    for execution in 0..executions {
        let outcome = execute(&mut random, &seeds)
            .map_err(|why| format!("execution {execution} from seed {start}: {why}"))?;
        *outcomes.entry(outcome).or_default() += 1;
    }
    Ok(outcomes)
}
