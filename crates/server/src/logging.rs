//! Where log lines go, and how they look. What is in them is said where they are written.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// Sends what `config` lets through to standard error, from now on. Standard output is for what was asked for.
pub fn start(config: &LogConfig) {
    let LogConfig { format, filter } = config;
    let lines = fmt::layer().with_writer(io::stderr);
    let filtered = registry().with(EnvFilter::new(filter));
    // Only a second start could fail here, and then the first one goes on.
    let _ = match format {
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => filtered
            .with(lines.with_ansi(io::stderr().is_terminal()).with_target(false))
            .try_init(),
    };
}
