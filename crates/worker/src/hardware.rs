//! What the machine gives to this process: the facts that a worker announces and people choose workers by.

use std::{fs, thread::available_parallelism};

use kinora_domain::Hardware;

/// As the process may use it: a container's share, where there is one.
pub fn hardware() -> Hardware {
    Hardware {
        cores: available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_bytes: memory_bytes(),
        cpu_features: cpu_features().into_iter().map(str::to_owned).collect(),
    }
}

/// The smaller of what the machine has and what the control group allows; 0 where neither can be learnt.
fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total(&text));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    [machine, group].into_iter().flatten().min().unwrap_or(0)
}

/// The line `MemTotal:  16384256 kB`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    macro_rules! found {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    let all = found!(
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512vnni",
        "avx512bf16"
    );
    all.into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        assert_eq!(
            total("MemFree: 1 kB\nMemTotal:       16384256 kB\n"),
            Some(16_384_256 * 1024)
        );
        assert_eq!(total("MemTotal: much"), None);
        let found = hardware();
        assert!(found.cores >= 1 && found.memory_bytes > 1 << 20, "{found:?}");
    }
}
