//! What making a clip takes: time, processors and memory, stage by stage.
//!
//! Processor time and memory are the whole process's, as the system counts them. Where several clips are made at once they are all in it.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// What one or more clips have taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// In the order in which they began.
    pub stages: Vec<StageCost>,
    /// Steps that were carried over instead of computed.
    pub spared_steps: usize,
}

/// What a stage has taken, in all its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageCost {
    /// What was done.
    pub stage: &'static str,
    /// In how many steps, those included that were carried over.
    pub steps: usize,
    /// By the clock.
    pub wall: Duration,
    /// Of all processors together.
    pub cpu: Duration,
    /// The process's highest resident memory so far, in bytes, where it came to be in this stage.
    pub peak_bytes: Option<u64>,
}

impl Cost {
    /// Adds what another clip has taken.
    pub fn add(&mut self, other: Cost) {
        self.spared_steps += other.spared_steps;
        for stage in other.stages {
            match self.stages.iter_mut().find(|known| known.stage == stage.stage) {
                Some(known) => {
                    known.steps += stage.steps;
                    known.wall += stage.wall;
                    known.cpu += stage.cpu;
                    known.peak_bytes = known.peak_bytes.max(stage.peak_bytes);
                }
                None => self.stages.push(stage),
            }
        }
    }
}

/// Reads the clocks whenever a stage begins.
pub(crate) struct CostMeter {
    cost: Cost,
    now: Option<Running>,
    peak_bytes: Option<u64>,
}

/// A stage that has begun.
struct Running {
    stage: &'static str,
    step: usize,
    steps: usize,
    began: Instant,
    cpu: Duration,
}

impl CostMeter {
    pub(crate) fn start() -> CostMeter {
        CostMeter {
            cost: Cost::default(),
            now: None,
            peak_bytes: peak_bytes(),
        }
    }

    /// This step of this stage is at work.
    pub(crate) fn at(&mut self, stage: &'static str, step: usize) {
        match &mut self.now {
            Some(now) if now.stage == stage => {
                now.steps += usize::from(now.step != step);
                now.step = step;
            }
            Some(_) | None => {
                self.end();
                self.now = Some(Running {
                    stage,
                    step,
                    steps: 1,
                    began: Instant::now(),
                    cpu: cpu_time(),
                });
            }
        }
    }

    /// Nothing is at work.
    pub(crate) fn end(&mut self) {
        let Some(Running {
            stage,
            step: _,
            steps,
            began,
            cpu,
        }) = self.now.take()
        else {
            return;
        };
        let peak_bytes = peak_bytes();
        let has_grown = peak_bytes > self.peak_bytes;
        self.peak_bytes = peak_bytes;
        self.cost.add(Cost {
            stages: vec![StageCost {
                stage,
                steps,
                wall: began.elapsed(),
                cpu: cpu_time().saturating_sub(cpu),
                peak_bytes: peak_bytes.filter(|_| has_grown),
            }],
            spared_steps: 0,
        });
    }

    pub(crate) fn spared(&mut self, steps: usize) {
        self.cost.spared_steps += steps;
    }

    /// What everything since the start has taken.
    pub(crate) fn finish(mut self) -> Cost {
        self.end();
        self.cost
    }
}

/// What this process has taken of all processors so far.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The highest resident memory of this process so far, in bytes, mapped files included; `None` where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_added_up() {
        let mut meter = CostMeter::start();
        let mut burnt = 0u64;
        for (stage, step) in [
            ("load", 0),
            ("walk", 0),
            ("walk", 0),
            ("walk", 1),
            ("load", 0),
            ("walk", 2),
        ] {
            meter.at(stage, step);
            let began = cpu_time();
            while cpu_time() - began < Duration::from_millis(5) {
                burnt = burnt.wrapping_mul(31).wrapping_add(1);
            }
        }
        meter.spared(2);
        let cost = meter.finish();
        let found: Vec<_> = cost
            .stages
            .iter()
            .map(|stage| (stage.stage, stage.steps))
            .collect();
        assert_eq!(found, [("load", 2), ("walk", 3)], "{burnt}");
        assert_eq!(cost.spared_steps, 2);
        for (stage, least_ms) in cost.stages.iter().zip([10, 20]) {
            let least = Duration::from_millis(least_ms);
            assert!(stage.cpu >= least, "{stage:?}");
            // One thread: no more processors than one.
            assert!(stage.wall + Duration::from_millis(2) >= least, "{stage:?}");
        }
    }

    #[test]
    fn the_stage_that_takes_the_memory_is_told() {
        let mut meter = CostMeter::start();
        meter.at("small", 0);
        meter.at("large", 0);
        // Above whatever other tests of this process have taken.
        let bytes = vec![1u8; peak_bytes().unwrap() as usize + (64 << 20)];
        meter.at("after", 0);
        drop(bytes);
        let cost = meter.finish();
        let peak = |wanted| {
            cost.stages
                .iter()
                .find(|stage| stage.stage == wanted)
                .unwrap()
                .peak_bytes
        };
        assert!(peak("large").is_some_and(|bytes| bytes > 64 << 20), "{cost:?}");
        assert!(
            peak("after").is_none_or(|bytes| Some(bytes) >= peak("large")),
            "{cost:?}"
        );
    }
}
