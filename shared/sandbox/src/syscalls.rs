//! The system calls nobody in a box may make.
//!
//! A short list of what namespaces do not cover, not a full profile: the rest of the kernel is as
//! reachable as for any ordinary user. The filters are put on the supervising thread, which every
//! process of the box descends from, so they also hold during set-up and must leave it its mounts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::SandboxError;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const SET_ID_BITS: [u32; 2] = [libc::S_ISUID, libc::S_ISGID];
const SOCKET_FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The filters, to be applied in this order to one thread.
pub(crate) fn filters() -> Result<[BpfProgram; 2], SandboxError> {
    let refused = compile(refused()?, libc::EPERM)?;
    let unknown = compile(unknown(), libc::ENOSYS)?;
    Ok([refused, unknown])
}

/// Puts the calling thread, and all it will ever start, under the filters.
pub(crate) fn confine(filters: &[BpfProgram]) -> Result<(), SandboxError> {
    for filter in filters {
        seccompiler::apply_filter(filter).map_err(|error| SandboxError::Unavailable {
            reason: format!(
                "the kernel takes no system call filter (CONFIG_SECCOMP_FILTER): {error}"
            ),
        })?;
    }
    Ok(())
}

/// Calls answered with "not permitted".
fn refused() -> Result<Rules, SandboxError> {
    let mut rules = Rules::new();
    // The keys of the caller's session are in no namespace. The others are rich sources of kernel
    // bugs that tests do not need.
    for call in [
        libc::SYS_add_key,
        libc::SYS_keyctl,
        libc::SYS_request_key,
        libc::SYS_bpf,
        libc::SYS_open_by_handle_at,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
    ] {
        rules.insert(call, Vec::new());
    }
    // Sockets to the hypervisor, to Bluetooth and the like ignore the network namespace.
    let other_family: Vec<_> = SOCKET_FAMILIES
        .into_iter()
        .map(|family| when(0, Op::Ne, u64::from(family.unsigned_abs())))
        .collect();
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, vec![all(other_family.clone())?]);
    }
    // Nobody takes back the wish to die with the parent.
    rules.insert(
        libc::SYS_prctl,
        vec![all(vec![
            when(0, Op::Eq, u64::from(libc::PR_SET_PDEATHSIG.unsigned_abs())),
            when(1, Op::Ne, u64::from(libc::SIGKILL.unsigned_abs())),
        ])?],
    );
    set_id_files(&mut rules)?;
    Ok(rules)
}

/// No programs that run as their owner: in the job's folder they would belong to the caller.
fn set_id_files(rules: &mut Rules) -> Result<(), SandboxError> {
    let mut mode_at = vec![
        (libc::SYS_fchmod, 1),
        (libc::SYS_fchmodat, 2),
        (libc::SYS_mknodat, 2),
    ];
    let mut flags_then_mode_at = vec![(libc::SYS_openat, 2)];
    #[cfg(target_arch = "x86_64")]
    {
        mode_at.extend([
            (libc::SYS_chmod, 1),
            (libc::SYS_creat, 1),
            (libc::SYS_mknod, 1),
        ]);
        flags_then_mode_at.push((libc::SYS_open, 1));
    }
    for (call, mode) in mode_at.drain(..) {
        let any = SET_ID_BITS.map(|bit| all(vec![has(mode, bit)]));
        rules.insert(call, any.into_iter().collect::<Result<_, _>>()?);
    }
    for (call, flags) in flags_then_mode_at.drain(..) {
        // Without the flag the mode is whatever the register held.
        let create = libc::O_CREAT.unsigned_abs();
        let any = SET_ID_BITS.map(|bit| all(vec![has(flags, create), has(flags + 1, bit)]));
        rules.insert(call, any.into_iter().collect::<Result<_, _>>()?);
    }
    Ok(())
}

/// Calls answered as an older kernel would, because programs then fall back to plain ones: their
/// arguments are out of a filter's sight.
fn unknown() -> Rules {
    // fchmodat2; not yet named by the library.
    const FCHMODAT2: i64 = 452;
    [
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_io_uring_setup,
        libc::SYS_openat2,
        FCHMODAT2,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect()
}

fn compile(rules: Rules, answer: i32) -> Result<BpfProgram, SandboxError> {
    let arch =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| SandboxError::Unavailable {
            reason: "no system call filter for this processor".into(),
        })?;
    let answer = SeccompAction::Errno(answer.unsigned_abs());
    SeccompFilter::new(with_x32(rules), SeccompAction::Allow, answer, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| SandboxError::set_up(error.to_string()))
}

/// On `x86_64` some kernels take the same calls under a second set of numbers.
fn with_x32(mut rules: Rules) -> Rules {
    const X32_BIT: i64 = 0x4000_0000;
    if cfg!(target_arch = "x86_64") {
        let again: Rules = rules
            .iter()
            .map(|(call, rules)| (call | X32_BIT, rules.clone()))
            .collect();
        rules.extend(again);
    }
    rules
}

#[derive(Clone)]
struct Condition {
    argument: u8,
    op: Op,
    value: u64,
}

fn when(argument: u8, op: Op, value: u64) -> Condition {
    Condition {
        argument,
        op,
        value,
    }
}

fn has(argument: u8, bits: u32) -> Condition {
    when(argument, Op::MaskedEq(u64::from(bits)), u64::from(bits))
}

fn all(conditions: Vec<Condition>) -> Result<SeccompRule, SandboxError> {
    conditions
        .into_iter()
        .map(|it| SeccompCondition::new(it.argument, Len::Dword, it.op, it.value))
        .collect::<Result<Vec<_>, _>>()
        .and_then(SeccompRule::new)
        .map_err(|error| SandboxError::set_up(error.to_string()))
}
