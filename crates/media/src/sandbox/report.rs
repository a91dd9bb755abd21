//! What the sandbox really denies on this machine, found by starting a child that tries.

use std::{
    fs, io,
    io::Write,
    net::UdpSocket,
    path::Path,
    process::{Command, Stdio},
};

use super::{Confinement, Launcher, Order, SandboxError, filesystem::Enforced};

/// What a confined child was denied when it tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxReport {
    /// The Landlock version in force; `None` where the kernel has none.
    pub landlock_abi: Option<u32>,
    /// A file that was not given to the child could not be read.
    pub files_denied: bool,
    /// Nothing could be written outside the files given.
    pub writes_denied: bool,
    /// No socket could be opened.
    pub network_denied: bool,
    /// No process could be started.
    pub processes_denied: bool,
    /// Address space, processor time and file size are limited.
    pub resources_limited: bool,
}

impl SandboxReport {
    /// Whether everything that must be denied is denied.
    pub fn is_complete(&self) -> bool {
        let Self {
            landlock_abi,
            files_denied,
            writes_denied,
            network_denied,
            processes_denied,
            resources_limited,
        } = self;
        landlock_abi.is_some()
            && *files_denied
            && *writes_denied
            && *network_denied
            && *processes_denied
            && *resources_limited
    }

    /// Starts a child under `confinement` that tries everything and reports.
    pub(crate) fn take(launcher: &Launcher, confinement: &Confinement) -> Result<Self, String> {
        let output = launcher
            .report_command(confinement)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let found = |line: &str| stdout.lines().any(|l| l == line);
        if !output.status.success() || !found("end") {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Self {
            landlock_abi: stdout
                .lines()
                .find_map(|line| line.strip_prefix("landlock=")?.parse().ok()),
            files_denied: found("files denied"),
            writes_denied: found("writes denied"),
            network_denied: found("network denied"),
            processes_denied: found("processes denied"),
            resources_limited: found("resources limited"),
        })
    }
}

/// The child's side: confines itself, tries, and prints one line for each denial.
pub(super) fn print(order: Order) -> Result<(), SandboxError> {
    let Order {
        confinement,
        program,
        args: _,
    } = order;
    let enforced = confinement.apply(&program)?;
    let mut lines = Vec::new();
    if let Enforced::Landlock { abi } = enforced {
        lines.push(format!("landlock={abi}"));
    }
    let tries = [
        (
            "files denied",
            refused(fs::File::open("/etc/hostname")) && refused(fs::read_dir("/etc")),
        ),
        ("writes denied", refused(fs::File::create(probe_file()))),
        ("network denied", refused(UdpSocket::bind("127.0.0.1:0"))),
        (
            "processes denied",
            refused(Command::new(&program).stdout(Stdio::null()).spawn()),
        ),
        ("resources limited", limited(&confinement)),
    ];
    lines.extend(
        tries
            .into_iter()
            .filter(|(_, denied)| *denied)
            .map(|(line, _)| line.to_owned()),
    );
    lines.push("end".to_owned());
    // A parent that does not listen needs no report.
    let _ = writeln!(io::stdout(), "{}", lines.join("\n"));
    Ok(())
}

/// Whether the kernel said no, rather than that the thing is not there.
fn refused<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn probe_file() -> impl AsRef<Path> {
    std::env::temp_dir().join("kinora-sandbox-probe")
}

fn limited(confinement: &Confinement) -> bool {
    use rlimit::Resource;
    let Confinement {
        memory_bytes,
        cpu_seconds,
        file_bytes,
        ..
    } = confinement;
    [
        (Resource::AS, memory_bytes),
        (Resource::CPU, cpu_seconds),
        (Resource::FSIZE, file_bytes),
    ]
    .into_iter()
    .all(|(resource, value)| {
        resource
            .get()
            .is_ok_and(|(soft, hard)| soft == *value && hard == *value)
    })
}
