//! What a confined child cannot do.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use kinora_media::{
    ChildLimits, MediaDefect, MediaProblem, Toolbox, ToolboxError, ToolboxOptions, inspect,
    limits::MediaKind,
    sandbox::{Confinement, Launcher, SandboxPolicy},
};

use crate::media::{Folder, clip, hasty_toolbox, launcher, toolbox};

fn confinement() -> Confinement {
    Confinement {
        read: Vec::new(),
        write: Vec::new(),
        memory_bytes: 1 << 30,
        cpu_seconds: 10,
        file_bytes: 1 << 20,
        open_files: 64,
        policy: SandboxPolicy::Required,
    }
}

fn run(confinement: &Confinement, program: &str, args: &str) -> Output {
    let program = fs::canonicalize(program).unwrap();
    launcher()
        .command(confinement, &program, args.split_whitespace())
        .output()
        .unwrap()
}

fn check_denied(what: &str, outcome: &Output, reason: &str) {
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    assert!(!outcome.status.success(), "{what} was allowed");
    assert!(stderr.contains(reason), "{what}: {stderr}");
}

#[test]
fn the_report_finds_everything_denied() {
    let report = toolbox().sandbox_report().unwrap();
    assert!(report.is_complete(), "{report:?}");
}

#[test]
fn files_not_given_cannot_be_read() {
    let folder = Folder::new();
    let secret = folder.write("secret", "the database");
    let given = folder.write("given", "a medium");
    for path in [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/1/cmdline",
        secret.to_str().unwrap(),
    ] {
        check_denied(path, &run(&confinement(), "/bin/cat", path), "Permission denied");
    }
    let confinement = Confinement {
        read: vec![given.clone()],
        ..confinement()
    };
    let allowed = run(&confinement, "/bin/cat", given.to_str().unwrap());
    assert_eq!(allowed.stdout, b"a medium");
    check_denied(
        "its folder",
        &run(&confinement, "/bin/ls", given.parent().unwrap().to_str().unwrap()),
        "denied",
    );
}

#[test]
fn ffmpeg_itself_cannot_read_what_was_not_given() {
    let folder = Folder::new();
    let secret = clip(&folder, "secret.mp4", "320x240", 30, 1.0);
    let args = format!("-hide_banner -loglevel error -i {} -f null -", secret.display());
    check_denied(
        "a foreign clip",
        &run(&confinement(), "/usr/bin/ffmpeg", &args),
        "Permission denied",
    );
}

#[test]
fn nothing_can_be_written_but_the_output() {
    let folder = Folder::new();
    let output = folder.write("output.wav", "");
    let elsewhere = folder.path("elsewhere.wav");
    let confinement = Confinement {
        write: vec![output.clone()],
        ..confinement()
    };
    let args = |path: &Path| format!("-loglevel error -y -f lavfi -i anullsrc -t 1 {}", path.display());
    check_denied(
        "a new file",
        &run(&confinement, "/usr/bin/ffmpeg", &args(&elsewhere)),
        "Permission denied",
    );
    assert!(!elsewhere.exists());
    assert!(
        run(&confinement, "/usr/bin/ffmpeg", &args(&output))
            .status
            .success()
    );
    assert!(output.metadata().unwrap().len() > 1000);
    let owner = format!("0:0 {}", output.display());
    check_denied(
        "a change of owner",
        &run(&confinement, "/bin/chown", &owner),
        "not permitted",
    );
    let mode = format!("777 {}", output.display());
    check_denied(
        "a change of mode",
        &run(&confinement, "/bin/chmod", &mode),
        "not permitted",
    );
    check_denied(
        "removal",
        &run(&confinement, "/bin/rm", &format!("-f {}", output.display())),
        "Permission denied",
    );
}

#[test]
fn no_socket_can_be_opened() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [
        format!("tcp://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/a.mp4"),
        format!("udp://127.0.0.1:{port}"),
    ] {
        let outcome = run(
            &confinement(),
            "/usr/bin/ffmpeg",
            &format!("-loglevel error -i {url} -f null -"),
        );
        check_denied(&url, &outcome, "Operation not permitted");
    }
    assert!(listener.accept().is_err(), "something connected");
}

#[test]
fn no_process_can_be_started() {
    let outcome = run(&confinement(), "/usr/bin/env", "/bin/cat /dev/null");
    check_denied("another program", &outcome, "Permission denied");
    // The libraries' folder may be read and mapped, so a program in it could be started, but not as a second process.
    let forks = run(&confinement(), "/usr/bin/xargs", "true");
    check_denied("a fork", &forks, "");
}

#[test]
fn memory_is_limited() {
    let small = Confinement {
        memory_bytes: 300 << 20,
        ..confinement()
    };
    check_denied(
        "an allocation",
        &run(&small, "/bin/dd", "bs=500M count=1"),
        "memory exhausted",
    );
    let folder = Folder::new();
    let large = folder.make(
        "large.png",
        "-f lavfi -i color=s=8000x8000:r=1 -frames:v 1 -threads 2",
    );
    let limits = ChildLimits {
        memory_bytes: 300 << 20,
        wall: Duration::from_secs(5),
        ..ChildLimits::default()
    };
    let options = ToolboxOptions {
        limits,
        ..ToolboxOptions::new(launcher())
    };
    let problem = inspect(&Toolbox::find(options).unwrap(), MediaKind::Image, &large).unwrap_err();
    assert_eq!(problem.defect(), Some(&MediaDefect::TooExpensive));
    assert!(inspect(&toolbox(), MediaKind::Image, &large).is_ok());
}

#[test]
fn file_size_is_limited() {
    let folder = Folder::new();
    let output = folder.write("output.wav", "");
    let confinement = Confinement {
        write: vec![output.clone()],
        ..confinement()
    };
    let args = format!(
        "-loglevel error -y -f lavfi -i anullsrc -t 60 {}",
        output.display()
    );
    check_denied("a large file", &run(&confinement, "/usr/bin/ffmpeg", &args), "");
    assert!(output.metadata().unwrap().len() <= 1 << 20);
}

#[test]
fn processor_time_is_limited() {
    let confinement = Confinement {
        cpu_seconds: 1,
        ..confinement()
    };
    let begun = Instant::now();
    let endless = "-loglevel error -f lavfi -i testsrc2=s=1920x1080 -f null -";
    check_denied(
        "an endless run",
        &run(&confinement, "/usr/bin/ffmpeg", endless),
        "",
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn waiting_is_limited() {
    let folder = Folder::new();
    let hasty = hasty_toolbox(Duration::from_millis(1500));
    // A stream that decodes for longer than the limit without showing a frame.
    let options = kinora_media::frames::ReadOptions {
        width: 320,
        height: 240,
        fps: kinora_media::frames::Fps {
            frames: 1,
            seconds: 100,
        },
        start_ms: 0,
        max_frames: 10,
        fit: kinora_media::frames::Fit::Cover,
    };
    let slow = folder.make(
        "slow.mp4",
        "-f lavfi -i testsrc2=s=3840x2160:r=60:d=8 -c:v libx264 -preset ultrafast -g 999",
    );
    let begun = Instant::now();
    let first = kinora_media::frames::FrameReader::open(&hasty, &slow, options)
        .unwrap()
        .next();
    assert!(
        matches!(first, Some(Err(MediaProblem::Defect(MediaDefect::TooExpensive)))),
        "{first:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[test]
fn a_missing_ffmpeg_is_told_with_its_remedy() {
    let options = ToolboxOptions {
        ffmpeg: Some(PathBuf::from("/nowhere/ffmpeg")),
        ..ToolboxOptions::new(launcher())
    };
    let error = Toolbox::find(options).unwrap_err();
    assert!(matches!(error, ToolboxError::NoFfmpeg));
    assert!(error.to_string().contains("apt install ffmpeg"), "{error}");
}

#[test]
fn a_program_that_is_not_ffmpeg_is_told_apart() {
    let options = ToolboxOptions {
        ffmpeg: Some(PathBuf::from("/bin/false")),
        ..ToolboxOptions::new(launcher())
    };
    assert!(matches!(
        Toolbox::find(options),
        Err(ToolboxError::NotWorking { .. })
    ));
    let options = ToolboxOptions {
        ffmpeg: Some(PathBuf::from("/bin/true")),
        ..ToolboxOptions::new(launcher())
    };
    assert!(matches!(
        Toolbox::find(options),
        Err(ToolboxError::NoEncoder { .. })
    ));
    let options = ToolboxOptions::new(Launcher::new("/nowhere/kinora"));
    assert!(matches!(Toolbox::find(options), Err(ToolboxError::Spawn(_))));
}
