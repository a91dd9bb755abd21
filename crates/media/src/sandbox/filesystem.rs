//! The files a child may touch, enforced by Landlock: system libraries, the program itself, its inputs, its
//! outputs. Where the kernel can, TCP and signals to other processes are denied here too; `syscalls` denies all
//! sockets anyway.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Confinement, SandboxError, SandboxPolicy};

/// The newest rights asked for; older kernels enforce those they know.
const ABI_ASKED: ABI = ABI::V7;

/// Where the dynamic loader finds libraries, and the few files a C library opens by itself. Those that do not
/// exist are passed over. No program lies here that the system call filter would let the child start.
const SYSTEM_READ: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/sys/devices/system/cpu",
];

/// How much of the asked restriction the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enforced {
    /// With this version of Landlock.
    Landlock { abi: u32 },
    /// Not at all; only the best-effort policy goes on from here.
    Nothing,
}

/// Restricts this process and whatever it becomes.
pub(super) fn restrict(confinement: &Confinement, program: &Path) -> Result<Enforced, SandboxError> {
    let handled = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI_ASKED))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI_ASKED)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI_ASKED)))
        .and_then(Ruleset::create)
        .map_err(SandboxError::Landlock)?;

    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = AccessFs::ReadFile | AccessFs::Execute;
    let write = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let mut rules = handled
        .add_rules(path_beneath_rules(SYSTEM_READ, read | AccessFs::Execute))
        .map_err(SandboxError::Landlock)?;
    rules = allow(rules, program, run)?;
    for path in &confinement.read {
        let rights = if path.is_dir() {
            read
        } else {
            AccessFs::ReadFile.into()
        };
        rules = allow(rules, path, rights)?;
    }
    for path in &confinement.write {
        rules = allow(rules, path, write)?;
    }

    let status = rules.restrict_self().map_err(SandboxError::Landlock)?;
    match (status.ruleset, status.landlock, confinement.policy) {
        (
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced,
            LandlockStatus::Available { effective_abi, .. },
            _,
        ) => Ok(Enforced::Landlock {
            abi: effective_abi as u32,
        }),
        (_, _, SandboxPolicy::BestEffort) => Ok(Enforced::Nothing),
        (_, _, SandboxPolicy::Required) => Err(SandboxError::NoLandlock),
    }
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, SandboxError> {
    let opened = PathFd::new(path).map_err(|source| SandboxError::OpenPath {
        path: path.to_path_buf(),
        source,
    })?;
    rules
        .add_rule(PathBeneath::new(opened, rights))
        .map_err(SandboxError::Landlock)
}
