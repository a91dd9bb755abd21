//! How much memory this machine, or the container that is all of it that we see, has for a model.

use std::fs;

/// Three quarters of the memory, in bytes: the rest is for what a model computes with, ffmpeg and everybody else. `None` where the
/// system does not tell.
pub(super) fn room_for_models() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total(&text));
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    let least = machine.into_iter().chain(container).min()?;
    Some(least / 4 * 3)
}

fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells() {
        assert_eq!(
            total("MemTotal:       24000000 kB\nMemFree: 1 kB\n"),
            Some(24_576_000_000)
        );
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(room_for_models().is_some_and(|bytes| bytes > 100 << 20));
    }
}
