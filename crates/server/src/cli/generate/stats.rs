//! What a video took: for people as a table, for programs as JSON.

use std::time::{Duration, Instant};

use kinora_engine::{Cost, StageCost, cost};
use kinora_hub::size;
use serde_json::{Value, json};

use crate::cli::table::Table;

/// From the beginning of the work on.
pub(super) struct Clock {
    began: Instant,
    cpu: Duration,
}

/// What the work took.
pub(super) struct Stats {
    cost: Cost,
    wall: Duration,
    cpu: Duration,
    /// Of the process, in its whole life.
    peak_bytes: Option<u64>,
}

/// What is no stage of the engine: inputs, the encoder, files.
const REST: &str = "everything else";

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            began: Instant::now(),
            cpu: cost::cpu_time(),
        }
    }

    pub(super) fn stop(self, cost: Cost) -> Stats {
        Stats {
            cost,
            wall: self.began.elapsed(),
            cpu: cost::cpu_time().saturating_sub(self.cpu),
            peak_bytes: cost::peak_bytes(),
        }
    }
}

impl Stats {
    /// One line a stage, then the whole and the memory.
    pub(super) fn to_text(&self) -> String {
        let mut table = Table::new(["stage", "seconds", "cpu/wall", "steps", "s/step"]);
        for stage in &self.cost.stages {
            let steps = if stage.steps > 1 { stage.steps } else { 0 };
            table.row(row(stage.stage, stage.wall, stage.cpu, steps));
        }
        let (wall, cpu) = self.rest();
        table.row(row(REST, wall, cpu, 0));
        table.row(row("in all", self.wall, self.cpu, 0));
        let mut text = table.render();
        if self.cost.spared_steps > 0 {
            text += &format!(
                "{} steps were carried over instead of computed\n",
                self.cost.spared_steps
            );
        }
        if let Some(peak) = self.peak_bytes {
            text += &format!(
                "at most {} of memory, in the stage: {}\n",
                size(peak),
                self.peak_stage()
            );
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let stage = |name: &str, wall: Duration, cpu: Duration, steps: usize| {
            json!({
                "stage": name,
                "seconds": wall.as_secs_f64(),
                "cpu_seconds": cpu.as_secs_f64(),
                "steps": steps,
                "seconds_per_step": wall.as_secs_f64() / steps.max(1) as f64,
            })
        };
        let listed = |cost: &StageCost| stage(cost.stage, cost.wall, cost.cpu, cost.steps);
        let mut stages: Vec<Value> = self.cost.stages.iter().map(listed).collect();
        let (wall, cpu) = self.rest();
        stages.push(stage(REST, wall, cpu, 1));
        json!({
            "stages": stages,
            "seconds": self.wall.as_secs_f64(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "spared_steps": self.cost.spared_steps,
            "peak_bytes": self.peak_bytes,
            "peak_stage": self.peak_bytes.map(|_| self.peak_stage()),
        })
    }

    /// Beside the stages of the engine.
    fn rest(&self) -> (Duration, Duration) {
        let sum = |of: fn(&StageCost) -> Duration| -> Duration { self.cost.stages.iter().map(of).sum() };
        (
            self.wall.saturating_sub(sum(|stage| stage.wall)),
            self.cpu.saturating_sub(sum(|stage| stage.cpu)),
        )
    }

    /// In which stage the memory came to be as much as it ever was.
    fn peak_stage(&self) -> &'static str {
        let highest = self.cost.stages.iter().max_by_key(|stage| stage.peak_bytes);
        let highest =
            highest.filter(|stage| stage.peak_bytes.is_some() && stage.peak_bytes >= self.peak_bytes);
        highest.map_or(REST, |stage| stage.stage)
    }
}

fn row(name: &str, wall: Duration, cpu: Duration, steps: usize) -> [String; 5] {
    let seconds = wall.as_secs_f64();
    let of_steps = |text: String| if steps > 0 { text } else { String::new() };
    [
        name.to_owned(),
        format!("{seconds:.2}"),
        format!("{:.2}", cpu.as_secs_f64() / seconds.max(1e-9)),
        of_steps(steps.to_string()),
        of_steps(format!("{:.3}", seconds / steps.max(1) as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        let stage = |stage, steps, wall_ms, cpu_ms, peak_bytes| StageCost {
            stage,
            steps,
            wall: Duration::from_millis(wall_ms),
            cpu: Duration::from_millis(cpu_ms),
            peak_bytes,
        };
        Stats {
            cost: Cost {
                stages: vec![
                    stage("text encoder", 2, 1_000, 1_500, Some(3_000_000_000)),
                    stage("transformer", 20, 30_000, 60_000, Some(5_000_000_000)),
                    stage("VAE, decoding", 1, 4_000, 8_000, None),
                ],
                spared_steps: 8,
            },
            wall: Duration::from_millis(36_000),
            cpu: Duration::from_millis(70_000),
            peak_bytes: Some(5_000_000_000),
        }
    }

    #[test]
    fn people_read_a_table() {
        let expected = "\
STAGE            SECONDS  CPU/WALL  STEPS  S/STEP
text encoder        1.00      1.50      2   0.500
transformer        30.00      2.00     20   1.500
VAE, decoding       4.00      2.00
everything else     1.00      0.50
in all             36.00      1.94
8 steps were carried over instead of computed
at most 5.00 GB of memory, in the stage: transformer
";
        assert_eq!(stats().to_text(), expected);
    }

    #[test]
    fn programs_read_the_same() {
        let told = stats().to_json();
        assert_eq!(told["stages"][1]["seconds_per_step"], 1.5);
        assert_eq!(told["stages"][3]["stage"], "everything else");
        assert_eq!(told["peak_stage"], "transformer");
        assert_eq!(told["spared_steps"], 8);
        // Where the memory grew after the engine was done, no stage of it is to blame.
        let grown = Stats {
            peak_bytes: Some(6_000_000_000),
            ..stats()
        };
        assert_eq!(grown.to_json()["peak_stage"], "everything else");
    }
}
