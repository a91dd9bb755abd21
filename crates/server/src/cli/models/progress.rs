//! How far a download is: a bar where a person watches, plain lines elsewhere. On standard error.

use std::{
    collections::HashMap,
    io::{IsTerminal, stderr},
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};
use kinora_hub::{Event, Plan, size};

use crate::cli::print::tell;

/// Shows progress until it is dropped.
pub(super) struct PullDisplay {
    bar: Option<ProgressBar>,
    total: u64,
    files: usize,
    so_far: Mutex<SoFar>,
}

#[derive(Default)]
struct SoFar {
    /// By file.
    bytes: HashMap<String, u64>,
    done: usize,
    /// Of the whole, told the last time.
    tenth: u64,
}

impl PullDisplay {
    pub(super) fn start(plan: &Plan) -> PullDisplay {
        let present = plan
            .files
            .iter()
            .map(|file| (file.name.clone(), file.present_bytes));
        let style = ProgressStyle::with_template(
            "{msg:<17} [{bar:40}] {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}  {eta} left",
        )
        .expect("the template names things there are")
        .progress_chars("=> ");
        let total = plan.bytes();
        let bar = stderr()
            .is_terminal()
            .then(|| ProgressBar::new(total).with_style(style));
        if let Some(bar) = &bar {
            // What was here already says nothing of the line's speed.
            bar.set_position(plan.present_bytes());
            bar.reset_eta();
        }
        PullDisplay {
            bar,
            total,
            files: plan.files.len(),
            so_far: Mutex::new(SoFar {
                bytes: present.collect(),
                done: 0,
                tenth: plan.present_bytes() * 10 / total.max(1),
            }),
        }
    }

    pub(super) fn show(&self, event: Event<'_>) {
        match event {
            Event::At { file, bytes } => {
                let mut so_far = self.so_far();
                if let Some(known) = so_far.bytes.get_mut(file) {
                    *known = bytes;
                }
                let sum: u64 = so_far.bytes.values().sum();
                let tenth = sum * 10 / self.total.max(1);
                let news = tenth > so_far.tenth;
                so_far.tenth = tenth;
                match &self.bar {
                    Some(bar) => bar.set_position(sum),
                    None if news => tell(format_args!("{} % of {}", tenth * 10, size(self.total))),
                    None => {}
                }
            }
            Event::Done { file, is_verified } => {
                let mut so_far = self.so_far();
                so_far.done += 1;
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("{} of {} files", so_far.done, self.files));
                }
                drop(so_far);
                if !is_verified {
                    self.say(&format!(
                        "{file} has the right length; the Hub gives no hash to check it by"
                    ));
                }
            }
            Event::Again { file, why } => self.say(&format!("{file}: {why}; trying again")),
            Event::Waiting { file } => self.say(&format!("another process fetches {file}; waiting for it")),
        }
    }

    fn say(&self, sentence: &str) {
        let tell = || tell(format_args!("kinora: {sentence}"));
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PullDisplay {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
