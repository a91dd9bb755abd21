//! ffmpeg, found and ready: where it is, who launches it confined, and how much it may use.

use std::{
    env, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    child::{Child, Ending, Job},
    sandbox::{Confinement, Launcher, SandboxPolicy, SandboxReport},
};

/// A working ffmpeg with its sandbox. Cheap to clone; every child is started through one.
#[derive(Clone, Debug)]
pub struct Toolbox {
    ffmpeg: PathBuf,
    launcher: Launcher,
    limits: ChildLimits,
    policy: SandboxPolicy,
}

/// What [`Toolbox::find`] is told.
#[derive(Clone, Debug)]
pub struct ToolboxOptions {
    /// ffmpeg's path; `None` looks it up in `PATH`.
    pub ffmpeg: Option<PathBuf>,
    /// The executable that becomes the child.
    pub launcher: Launcher,
    /// What a child may use.
    pub limits: ChildLimits,
    /// What happens when the kernel lacks a part of the sandbox.
    pub policy: SandboxPolicy,
}

impl ToolboxOptions {
    /// ffmpeg from `PATH`, the default limits, a required sandbox.
    pub fn new(launcher: Launcher) -> Self {
        Self {
            ffmpeg: None,
            launcher,
            limits: ChildLimits::default(),
            policy: SandboxPolicy::Required,
        }
    }
}

/// What one child may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time of a probe or of one picture, in seconds.
    pub probe_cpu_seconds: u64,
    /// Processor time of a stream of frames, read or encoded, in seconds.
    pub stream_cpu_seconds: u64,
    /// The longest wait for a probe, or for the next frame of a stream; then the child is killed.
    pub wall: Duration,
    /// The largest file a child may write, in bytes.
    pub file_bytes: u64,
    /// Threads of a codec.
    pub threads: usize,
}

impl Default for ChildLimits {
    fn default() -> Self {
        Self {
            // The largest accepted still, 8000×8000 with alpha, needs 1.1 GB on its way through scaling.
            memory_bytes: 3 << 30,
            probe_cpu_seconds: 30,
            stream_cpu_seconds: 3600,
            wall: Duration::from_secs(30),
            file_bytes: 4 << 30,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(8),
        }
    }
}

impl Toolbox {
    /// Finds ffmpeg, starts it once inside the sandbox, and checks that it has the encoders needed.
    pub fn find(options: ToolboxOptions) -> Result<Self, ToolboxError> {
        let ToolboxOptions {
            ffmpeg,
            launcher,
            limits,
            policy,
        } = options;
        let ffmpeg = locate(ffmpeg)?;
        let toolbox = Self {
            ffmpeg,
            launcher,
            limits,
            policy,
        };
        let encoders = toolbox.ask("-encoders")?;
        for encoder in ["libx264", "aac", "mjpeg"] {
            if !encoders
                .lines()
                .any(|line| line.split_whitespace().nth(1) == Some(encoder))
            {
                return Err(ToolboxError::NoEncoder {
                    ffmpeg: toolbox.ffmpeg,
                    encoder,
                });
            }
        }
        Ok(toolbox)
    }

    /// Starts a child that tries what must be denied, and tells what was.
    pub fn sandbox_report(&self) -> Result<SandboxReport, ToolboxError> {
        let confinement = self.confinement(Vec::new(), Vec::new(), self.limits.probe_cpu_seconds);
        SandboxReport::take(&self.launcher, &confinement).map_err(|reason| ToolboxError::Sandbox { reason })
    }

    /// Where ffmpeg is.
    pub fn ffmpeg(&self) -> &Path {
        &self.ffmpeg
    }

    /// The first line of ffmpeg's own version text, asked of a child.
    pub fn version(&self) -> Result<String, ToolboxError> {
        let text = self.ask("-version")?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// What a child may use.
    pub fn limits(&self) -> &ChildLimits {
        &self.limits
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    pub(crate) fn confinement(
        &self,
        read: Vec<PathBuf>,
        write: Vec<PathBuf>,
        cpu_seconds: u64,
    ) -> Confinement {
        let ChildLimits {
            memory_bytes,
            file_bytes,
            ..
        } = self.limits;
        Confinement {
            read,
            write,
            memory_bytes,
            cpu_seconds,
            file_bytes,
            open_files: 64,
            policy: self.policy,
        }
    }

    fn ask(&self, question: &str) -> Result<String, ToolboxError> {
        let mut answer = Vec::new();
        let job = Job::probe(["-hide_banner", question]);
        match Child::run(self, job, &mut |bytes| answer.extend_from_slice(bytes))? {
            Ending::Success => Ok(String::from_utf8_lossy(&answer).into_owned()),
            ending => Err(ToolboxError::NotWorking {
                ffmpeg: self.ffmpeg.clone(),
                detail: ending.to_string(),
            }),
        }
    }
}

fn locate(given: Option<PathBuf>) -> Result<PathBuf, ToolboxError> {
    let found = match given {
        Some(path) => path.is_file().then_some(path),
        None => env::var_os("PATH").and_then(|folders| {
            env::split_paths(&folders)
                .map(|folder| folder.join("ffmpeg"))
                .find(|path| path.is_file())
        }),
    };
    // The sandbox names the real file: a link's target is what the kernel opens.
    found
        .and_then(|path| path.canonicalize().ok())
        .ok_or(ToolboxError::NoFfmpeg)
}

/// Why no child can be started.
#[derive(Debug, thiserror::Error)]
pub enum ToolboxError {
    /// There is no ffmpeg.
    #[error(
        "ffmpeg was not found: install it (Debian and Ubuntu: `apt install ffmpeg`, Fedora: `dnf install \
         ffmpeg`, or unpack a static build) or set its path in the configuration"
    )]
    NoFfmpeg,
    /// It does not run.
    #[error("{} does not run: {detail}", ffmpeg.display())]
    NotWorking {
        /// The ffmpeg found.
        ffmpeg: PathBuf,
        /// Its last words.
        detail: String,
    },
    /// It cannot encode what is needed.
    #[error("{} has no encoder {encoder}: install a full build of ffmpeg", ffmpeg.display())]
    NoEncoder {
        /// The ffmpeg found.
        ffmpeg: PathBuf,
        /// The encoder's name.
        encoder: &'static str,
    },
    /// The launcher could not be started.
    #[error("starting a media child failed")]
    Spawn(#[source] io::Error),
    /// The launcher refused to go on unconfined.
    #[error("the media sandbox could not be set up: {reason}")]
    Sandbox {
        /// What the launcher said.
        reason: String,
    },
}
