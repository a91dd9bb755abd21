//! How far a generation is: a bar where a person watches, plain lines elsewhere. On standard error, so that
//! standard output holds the result alone.

use std::{
    io::{IsTerminal, stderr},
    sync::Mutex,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::print::tell;

/// Shows progress until it is dropped.
pub(super) struct ProgressDisplay {
    way: Way,
}

enum Way {
    Bar(ProgressBar),
    Lines(Mutex<Option<Line>>),
}

/// What the last line said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    stage: String,
    tenth: u32,
}

const STEPS: u64 = 1000;

impl ProgressDisplay {
    pub(super) fn start() -> ProgressDisplay {
        if !stderr().is_terminal() {
            return ProgressDisplay {
                way: Way::Lines(Mutex::new(None)),
            };
        }
        let style = ProgressStyle::with_template("{msg:<17} [{bar:40}] {percent:>3} %  {eta} left")
            .expect("the template names things there are")
            .progress_chars("=> ");
        ProgressDisplay {
            way: Way::Bar(ProgressBar::new(STEPS).with_style(style)),
        }
    }

    /// Shows what is being done, and how much of the whole is behind.
    pub(super) fn show(&self, stage: &str, fraction: f32) {
        let fraction = fraction.clamp(0.0, 1.0);
        match &self.way {
            Way::Bar(bar) => {
                bar.set_message(stage.to_owned());
                bar.set_position((fraction * STEPS as f32) as u64);
            }
            Way::Lines(last) => {
                let mut last = last.lock().expect("showing a line does not panic");
                if let Some(text) = next_line(&mut last, stage, fraction) {
                    tell(text);
                }
            }
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}

/// A line for every new stage and every tenth; steps, which stand behind the stage's name, get none of their own.
fn next_line(last: &mut Option<Line>, stage: &str, fraction: f32) -> Option<String> {
    let stage = stage.split(' ').next().unwrap_or_default();
    let line = Line {
        stage: stage.to_owned(),
        tenth: (fraction * 10.0) as u32,
    };
    let news = last.as_ref() != Some(&line);
    *last = Some(line);
    news.then(|| format!("{stage} {:.0} %", fraction * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_stages_and_tenths() {
        let mut last = None;
        let mut check = |stage, fraction, expected: Option<&str>| {
            assert_eq!(next_line(&mut last, stage, fraction).as_deref(), expected);
        };
        check("preparing", 0.0, Some("preparing 0 %"));
        check("preparing", 0.05, None);
        check("denoising", 0.05, Some("denoising 5 %"));
        check("denoising", 0.11, Some("denoising 11 %"));
        check("denoising 3/20", 0.12, None);
        check("done", 1.0, Some("done 100 %"));
    }
}
