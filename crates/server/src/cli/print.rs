//! Standard output and standard error, whoever reads them: `kinora key list | head -1` is no failure.

use std::{
    fmt,
    io::{self, ErrorKind, Write, stderr, stdout},
};

use super::failure::{Failure, Outcome};

/// Prints what was asked for, and a line break.
pub(super) fn print_line(text: impl fmt::Display) -> Outcome {
    print(&format!("{text}\n"))
}

/// Prints what was asked for. A reader that has heard enough has closed the pipe.
pub(super) fn print(text: &str) -> Outcome {
    match stdout()
        .write_all(text.as_bytes())
        .and_then(|()| stdout().flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::failed(format!(
            "standard output cannot be written: {error}"
        ))),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Tells a person how it goes. Nothing depends on being heard.
pub(super) fn tell(text: impl fmt::Display) {
    let _: io::Result<()> = writeln!(stderr(), "{text}");
}
