//! `cargo xtask test`: every check of the project, one after another, and one line that sums them up.
//!
//! A step that fails does not keep the next from running: one run tells everything that is wrong.

use std::fs;
use std::ops::AddAssign;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::Outcome;
use crate::run::{cargo, read_and_show, stop_if_interrupted, succeed, target, works};
use crate::{clients, schemathesis, setup, studio, tidy};

/// The steps in the order in which they run: the quick ones first.
const STEPS: &[(&str, Step)] = &[
    ("dependencies are fetched", || {
        check(&mut cargo(["fetch", "--locked"]))
    }),
    ("format", || check(&mut cargo(["fmt", "--all", "--check"]))),
    ("licences, bans, sources", || {
        check(&mut cargo([
            "deny",
            "--offline",
            "check",
            "bans",
            "licenses",
            "sources",
        ]))
    }),
    ("advisories", advisories),
    ("tidy", || tidy::run().map(|()| Count::ONE_PASSED)),
    ("lints", || {
        check(&mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--keep-going",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("tests", tests),
    ("documentation tests", documentation_tests),
    ("API against its description", api),
    ("clients", clients),
    ("pages", pages),
];

type Step = fn() -> Outcome<Count>;

/// Runs every step and ends with `N passed, N failed`.
pub(crate) fn run() -> Outcome {
    setup::for_tests()?;
    let mut total = Count::default();
    let mut summary = Vec::new();
    for (name, step) in STEPS {
        stop_if_interrupted()?;
        println!("\n== {name}");
        let start = Instant::now();
        let count = step().unwrap_or_else(|failure| {
            println!("{}", failure.0);
            Count::ONE_FAILED
        });
        summary.push(line(name, count, start.elapsed()));
        total += count;
    }
    println!("\n== summary\n{}\n\n{}", summary.join("\n"), total.sentence());
    // The closing line stays the last one: the exit code says the rest.
    if total.failed == 0 { Ok(()) } else { Err("".into()) }
}

/// Executed tests; a step that is no test runner counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    const ONE_PASSED: Count = Count {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    const ONE_FAILED: Count = Count {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    const ONE_SKIPPED: Count = Count {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    fn sentence(self) -> String {
        let Count {
            passed,
            failed,
            skipped,
        } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(
        &mut self,
        Count {
            passed,
            failed,
            skipped,
        }: Count,
    ) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }
}

fn check(command: &mut Command) -> Outcome<Count> {
    succeed(command).map(|()| Count::ONE_PASSED)
}

/// Known vulnerabilities. Their database is a repository of its own, which not every machine can reach.
fn advisories() -> Outcome<Count> {
    let mut fetch = cargo(["deny", "fetch", "db"]);
    // A connection that carries nothing for twenty seconds counts as none.
    fetch
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
        .env("GIT_HTTP_LOW_SPEED_TIME", "20");
    if !works(&mut fetch) {
        println!("LEFT OUT: the advisory database cannot be fetched from here.");
        return Ok(Count::ONE_SKIPPED);
    }
    check(&mut cargo(["deny", "--offline", "check", "advisories"]))
}

fn tests() -> Outcome<Count> {
    let mut nextest = cargo(["nextest", "run", "--workspace", "--profile", "ci"]);
    // The Hub's own client, which shares a cache with ours.
    nextest.env("HF_PYTHON", clients::venv().join("bin/python"));
    counted(&mut nextest, &target().join("nextest/ci/junit.xml"))
}

fn api() -> Outcome<Count> {
    schemathesis::run().map(|()| Count::ONE_PASSED)
}

/// Whether the pages are what their sources build to, then the pages in a browser.
fn pages() -> Outcome<Count> {
    if let Some(reason) = setup::node_is_too_old()? {
        println!("LEFT OUT: {reason}.");
        return Ok(Count::ONE_SKIPPED);
    }
    let mut count = check_pages();
    count += reported(&mut studio::browser_tests()?, count_of_tap)?;
    Ok(count)
}

/// The one step, for who works on the clients.
pub(crate) fn clients_alone() -> Outcome {
    setup::for_clients()?;
    setup::node()?;
    let count = clients()?;
    println!("\n{}", count.sentence());
    if count.failed == 0 { Ok(()) } else { Err("".into()) }
}

/// The programs that speak to a server, each against the same one.
fn clients() -> Outcome<Count> {
    let server = clients::server()?;
    let mut count = reported(&mut clients::python_tests(&server)?, count_of_pytest)?;
    match clients::node_tests(&server)? {
        Ok(mut tests) => count += reported(&mut tests, count_of_tap)?,
        Err(reason) => {
            println!("LEFT OUT: {reason}.");
            count += Count::ONE_SKIPPED;
        }
    }
    server.stop()?;
    Ok(count)
}

/// Runs a test runner that ends with a summary, and takes the count from there.
fn reported(runner: &mut Command, count_of: fn(&str) -> Count) -> Outcome<Count> {
    let (success, text) = read_and_show(runner)?;
    let mut count = count_of(&text);
    // A runner that never came to its summary has not passed.
    if count.failed == 0 && (!success || count.passed == 0) {
        count += Count::ONE_FAILED;
    }
    Ok(count)
}

fn check_pages() -> Count {
    match studio::check() {
        Ok(()) => Count::ONE_PASSED,
        Err(failure) => {
            println!("{}", failure.0);
            Count::ONE_FAILED
        }
    }
}

/// nextest cannot run these; cargo's own runner prints one result line per crate.
fn documentation_tests() -> Outcome<Count> {
    let (success, text) = read_and_show(&mut cargo(["test", "--doc", "--workspace"]))?;
    let count = count_of_result_lines(&text);
    if success || count.failed > 0 {
        Ok(count)
    } else {
        Err("the documentation tests did not run".into())
    }
}

/// Runs a test runner that leaves a JUnit report, and takes the count from there.
fn counted(runner: &mut Command, report: &Path) -> Outcome<Count> {
    // A report of the last run must not count for this one.
    let _ = fs::remove_file(report);
    let ended = succeed(runner);
    let count = fs::read_to_string(report)
        .ok()
        .and_then(|xml| count_of_junit(&xml));
    match (ended, count) {
        (Ok(()), Some(count)) => Ok(count),
        (Ok(()), None) => Err(format!("there is no report in {}", report.display()).into()),
        (Err(failure), Some(count)) if count.failed > 0 => {
            println!("{}", failure.0);
            Ok(count)
        }
        (Err(failure), _) => Err(failure),
    }
}

/// Reads the attributes of the root element.
fn count_of_junit(xml: &str) -> Option<Count> {
    let (_, rest) = xml.split_once("<testsuites")?;
    let (root, _) = rest.split_once('>')?;
    let attribute = |name: &str| -> Option<u64> {
        let (_, rest) = root.split_once(&format!(" {name}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    };
    let failed = attribute("failures")? + attribute("errors")?;
    let skipped = attribute("skipped").unwrap_or(0);
    let passed = attribute("tests")?.checked_sub(failed + skipped)?;
    Some(Count {
        passed,
        failed,
        skipped,
    })
}

/// Adds up lines like `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn count_of_result_lines(text: &str) -> Count {
    let mut total = Count::default();
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        let before = |noun: &str| {
            let place = words.iter().position(|word| *word == noun)?;
            words.get(place.checked_sub(1)?)?.parse().ok()
        };
        total += Count {
            passed: before("passed").unwrap_or(0),
            failed: before("failed").unwrap_or(0),
            skipped: before("ignored").unwrap_or(0),
        };
    }
    total
}

/// Reads the summary at the end: `# pass 3`, `# fail 0`, `# skipped 1` …
fn count_of_tap(text: &str) -> Count {
    let number = |noun: &str| {
        let line = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("# ")?.strip_prefix(noun));
        line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
    };
    Count {
        passed: number("pass "),
        failed: number("fail ") + number("cancelled "),
        skipped: number("skipped "),
    }
}

/// Reads the last line: `2 failed, 10 passed, 1 skipped, 1 error in 3.21s`.
fn count_of_pytest(text: &str) -> Count {
    let last = text
        .lines()
        .rev()
        .find(|line| line.contains(" in "))
        .unwrap_or_default();
    let words: Vec<&str> = last.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let before = |nouns: &[&str]| -> u64 {
        let pairs = words.windows(2).filter(|pair| nouns.contains(&pair[1]));
        pairs.filter_map(|pair| pair[0].parse::<u64>().ok()).sum()
    };
    Count {
        passed: before(&["passed"]),
        failed: before(&["failed", "error", "errors"]),
        skipped: before(&["skipped", "deselected", "xfailed"]),
    }
}

fn line(name: &str, count: Count, took: Duration) -> String {
    let verdict = match count {
        Count { failed: 1.., .. } => "FAILED",
        Count {
            passed: 0,
            skipped: 1..,
            ..
        } => "left out",
        _ => "ok",
    };
    format!(
        "{verdict:<8} {:>5} s  {name}: {}",
        took.as_secs(),
        count.sentence()
    )
}

#[cfg(test)]
mod tests {
    use super::{Count, count_of_junit, count_of_pytest, count_of_result_lines, count_of_tap};

    #[test]
    fn counts_are_read_from_reports() {
        let check = |xml: &str, expected| assert_eq!(count_of_junit(xml), expected, "{xml}");
        let count = |passed, failed, skipped| {
            Some(Count {
                passed,
                failed,
                skipped,
            })
        };
        check(
            r#"<?xml?><testsuites name="run" tests="12" failures="2" errors="1" time="1">"#,
            count(9, 3, 0),
        );
        check(
            r#"<testsuites disabled="0" errors="0" failures="0" tests="7"><testsuite/>"#,
            count(7, 0, 0),
        );
        check(
            r#"<testsuites name="a" tests="7" skipped="2" failures="1" errors="0">"#,
            count(4, 1, 2),
        );
        check(r#"<testsuites tests="1" failures="2" errors="0">"#, None);
        check("<testsuite tests=\"1\">", None);
        check("", None);
    }

    #[test]
    fn counts_are_read_from_result_lines() {
        let check = |text, passed, failed, skipped| {
            assert_eq!(
                count_of_result_lines(text),
                Count {
                    passed,
                    failed,
                    skipped
                },
                "{text}"
            );
        };
        check(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n",
            3,
            0,
            1,
        );
        check(
            "a\ntest result: ok. 1 passed; 0 failed\ntest result: FAILED. 2 passed; 4 failed\n",
            3,
            4,
            0,
        );
        check("3 passed; 4 failed", 0, 0, 0);
    }

    #[test]
    fn counts_are_read_from_pytest() {
        let check = |text, passed, failed, skipped| {
            let expected = Count {
                passed,
                failed,
                skipped,
            };
            assert_eq!(count_of_pytest(text), expected, "{text}");
        };
        check("....  [100%]\n12 passed in 10.51s\n", 12, 0, 0);
        check(
            "1 passed in a test\n2 failed, 3 passed, 1 skipped, 4 errors in 3.21s\n",
            3,
            6,
            1,
        );
        check("no tests ran in 0.01s\n", 0, 0, 0);
        check("", 0, 0, 0);
    }

    #[test]
    fn counts_are_read_from_tap() {
        let check = |text: &str, passed, failed, skipped| {
            assert_eq!(
                count_of_tap(text),
                Count {
                    passed,
                    failed,
                    skipped
                },
                "{text}"
            );
        };
        check(
            "ok 1 - a\n1..1\n# tests 9\n# pass 6\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 0\n",
            6,
            2,
            1,
        );
        // A test's own words come before the summary.
        check("# pass 7\nnot ok 1\n# pass 0\n# fail 1\n", 0, 1, 0);
        check("TAP version 13\n", 0, 0, 0);
    }
}
