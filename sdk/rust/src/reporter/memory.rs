//! How much memory this process uses.

/// The resident memory of this process, bytes; nothing where the system does not say it without `unsafe`.
#[cfg(target_os = "linux")]
pub(super) fn used() -> Option<u64> {
    // proc_pid_status(5): `VmRSS:      1234 kB`.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The resident memory of this process, bytes; nothing where the system does not say it without `unsafe`.
#[cfg(not(target_os = "linux"))]
pub(super) fn used() -> Option<u64> {
    None
}
