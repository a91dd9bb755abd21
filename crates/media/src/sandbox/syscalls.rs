//! The system calls a child may not make: sockets, new processes, other processes, mounts, kernel interfaces,
//! owners and modes of files. They answer "not permitted", so that a library that merely tries goes on.
//!
//! A list of denials, not of permissions: ffmpeg, its hundred libraries and the C library come in many versions,
//! and one permission too few would break them on somebody's machine. Landlock and the rlimits stand beside it.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::SandboxError;

const NETWORK: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    // A ring carries socket operations past this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

const OTHER_PROCESSES: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_kill,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

const NAMESPACES_AND_MOUNTS: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
];

const KERNEL: &[i64] = &[
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_fanotify_init,
    libc::SYS_inotify_init1,
];

/// Landlock does not govern these, and the server may run as root.
const OWNERS_AND_MODES: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_utimensat,
    libc::SYS_setrlimit,
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_inotify_init,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[i64] = &[];

/// On x86-64 the same calls can be made with this bit set, where the kernel has the x32 interface.
#[cfg(target_arch = "x86_64")]
const TWINS: &[i64] = &[0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const TWINS: &[i64] = &[0];

/// Restricts this process and whatever it becomes.
pub(super) fn restrict() -> Result<(), SandboxError> {
    let no_clone3 = program(not_implemented(), libc::ENOSYS).map_err(backend)?;
    let denied = denied().map_err(backend)?;
    let not_permitted = program(denied, libc::EPERM).map_err(backend)?;
    for filter in [no_clone3, not_permitted] {
        seccompiler::apply_filter(&filter).map_err(SandboxError::Seccomp)?;
    }
    Ok(())
}

fn denied() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let groups = [
        NETWORK,
        OTHER_PROCESSES,
        NAMESPACES_AND_MOUNTS,
        KERNEL,
        OWNERS_AND_MODES,
        LEGACY,
    ];
    let always = groups.into_iter().flatten().map(|&call| (call, Vec::new()));
    // Threads are wanted, processes are not; reading one's limits is harmless, raising them is not.
    let thread_flag = SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64);
    let not_a_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, thread_flag, 0)?;
    let sets_a_limit = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    let sometimes = [
        (libc::SYS_clone, vec![SeccompRule::new(vec![not_a_thread])?]),
        (libc::SYS_prlimit64, vec![SeccompRule::new(vec![sets_a_limit])?]),
    ];
    Ok(twinned(always.chain(sometimes)))
}

/// `clone3` hides its flags in memory, where a filter cannot look; "not implemented" makes libraries use `clone`.
fn not_implemented() -> BTreeMap<i64, Vec<SeccompRule>> {
    twinned([(libc::SYS_clone3, Vec::new())])
}

fn twinned(calls: impl IntoIterator<Item = (i64, Vec<SeccompRule>)>) -> BTreeMap<i64, Vec<SeccompRule>> {
    let twin = |(call, rules): (i64, Vec<SeccompRule>)| {
        TWINS
            .iter()
            .map(move |bit| (call | bit, rules.clone()))
            .collect::<Vec<_>>()
    };
    calls.into_iter().flat_map(twin).collect()
}

fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, answer: i32) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let denial = SeccompAction::Errno(answer.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, denial, architecture)?.try_into()
}

fn backend(error: BackendError) -> SandboxError {
    SandboxError::Seccomp(seccompiler::Error::Backend(error))
}
