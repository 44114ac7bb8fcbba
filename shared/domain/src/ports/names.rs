//! Names that adapters are given: keys of blobs, paths and branches in a product's repository. Whoever stores by them checks
//! them first, so that no name leads out of the place it is meant for.

use super::PortError;

/// Checks a blob's key: at most 512 bytes, `/`-joined parts of letters, digits, `.`, `_`, `-`, `@` and `+`, none
/// of them empty, `.` or `..`. Every adapter calls it first, so no key can leave the place of the blobs.
pub fn check_blob_key(key: &str) -> Result<(), PortError> {
    let fits = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= 200
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte))
    };
    if key.len() <= 512 && key.split('/').all(fits) {
        return Ok(());
    }
    let why = "a key is parts of letters, digits, '.', '_', '-', '@' and '+', joined by '/'";
    Err(PortError::broken(format!("blob key {key:?}"), why))
}

/// Checks the path of a file in a product's repository: relative, `/`-joined, no part empty, `.`, `..` or `.git`,
/// no control character and no backslash. Every forge calls it, so no change can leave the tree.
pub fn check_source_path(path: &str) -> Result<(), PortError> {
    let fits = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.eq_ignore_ascii_case(".git")
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if path.len() <= 4096 && path.split('/').all(fits) {
        return Ok(());
    }
    let why = "expected a relative path inside the repository";
    Err(PortError::broken(format!("path {path:?}"), why))
}

/// Checks the name of a branch or tag by git's own rules (git-check-ref-format), and that it does not look like an
/// option. Every forge calls it.
pub fn check_ref_name(name: &str) -> Result<(), PortError> {
    let part_fits = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none()
    };
    let char_fits = |c: char| !c.is_control() && !" ~^:?*[\\".contains(c);
    let fits = name.len() <= 200
        && name != "@"
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && name.chars().all(char_fits)
        && name.split('/').all(part_fits);
    if fits {
        return Ok(());
    }
    let why = "expected a name that git allows";
    Err(PortError::broken(format!("branch or tag {name:?}"), why))
}
