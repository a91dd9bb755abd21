//! The launcher of the sandboxed media child, for this crate's own tests; a server passes its own executable instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    kinora_media::sandbox::run_if_asked(std::env::args_os()).unwrap_or(ExitCode::FAILURE)
}
