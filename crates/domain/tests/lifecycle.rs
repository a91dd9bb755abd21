//! The whole life of a generation as one table: every status against every event. Whoever changes a rule sees here
//! what else it changes.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fmt::Write;

use kinora_domain::{
    Effect, Event, Failure, FailureCode, IllegalTransition, Lease, Status, Success, Timestamp, WorkerId,
};

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(2_000);
const ATTEMPTS_MAX: u32 = 3;

fn lease(token: u64) -> Lease {
    Lease {
        worker: WorkerId::new(NOW, 1),
        token,
        expires_at: Timestamp(9_000),
    }
}

fn success() -> Success {
    Success {
        artifacts: Vec::new(),
        actual_prompt: None,
        warnings: Vec::new(),
    }
}

fn failure() -> Failure {
    Failure {
        code: FailureCode::ContentRejected,
        message: "Rejected.".to_owned(),
    }
}

fn statuses() -> Vec<(&'static str, Status)> {
    let running = |attempts, cancel_requested| Status::Running {
        lease: lease(7),
        attempts,
        cancel_requested,
    };
    vec![
        ("queued", Status::new(NOW)),
        (
            "queued, tried twice",
            Status::Queued {
                attempts: 2,
                not_before: NOW,
            },
        ),
        (
            "queued for later",
            Status::Queued {
                attempts: 1,
                not_before: LATER,
            },
        ),
        ("running", running(1, false)),
        ("running, last attempt", running(ATTEMPTS_MAX, false)),
        ("running, to be canceled", running(2, true)),
        ("succeeded", Status::Succeeded(success())),
        ("failed", Status::Failed(failure())),
        ("canceled", Status::Canceled),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    let fail = |token, retry_at| Event::Fail {
        token,
        failure: failure(),
        retry_at,
    };
    vec![
        ("claim", Event::Claim(lease(8))),
        (
            "succeed",
            Event::Succeed {
                token: 7,
                success: success(),
            },
        ),
        (
            "succeed, old lease",
            Event::Succeed {
                token: 6,
                success: success(),
            },
        ),
        ("fail", fail(7, None)),
        ("fail, try again", fail(7, Some(LATER))),
        ("fail, old lease", fail(6, Some(LATER))),
        ("give back", Event::GiveBack { token: 7 }),
        ("give back, old lease", Event::GiveBack { token: 6 }),
        (
            "lease expired",
            Event::LeaseExpired {
                attempts_max: ATTEMPTS_MAX,
            },
        ),
        ("cancel", Event::Cancel),
        ("stopped", Event::Stopped { token: 7 }),
        ("stopped, old lease", Event::Stopped { token: 6 }),
        ("deadline passed", Event::DeadlinePassed),
    ]
}

fn shown(status: &Status) -> String {
    match status {
        Status::Queued { attempts, not_before } => format!("queued {attempts} from {}", not_before.0),
        Status::Running {
            lease,
            attempts,
            cancel_requested,
        } => {
            let cancel = if *cancel_requested { ", to be canceled" } else { "" };
            format!("running {attempts} under {}{cancel}", lease.token)
        }
        Status::Succeeded(_) => "succeeded".to_owned(),
        Status::Failed(failure) => format!("failed: {}", failure.code.as_str()),
        Status::Canceled => "canceled".to_owned(),
    }
}

fn table() -> String {
    let mut table = String::new();
    for (name, status) in statuses() {
        writeln!(table, "{name}").unwrap();
        for (event_name, event) in events() {
            let outcome = match status.apply(event, NOW) {
                Ok((next, effects)) => {
                    let effects: Vec<_> = effects.iter().map(|effect| format!("{effect:?}")).collect();
                    format!("{} [{}]", shown(&next), effects.join(", "))
                }
                Err(error) => format!("- {error}"),
            };
            writeln!(table, "  {event_name}: {outcome}").unwrap();
        }
    }
    table
}

#[test]
fn the_whole_table() {
    let found = table();
    assert!(found == EXPECTED, "the table is now:\n{found}");
}

/// What the table means for money: a hold ends exactly when the status does, and terminal statuses have no exits.
#[test]
fn holds_end_with_the_life_and_once() {
    for (name, status) in statuses() {
        for (event_name, event) in events() {
            let applied = status.apply(event, NOW);
            if status.is_terminal() {
                let refused = matches!(applied, Err(IllegalTransition::AlreadyFinished(_)));
                assert!(refused, "{name}, {event_name}");
                continue;
            }
            let Ok((next, effects)) = applied else { continue };
            let ends = |effect: &&Effect| matches!(effect, Effect::CaptureHold | Effect::ReleaseHold);
            let expected = match &next {
                Status::Queued { .. } | Status::Running { .. } => None,
                Status::Succeeded(_) => Some(Effect::CaptureHold),
                Status::Failed(_) | Status::Canceled => Some(Effect::ReleaseHold),
            };
            let found: Vec<Effect> = effects.iter().filter(ends).copied().collect();
            assert_eq!(
                found,
                expected.into_iter().collect::<Vec<_>>(),
                "{name}, {event_name}"
            );
        }
    }
}

const EXPECTED: &str = "\
queued
  claim: running 1 under 8 [Announce]
  succeed: - a generation that is queued cannot succeed
  succeed, old lease: - a generation that is queued cannot succeed
  fail: - a generation that is queued cannot fail
  fail, try again: - a generation that is queued cannot fail
  fail, old lease: - a generation that is queued cannot fail
  give back: - a generation that is queued cannot be given back
  give back, old lease: - a generation that is queued cannot be given back
  lease expired: - a generation that is queued cannot lose its lease
  cancel: canceled [ReleaseHold, Announce]
  stopped: - a generation that is queued cannot be stopped
  stopped, old lease: - a generation that is queued cannot be stopped
  deadline passed: failed: timeout [ReleaseHold, Announce]
queued, tried twice
  claim: running 3 under 8 [Announce]
  succeed: - a generation that is queued cannot succeed
  succeed, old lease: - a generation that is queued cannot succeed
  fail: - a generation that is queued cannot fail
  fail, try again: - a generation that is queued cannot fail
  fail, old lease: - a generation that is queued cannot fail
  give back: - a generation that is queued cannot be given back
  give back, old lease: - a generation that is queued cannot be given back
  lease expired: - a generation that is queued cannot lose its lease
  cancel: canceled [ReleaseHold, Announce]
  stopped: - a generation that is queued cannot be stopped
  stopped, old lease: - a generation that is queued cannot be stopped
  deadline passed: failed: timeout [ReleaseHold, Announce]
queued for later
  claim: - a generation that is queued cannot be claimed
  succeed: - a generation that is queued cannot succeed
  succeed, old lease: - a generation that is queued cannot succeed
  fail: - a generation that is queued cannot fail
  fail, try again: - a generation that is queued cannot fail
  fail, old lease: - a generation that is queued cannot fail
  give back: - a generation that is queued cannot be given back
  give back, old lease: - a generation that is queued cannot be given back
  lease expired: - a generation that is queued cannot lose its lease
  cancel: canceled [ReleaseHold, Announce]
  stopped: - a generation that is queued cannot be stopped
  stopped, old lease: - a generation that is queued cannot be stopped
  deadline passed: failed: timeout [ReleaseHold, Announce]
running
  claim: - a generation that is running cannot be claimed
  succeed: succeeded [CaptureHold, Announce]
  succeed, old lease: - the lease was lost
  fail: failed: content_rejected [ReleaseHold, Announce]
  fail, try again: queued 1 from 2000 [Announce]
  fail, old lease: - the lease was lost
  give back: queued 0 from 1000 []
  give back, old lease: - the lease was lost
  lease expired: queued 1 from 1000 [Announce]
  cancel: running 1 under 7, to be canceled [Announce]
  stopped: - a generation that is running cannot be stopped
  stopped, old lease: - the lease was lost
  deadline passed: failed: timeout [ReleaseHold, Announce]
running, last attempt
  claim: - a generation that is running cannot be claimed
  succeed: succeeded [CaptureHold, Announce]
  succeed, old lease: - the lease was lost
  fail: failed: content_rejected [ReleaseHold, Announce]
  fail, try again: queued 3 from 2000 [Announce]
  fail, old lease: - the lease was lost
  give back: queued 2 from 1000 []
  give back, old lease: - the lease was lost
  lease expired: failed: engine_failed [ReleaseHold, Announce]
  cancel: running 3 under 7, to be canceled [Announce]
  stopped: - a generation that is running cannot be stopped
  stopped, old lease: - the lease was lost
  deadline passed: failed: timeout [ReleaseHold, Announce]
running, to be canceled
  claim: - a generation that is running cannot be claimed
  succeed: succeeded [CaptureHold, Announce]
  succeed, old lease: - the lease was lost
  fail: canceled [ReleaseHold, Announce]
  fail, try again: canceled [ReleaseHold, Announce]
  fail, old lease: - the lease was lost
  give back: canceled [ReleaseHold, Announce]
  give back, old lease: - the lease was lost
  lease expired: canceled [ReleaseHold, Announce]
  cancel: running 2 under 7, to be canceled []
  stopped: canceled [ReleaseHold, Announce]
  stopped, old lease: - the lease was lost
  deadline passed: canceled [ReleaseHold, Announce]
succeeded
  claim: - the generation has ended already: succeeded
  succeed: - the generation has ended already: succeeded
  succeed, old lease: - the generation has ended already: succeeded
  fail: - the generation has ended already: succeeded
  fail, try again: - the generation has ended already: succeeded
  fail, old lease: - the generation has ended already: succeeded
  give back: - the generation has ended already: succeeded
  give back, old lease: - the generation has ended already: succeeded
  lease expired: - the generation has ended already: succeeded
  cancel: - the generation has ended already: succeeded
  stopped: - the generation has ended already: succeeded
  stopped, old lease: - the generation has ended already: succeeded
  deadline passed: - the generation has ended already: succeeded
failed
  claim: - the generation has ended already: failed
  succeed: - the generation has ended already: failed
  succeed, old lease: - the generation has ended already: failed
  fail: - the generation has ended already: failed
  fail, try again: - the generation has ended already: failed
  fail, old lease: - the generation has ended already: failed
  give back: - the generation has ended already: failed
  give back, old lease: - the generation has ended already: failed
  lease expired: - the generation has ended already: failed
  cancel: - the generation has ended already: failed
  stopped: - the generation has ended already: failed
  stopped, old lease: - the generation has ended already: failed
  deadline passed: - the generation has ended already: failed
canceled
  claim: - the generation has ended already: canceled
  succeed: - the generation has ended already: canceled
  succeed, old lease: - the generation has ended already: canceled
  fail: - the generation has ended already: canceled
  fail, try again: - the generation has ended already: canceled
  fail, old lease: - the generation has ended already: canceled
  give back: - the generation has ended already: canceled
  give back, old lease: - the generation has ended already: canceled
  lease expired: - the generation has ended already: canceled
  cancel: - the generation has ended already: canceled
  stopped: - the generation has ended already: canceled
  stopped, old lease: - the generation has ended already: canceled
  deadline passed: - the generation has ended already: canceled
";
