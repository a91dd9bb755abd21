//! The binary `kinora`: a media child where it was started as one, else the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First, and before any thread: a sandboxed child confines this very process.
    if let Some(ended) = kinora_media::sandbox::run_if_asked(std::env::args_os()) {
        return ended;
    }
    kinora_server::cli::run()
}
