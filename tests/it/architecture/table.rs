//! The tables that the rules check. A change here is a decision and needs an ADR.

/// A crate of ours and the crates of ours that it may name in `[dependencies]`.
/// Not here: development dependencies, which may point anywhere.
pub(super) const DIRECTIONS: &[(&str, &[&str])] = &[
    ("kintsugi-domain", &[]),
    ("kintsugi-sandbox", &[]),
    ("kintsugi-trust", &["kintsugi-domain"]),
    ("kintsugi-scrub", &["kintsugi-domain"]),
    ("kintsugi-delta", &["kintsugi-domain"]),
    ("kintsugi-minidump", &[]),
    ("kintsugi-repair", &["kintsugi-domain"]),
    (
        "kintsugi-engine",
        &[
            "kintsugi-delta",
            "kintsugi-domain",
            "kintsugi-repair",
            "kintsugi-sandbox",
        ],
    ),
    (
        "kintsugi-app",
        &[
            "kintsugi-domain",
            "kintsugi-minidump",
            "kintsugi-scrub",
            "kintsugi-trust",
        ],
    ),
    (
        "kintsugi-fuzzing",
        &[
            "kintsugi-app",
            "kintsugi-domain",
            "kintsugi-minidump",
            "kintsugi-scrub",
            "kintsugi-testkit",
            "kintsugi-trust",
        ],
    ),
    ("kintsugi-testkit", &["kintsugi-domain", "kintsugi-trust"]),
    (
        "kintsugi-adapters-aws",
        &["kintsugi-domain", "kintsugi-trust"],
    ),
    ("kintsugi-adapters-git", &["kintsugi-domain"]),
    (
        "kintsugi-adapters-local",
        &["kintsugi-adapters-git", "kintsugi-domain", "kintsugi-trust"],
    ),
    (
        "kintsugi-http",
        &["kintsugi-app", "kintsugi-domain", "kintsugi-trust"],
    ),
    (
        "kintsugi-runtime",
        &["kintsugi-app", "kintsugi-domain", "kintsugi-http"],
    ),
    (
        "kintsugi-home",
        &[
            "kintsugi-adapters-aws",
            "kintsugi-adapters-git",
            "kintsugi-adapters-local",
            "kintsugi-domain",
            "kintsugi-runtime",
        ],
    ),
    (
        "kintsugi-fn-*",
        &[
            "kintsugi-app",
            "kintsugi-domain",
            "kintsugi-home",
            "kintsugi-http",
            "kintsugi-runtime",
        ],
    ),
    (
        "kintsugi",
        &[
            "kintsugi-adapters-git",
            "kintsugi-adapters-local",
            "kintsugi-app",
            "kintsugi-delta",
            "kintsugi-domain",
            "kintsugi-engine",
            "kintsugi-http",
            "kintsugi-repair",
            "kintsugi-sandbox",
            "kintsugi-scrub",
            "kintsugi-sdk",
            "kintsugi-testkit",
            "kintsugi-trust",
        ],
    ),
    (
        "kintsugi-sdk",
        &[
            "kintsugi-delta",
            "kintsugi-domain",
            "kintsugi-scrub",
            "kintsugi-trust",
        ],
    ),
    ("kintsugi-native", &[]),
    ("kintsugi-updater", &["kintsugi-sdk"]),
    ("kintsugi-tests", &[]),
    ("xtask", &[]),
];

/// A foreign crate (a trailing `*` stands for any ending) and the only crates that may name it.
pub(super) const HOMES: &[(&str, &[&str])] = &[
    ("aws-*", &["kintsugi-adapters-aws"]),
    ("aws_lambda_events", &["kintsugi-runtime"]),
    ("lambda_*", &["kintsugi-runtime"]),
    ("rusqlite", &["kintsugi-adapters-local"]),
    ("axum", &["kintsugi", "kintsugi-http", "kintsugi-runtime"]),
    ("gix-*", &["kintsugi-adapters-git"]),
    ("hakoniwa", &["kintsugi-sandbox"]),
];

/// Crates that compute and do nothing else.
pub(super) const PURE: &[&str] = &[
    "kintsugi-delta",
    "kintsugi-domain",
    "kintsugi-minidump",
    "kintsugi-repair",
    "kintsugi-scrub",
    "kintsugi-trust",
];

/// Foreign crates that do input or output.
pub(super) const IMPURE: &[&str] = &["hyper", "reqwest", "tokio", "ureq"];

/// The stages that have a function.
pub(super) const STAGES: &[&str] = &[
    "admin", "bundle", "diagnose", "fix", "flags", "ingest", "manifest", "notify", "outcomes",
    "rollback", "rollout", "schedule", "sign", "triage",
];

/// Most lines of one source file.
pub(super) const SOURCE_LINES_MAX: usize = 600;

/// Most lines of a function's `main.rs`.
pub(super) const MAIN_LINES_MAX: usize = 20;

/// The files of a function, in order.
pub(super) const FUNCTION_FILES: [&str; 3] = ["context.rs", "handler.rs", "main.rs"];

/// The sections of the feature ledger and their last row.
pub(super) const LEDGER: &[(char, u32)] = &[
    ('A', 13),
    ('B', 9),
    ('C', 9),
    ('D', 12),
    ('E', 9),
    ('F', 6),
    ('G', 6),
    ('H', 10),
    ('I', 7),
    ('J', 3),
    ('K', 6),
    ('L', 5),
];
