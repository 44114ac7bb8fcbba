//! `bench cost`: what a million reports and a million update checks come to on AWS's bill.
//!
//! The functions are built and deployed to the emulator as `aws-e2e` does it (`crate::e2e`). `cost/load.py` sends reports and
//! asks for updates; `cost/counting.py` counts at the emulator what AWS would bill. Here it is multiplied by `infra/prices.toml`.
//!
//! **Counted, not billed**: requests, units, messages and bytes are those of the real functions. Durations are those of this machine, its
//! emulator and functions built without optimisation, so GB-seconds are an upper bound.
//! Not here: what a home costs that does nothing (`docs/cost.md`), storage, the edge, downloads.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such member reads as null"
)]

use super::machine::Machine;
use super::output;
use crate::Failure;
use crate::e2e::{EMULATOR, REPOSITORIES, Site, step};
use crate::summary::say;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const COUNTING: &str = "xtask/src/bench/cost/counting.py";
const LOAD: &str = "xtask/src/bench/cost/load.py";
const PRICES: &str = "infra/prices.toml";
const PRODUCT: &str = "samples/till/product";
/// Reports sent in each phase that sends them.
const REPORTS: &str = "500";
/// Update checks.
const CHECKS: &str = "300";
/// What a million of the things of a phase may cost, US dollars.
const BUDGETS: [(&str, f64); 2] = [("events", 5.0), ("checks", 1.5)];

/// Measures, and says whether the budgets are kept.
pub(crate) fn run(root: &Path, json: bool) -> Result<(), Failure> {
    let site = Site::of(root, "bench-cost")?;
    let machine = Machine::of(root);
    let result = measured(root, &site).and_then(|counted| priced(root, &counted));
    let mut result = result.map_err(|error| {
        let logs = site.folder.display();
        Failure::Check(format!("bench cost: {error}; logs are in {logs}"))
    })?;
    result["machine"] = machine.json();
    if json {
        say(&result.to_string());
    } else {
        say(&format!("\n{}\n{}", machine.line(), spoken(&result)));
    }
    match missed(&result).as_slice() {
        [] => Ok(()),
        missed => Err(Failure::Check(format!("missed: {}", missed.join("; ")))),
    }
}

fn measured(root: &Path, site: &Site) -> Result<Value, String> {
    let build = site.built()?;
    let emulator = [root.join(COUNTING), root.join(EMULATOR)];
    site.with_stack(&build, &emulator, |_, endpoint| {
        let home = site.home(endpoint)?;
        let (url, admin) = (home.url.clone(), home.admin.clone());
        let [repository, ..] = REPOSITORIES.map(|name| home.repository(name));
        let load = |mode: &str| {
            let mut command = Command::new(&site.python);
            command
                .arg(root.join(LOAD))
                .args([mode, &url])
                .arg(&admin)
                .args([&repository, endpoint])
                .arg(&site.folder)
                .arg(root.join(PRODUCT))
                .args([REPORTS, CHECKS]);
            output(&mut command)
        };
        let project = step("publish a release", || load("prepare"))?;
        let wrote = |name: &str, text: &str| {
            fs::write(site.folder.join(name), text).map_err(|error| error.to_string())
        };
        wrote("project.json", &project)?;
        // From here on nothing happens but what is measured.
        wrote("hold", "")?;
        drop(home.runner);
        let counted = step("reports and checks", || load("measure"))?;
        serde_json::from_str(&counted).map_err(|error| format!("what was counted: {error}"))
    })
}

/// The line of the price table that a meter is paid by; nothing for what is counted only to explain.
fn price_of(meter: &str) -> Option<&'static str> {
    let (kind, _) = meter.split_once(' ').unwrap_or((meter, ""));
    match (kind, meter) {
        (_, "http requests") => Some("http-request"),
        (_, "http bytes out") => Some("out-gigabyte"),
        (_, "log bytes") => Some("log-gigabyte"),
        (_, "invocations") => Some("invocation"),
        (_, "GB-seconds") => Some("gb-second"),
        (_, "blob read") => Some("blob-read"),
        (_, "blob write") => Some("blob-write"),
        (_, "kms sign") => Some("signature"),
        (_, "kms other") => Some("key-request"),
        (_, "secrets") => Some("secret-request"),
        ("queue", _) => Some("queue-request"),
        ("write" | "remove", _) => Some("table-write"),
        ("read", _) => Some("table-read"),
        _ => None,
    }
}

/// Meters that count bytes, which are priced by the gigabyte.
fn amount_of(meter: &str, amount: f64) -> f64 {
    let is_bytes = meter.ends_with(" bytes") || meter.ends_with(" bytes out");
    if is_bytes { amount / 1e9 } else { amount }
}

fn priced(root: &Path, counted: &Value) -> Result<Value, String> {
    let text = fs::read_to_string(root.join(PRICES)).map_err(|error| error.to_string())?;
    let prices = prices(&text)?;
    let mut phases = Map::new();
    for (name, phase) in counted["phases"].as_object().into_iter().flatten() {
        phases.insert(name.clone(), bill(phase, &prices)?);
    }
    let budgets: BTreeMap<_, _> = BUDGETS.into_iter().collect();
    Ok(json!({
        "bench": "cost", "phases": phases, "bytes": counted["bytes"], "together": counted["together"],
        "issues": counted["issues"], "budgets": budgets,
    }))
}

/// US dollars for one, by the name of the price.
fn prices(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("{PRICES}: {error}"))?;
    let entries = table
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_table()?)));
    entries
        .map(|(name, entry)| {
            let number = |of: &str| match entry.get(of) {
                Some(toml::Value::Float(value)) => Ok(*value),
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                Some(toml::Value::Integer(value)) => Ok(*value as f64),
                _ => Err(format!("{PRICES}: {name} has no {of}")),
            };
            Ok((name.clone(), number("usd")? / number("per")?))
        })
        .collect()
}

/// What a million of the things of a phase consume and cost, by function and meter, dearest first.
fn bill(phase: &Value, prices: &BTreeMap<String, f64>) -> Result<Value, String> {
    let count = phase["count"].as_f64().filter(|count| *count > 0.0);
    let count = count.ok_or("a phase says how often it did what it did")?;
    let (mut lines, mut others, mut total) = (Vec::new(), Vec::new(), 0.0);
    for (function, meters) in phase["meters"].as_object().into_iter().flatten() {
        for (meter, amount) in meters.as_object().into_iter().flatten() {
            let each = amount.as_f64().unwrap_or_default() / count;
            let line = json!({"function": function, "meter": meter, "each": each});
            let Some(price) = price_of(meter) else {
                others.push(line);
                continue;
            };
            let usd = prices
                .get(price)
                .ok_or(format!("{PRICES} has no {price}"))?;
            let usd = amount_of(meter, each) * usd * 1e6;
            total += usd;
            lines.push((usd, line, price));
        }
    }
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut by_price: BTreeMap<&str, f64> = BTreeMap::new();
    for (usd, _, price) in &lines {
        *by_price.entry(price).or_default() += usd;
    }
    let lines = lines.into_iter().map(|(usd, mut line, price)| {
        line["usd_per_million"] = json!(usd);
        line["price"] = json!(price);
        line
    });
    Ok(json!({
        "count": count, "usd_per_million": total, "by_price": by_price,
        "lines": lines.collect::<Vec<_>>(), "unpriced": others,
    }))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The budgets that were not kept.
fn missed(result: &Value) -> Vec<String> {
    let cost = |phase: &str| number(&result["phases"][phase]["usd_per_million"]);
    let over = BUDGETS.into_iter().filter(|(phase, budget)| {
        let usd = cost(phase);
        usd.is_nan() || usd > *budget
    });
    over.map(|(phase, budget)| format!("a million {phase}: {:.2} USD, not {budget}", cost(phase)))
        .collect()
}

fn spoken(result: &Value) -> String {
    let mut lines = Vec::new();
    for (name, phase) in result["phases"].as_object().into_iter().flatten() {
        let total = number(&phase["usd_per_million"]);
        let count = number(&phase["count"]);
        lines.push(format!(
            "\n{name}: {total:.2} USD a million, counted over {count:.0}\n"
        ));
        lines.push("| function | what | of each | USD a million |".to_owned());
        lines.push("|---|---|---:|---:|".to_owned());
        let dear = phase["lines"].as_array().into_iter().flatten();
        for line in dear.filter(|line| number(&line["usd_per_million"]) >= 0.005) {
            lines.push(format!(
                "| {} | {} | {:.4} | {:.2} |",
                line["function"].as_str().unwrap_or_default(),
                line["meter"].as_str().unwrap_or_default(),
                number(&line["each"]),
                number(&line["usd_per_million"]),
            ));
        }
        for (price, usd) in phase["by_price"].as_object().into_iter().flatten() {
            lines.push(format!("| all | {price} | | {:.2} |", number(usd)));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn root() -> PathBuf {
        crate::root()
    }

    #[test]
    fn the_price_table_has_a_source_and_a_price_for_everything_that_is_counted() {
        let text = fs::read_to_string(root().join(PRICES)).unwrap();
        let prices = prices(&text).unwrap();
        for meter in [
            "http requests",
            "http bytes out",
            "log bytes",
            "invocations",
            "GB-seconds",
            "blob read",
            "blob write",
            "kms sign",
            "kms other",
            "secrets",
            "queue send",
            "write outbox",
            "remove outbox",
            "write indexes",
            "read record event",
        ] {
            let price = price_of(meter).unwrap();
            assert!(prices.contains_key(price), "{meter}: {price}");
        }
        assert_eq!(price_of("call DynamoDB Query"), None);
        assert_eq!(price_of("milliseconds"), None);
        let table: toml::Table = text.parse().unwrap();
        for entry in table.values().filter_map(toml::Value::as_table) {
            assert!(
                entry["source"]
                    .as_str()
                    .unwrap()
                    .starts_with("https://aws.amazon.com/")
            );
            assert!(["stated", "known"].contains(&entry["checked"].as_str().unwrap()));
        }
        assert!(
            [COUNTING, LOAD, PRICES, PRODUCT]
                .iter()
                .all(|file| root().join(file).exists())
        );
    }

    #[test]
    fn a_bill_is_what_was_counted_by_its_price_for_a_million() {
        let phase = json!({"count": 10, "meters": {
            "ingest": {"invocations": 10, "write outbox": 40, "log bytes": 5000, "milliseconds": 90},
            "http": {"http requests": 10},
        }});
        let prices = prices(
            "checked_on = \"x\"\n[invocation]\nusd = 0.2\nper = 1_000_000\n[table-write]\nusd = 0.5\nper = 1_000_000\n\
             [log-gigabyte]\nusd = 0.5\nper = 1\n[http-request]\nusd = 1\nper = 1_000_000\n",
        )
        .unwrap();
        let bill = bill(&phase, &prices).unwrap();
        assert!((number(&bill["usd_per_million"]) - (0.2 + 2.0 + 0.25 + 1.0)).abs() < 1e-9);
        assert_eq!(bill["lines"][0]["meter"], "write outbox");
        assert_eq!(bill["unpriced"][0]["meter"], "milliseconds");
    }

    #[test]
    fn a_budget_that_is_missed_or_was_not_measured_is_named() {
        let result = |usd: f64| {
            json!({"phases": {
                "events": {"usd_per_million": usd}, "checks": {"usd_per_million": 1.5},
            }})
        };
        assert!(missed(&result(5.0)).is_empty());
        assert_eq!(missed(&result(5.1)), ["a million events: 5.10 USD, not 5"]);
        assert_eq!(missed(&json!({})).len(), 2);
    }
}
