//! The launcher of the sandboxed child, for this crate's own tests and tools: it confines itself and becomes the
//! program it was asked for. A server passes its own executable instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    kinora_media::sandbox::run_if_asked(std::env::args_os()).unwrap_or(ExitCode::FAILURE)
}
