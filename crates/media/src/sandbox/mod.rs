//! The sandbox a user's bytes are decoded in: what a child may touch, and the helper that confines itself before
//! it becomes that child.
//!
//! A process cannot be confined from outside without `unsafe` code between fork and exec. So the executable is
//! started a second time with a private verb, confines *itself* (rlimits, Landlock, seccomp, no new privileges),
//! and only then execs the program. What the program is asked to do is `child`'s business.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

mod filesystem;
mod report;
mod syscalls;

pub use report::SandboxReport;

/// The first argument that turns the executable into the launcher of a sandboxed child.
const VERB: &str = "__media-child";
/// As [`VERB`], but instead of becoming a program the launcher tries what must be denied and prints the outcome.
const REPORT_VERB: &str = "__media-child-report";
/// The launcher's exit code when it refused to go on; no media program ends with it.
pub(crate) const REFUSED: u8 = 124;
/// What the launcher's refusals begin with on standard error.
pub(crate) const REFUSAL_PREFIX: &str = "media sandbox: ";

/// Call first thing in `main`: when the process was started as a launcher this confines it and becomes the asked
/// program, returning only if that failed (or, for a report, when it is printed). `None`: an ordinary start.
pub fn run_if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    let outcome = match args.next()?.to_str()? {
        VERB => Order::parse(args)
            .and_then(Order::carry_out)
            .map(|never| match never {}),
        REPORT_VERB => Order::parse(args).and_then(report::print),
        _ => return None,
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "{REFUSAL_PREFIX}{}", crate::problem::chain(&error));
            ExitCode::from(REFUSED)
        }
    })
}

/// What happens when the kernel lacks a part of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxPolicy {
    /// No child is started without Landlock and seccomp.
    #[default]
    Required,
    /// A child is started with whatever the kernel offers; the operator chose this knowingly.
    BestEffort,
}

/// The executable that confines itself and becomes the child: one whose `main` calls [`run_if_asked`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    executable: PathBuf,
}

impl Launcher {
    /// Starts children through this executable.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
        }
    }

    /// Starts children through the running executable itself.
    pub fn current() -> io::Result<Self> {
        std::env::current_exe().map(Self::new)
    }

    /// The command that starts `program`, an absolute path, confined. Its environment is empty but for what makes
    /// output predictable.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        confinement: &Confinement,
        program: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.start(VERB, confinement);
        command.arg("--").arg(program).args(args);
        command
    }

    pub(crate) fn report_command(&self, confinement: &Confinement) -> Command {
        let mut command = self.start(REPORT_VERB, confinement);
        command.arg("--").arg(&self.executable);
        command
    }

    fn start(&self, verb: &str, confinement: &Confinement) -> Command {
        let mut command = Command::new(&self.executable);
        command.env_clear().arg(verb).args(confinement.to_args());
        command
    }
}

/// Everything one child may use. Whatever is not named here is denied, system libraries excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Files (or folders) it may read.
    pub read: Vec<PathBuf>,
    /// Files it may write, which exist already.
    pub write: Vec<PathBuf>,
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// Size of the largest file it may write, in bytes.
    pub file_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// What to do when the kernel lacks a part of the sandbox.
    pub policy: SandboxPolicy,
}

impl Confinement {
    fn to_args(&self) -> Vec<OsString> {
        let Self {
            read,
            write,
            memory_bytes,
            cpu_seconds,
            file_bytes,
            open_files,
            policy,
        } = self;
        let policy = match policy {
            SandboxPolicy::Required => "required",
            SandboxPolicy::BestEffort => "best-effort",
        };
        let mut args: Vec<OsString> = vec![
            format!("memory={memory_bytes}").into(),
            format!("cpu={cpu_seconds}").into(),
            format!("file={file_bytes}").into(),
            format!("files={open_files}").into(),
            format!("policy={policy}").into(),
        ];
        let paths = read
            .iter()
            .map(|path| ("read=", path))
            .chain(write.iter().map(|path| ("write=", path)));
        args.extend(paths.map(|(key, path)| {
            let mut arg = OsString::from(key);
            arg.push(path);
            arg
        }));
        args
    }

    /// Confines this very process, for good. Returns what Landlock enforces.
    fn apply(&self, program: &Path) -> Result<filesystem::Enforced, SandboxError> {
        let enforced = filesystem::restrict(self, program)?;
        self.limit_resources()?;
        match (syscalls::restrict(), self.policy) {
            (Ok(()), _) | (Err(_), SandboxPolicy::BestEffort) => Ok(enforced),
            (Err(error), SandboxPolicy::Required) => Err(error),
        }
    }

    /// The number of processes is left alone: the kernel counts a user's processes together, ours and the
    /// server's, so no figure fits; the system call filter denies new processes instead.
    fn limit_resources(&self) -> Result<(), SandboxError> {
        use rlimit::Resource;
        let limits = [
            (Resource::AS, self.memory_bytes),
            (Resource::CPU, self.cpu_seconds),
            (Resource::FSIZE, self.file_bytes),
            (Resource::NOFILE, self.open_files),
            (Resource::CORE, 0),
        ];
        for (resource, value) in limits {
            resource
                .set(value, value)
                .map_err(|source| SandboxError::LimitResource {
                    resource: resource.as_name(),
                    source,
                })?;
        }
        Ok(())
    }
}

/// The launcher's command line, parsed.
struct Order {
    confinement: Confinement,
    program: PathBuf,
    args: Vec<OsString>,
}

impl Order {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, SandboxError> {
        let mut confinement = Confinement {
            read: Vec::new(),
            write: Vec::new(),
            memory_bytes: 0,
            cpu_seconds: 0,
            file_bytes: 0,
            open_files: 0,
            policy: SandboxPolicy::Required,
        };
        for arg in args.by_ref().take_while(|arg| arg != "--") {
            let bytes = arg.as_bytes();
            let split = bytes
                .iter()
                .position(|&byte| byte == b'=')
                .ok_or(SandboxError::Order)?;
            let (key, value) = (&bytes[..split], OsStr::from_bytes(&bytes[split + 1..]));
            match key {
                b"read" => confinement.read.push(value.into()),
                b"write" => confinement.write.push(value.into()),
                b"memory" => confinement.memory_bytes = number(value)?,
                b"cpu" => confinement.cpu_seconds = number(value)?,
                b"file" => confinement.file_bytes = number(value)?,
                b"files" => confinement.open_files = number(value)?,
                b"policy" if value == "required" => confinement.policy = SandboxPolicy::Required,
                b"policy" if value == "best-effort" => confinement.policy = SandboxPolicy::BestEffort,
                _ => return Err(SandboxError::Order),
            }
        }
        let program = args.next().ok_or(SandboxError::Order)?.into();
        Ok(Self {
            confinement,
            program,
            args: args.collect(),
        })
    }

    fn carry_out(self) -> Result<std::convert::Infallible, SandboxError> {
        self.confinement.apply(&self.program)?;
        let source = Command::new(&self.program)
            .args(self.args)
            .env_clear()
            // One allocation arena per thread would reserve address space by the gigabyte.
            .env("MALLOC_ARENA_MAX", "2")
            .env("LC_ALL", "C")
            .env("AV_LOG_FORCE_NOCOLOR", "1")
            .exec();
        Err(SandboxError::Exec {
            program: self.program,
            source,
        })
    }
}

fn number(value: &OsStr) -> Result<u64, SandboxError> {
    value
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or(SandboxError::Order)
}

/// Why the launcher refused to start a child.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The launcher was called with a command line it did not write itself.
    #[error("the launcher was called by hand")]
    Order,
    /// A resource limit was not accepted.
    #[error("setting the limit {resource} failed")]
    LimitResource {
        /// The limit's name.
        resource: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file the child needs is not there, or not ours to open.
    #[error("opening {} for the child failed", path.display())]
    OpenPath {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: landlock::PathFdError,
    },
    /// The kernel refused the file rules.
    #[error("restricting the file system failed")]
    Landlock(#[source] landlock::RulesetError),
    /// The kernel has no Landlock, and the policy requires it.
    #[error(
        "this kernel offers no Landlock (Linux 5.13 or later, enabled at boot), which the policy requires"
    )]
    NoLandlock,
    /// The system call filter could not be built or installed.
    #[error("restricting system calls failed")]
    Seccomp(#[source] seccompiler::Error),
    /// The program could not be started.
    #[error("starting {} failed", program.display())]
    Exec {
        /// The program.
        program: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}
