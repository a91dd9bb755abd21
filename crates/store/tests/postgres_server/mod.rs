//! A PostgreSQL of one's own: made in a temporary folder, reached through a socket in it, gone with its owner.
//!
//! For tests, and for `cargo xtask test`, which includes this file: it uses the standard library alone. The server may
//! not run as root, so that root starts it as the user `postgres`, which Debian's package makes. It ends when its owner
//! does, in whatever way: a shell between the two waits for the end of a pipe.

use std::{
    env, fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long a server may take to start, recovery after a crash included.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A running server, with its data.
pub(crate) struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<User>,
    process: Option<(Child, ChildStdin)>,
}

/// Who runs it, where that is not who we are.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Server {
    /// A new server with nothing in it. What it commits is on disk, as in earnest.
    pub(crate) fn start() -> Result<Server, String> {
        let programs = programs().ok_or(
            "PostgreSQL's programs (initdb, postgres) are neither in /usr/lib/postgresql nor on the PATH; \
             `cargo xtask setup` installs them",
        )?;
        let user = user()?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("kinora-pg-{}-{}", std::process::id(), since_epoch.subsec_nanos());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let mut server = Server {
            folder,
            programs,
            user,
            process: None,
        };
        server.hand_over()?;
        let data = server.folder.join("data");
        let made = server
            .command("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .output()
            .map_err(|error| format!("initdb cannot be started: {error}"))?;
        if !made.status.success() {
            return Err(format!(
                "initdb failed: {}",
                String::from_utf8_lossy(&made.stderr)
            ));
        }
        server.run()?;
        Ok(server)
    }

    /// Where its database `postgres` is; who asks may do everything.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@localhost/postgres?host={}",
            self.folder.display()
        )
    }

    /// Ends the server as a loss of power would, and starts it on what is left on disk.
    pub(crate) fn crash_and_restart(&mut self) -> Result<(), String> {
        self.crash();
        self.run()
    }

    /// Ends the server as a loss of power would.
    pub(crate) fn crash(&mut self) {
        if let Some((child, mut pipe)) = self.process.take() {
            let _ = pipe.write_all(b"keep\n");
            end(child, pipe);
        }
    }

    /// Starts it on what is left on disk.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let log = fs::File::create(self.folder.join("log")).map_err(|error| format!("no log: {error}"))?;
        let settings = [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", self.folder.display()),
            "max_connections=300".to_owned(),
            "shared_buffers=64MB".to_owned(),
            "fsync=on".to_owned(),
        ];
        // SIGQUIT is an immediate shutdown: nothing is written any more.
        let watch = "folder=$1; shift; \"$@\" </dev/null & server=$!; read word; kill -QUIT $server; wait $server; \
                     [ \"$word\" = keep ] || rm -rf -- \"$folder\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", watch, "sh"])
            .arg(&self.folder)
            .arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.folder.join("data"));
        for setting in settings {
            command.args(["-c", &setting]);
        }
        let log_too = log.try_clone().map_err(|error| format!("no log: {error}"))?;
        self.as_user(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(log_too)
            .spawn()
            .map_err(|error| format!("postgres cannot be started: {error}"))?;
        let pipe = child.stdin.take().ok_or("no pipe to the server")?;
        self.process = Some((child, pipe));
        self.wait()
    }

    fn wait(&self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < START_PATIENCE {
            let ready = self
                .command("pg_isready")
                .arg("-q")
                .arg("-h")
                .arg(&self.folder)
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(format!("PostgreSQL did not start: {log}"))
    }

    fn hand_over(&self) -> Result<(), String> {
        let failed = |error| format!("{} cannot be handed over: {error}", self.folder.display());
        if let Some(User { uid, gid }) = self.user {
            std::os::unix::fs::chown(&self.folder, Some(uid), Some(gid)).map_err(failed)?;
        }
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)).map_err(failed)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.as_user(&mut command);
        command
    }

    fn as_user(&self, command: &mut Command) {
        // Not from where the tests run: that user may not look there.
        command.current_dir("/");
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.process.take() {
            Some((child, pipe)) => end(child, pipe),
            None => {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// Lets go of the server, and waits until it is gone.
fn end(mut child: Child, pipe: ChildStdin) {
    drop(pipe);
    let _ = child.wait();
}

/// Where PostgreSQL's programs are: the newest of Debian's, or else those on the PATH.
pub(crate) fn programs() -> Option<PathBuf> {
    let has_programs = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, folder)| has_programs(folder))
        .max()
        .map(|(_, folder)| folder);
    newest.or_else(|| env::split_paths(&env::var_os("PATH")?).find(|folder| has_programs(folder)))
}

/// The user `postgres`, for root.
fn user() -> Result<Option<User>, String> {
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some(User {
        uid: id(&["-u", "postgres"])?,
        gid: id(&["-g", "postgres"])?,
    }))
}

fn id(arguments: &[&str]) -> Result<u32, String> {
    let answer = Command::new("id").args(arguments).output();
    let answer = answer.map_err(|error| format!("id cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&answer.stdout);
    text.trim().parse().map_err(|_| {
        format!(
            "id {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&answer.stderr)
        )
    })
}
