//! Sigmas, timesteps and every step of the solvers.

use kinora_wan::sampling::Schedule;
use kinora_wan::sampling::Solver;
use kinora_wan::sampling::SolverKind;

use crate::golden::Golden;
use crate::golden::check;

const TOLERANCE: f32 = 1e-6;

#[test]
fn schedules_and_steps_equal_the_reference() {
    let golden = Golden::open("schedulers/cases.safetensors");
    let kinds = [
        ("unipc", SolverKind::UniPc),
        ("dpmpp", SolverKind::DpmPp),
        ("euler", SolverKind::Euler),
    ];
    for (name, kind) in kinds {
        for (steps, shift) in [(1, 5.0), (2, 3.0), (3, 1.0), (8, 5.0), (20, 3.0), (50, 16.0)] {
            let case = format!("{name}.{steps}.{shift}");
            let schedule = Schedule::new(kind, steps, shift);
            assert_eq!(
                schedule.timesteps,
                golden.numbers(&format!("{case}.timesteps")),
                "{case}"
            );
            assert_eq!(
                schedule.sigmas,
                golden.numbers(&format!("{case}.sigmas")),
                "{case}"
            );
            let mut solver = Solver::new(kind, &schedule);
            let mut sample = golden.tensor(&format!("{case}.start"));
            for step in 0..steps {
                let velocity = golden.tensor(&format!("{case}.velocity.{step}"));
                sample = solver.step(&velocity, &sample).unwrap();
                let expected = format!("{case}.sample.{step}");
                if golden.has(&expected) {
                    check(&expected, &sample, &golden.tensor(&expected), TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn distilled_lists_are_shifted_and_end_at_the_clip() {
    let schedule = Schedule::distilled(&[1000.0, 750.0, 500.0, 250.0], 5.0);
    assert_eq!(schedule.sigmas, [1.0, 0.9375, 0.833_333_3, 0.625, 0.0]);
    assert_eq!(schedule.timesteps, [1000.0, 937.5, 833.333_3, 625.0]);
}
