//! `kinora top`: the queue and its workers, drawn anew every second; once, or as JSON, for scripts.

use std::time::Duration;

use clap::Args;
use console::Term;
use kinora_domain::OfferFigures;
use kinora_store::Store;
use serde_json::json;

use super::{
    CommonArguments,
    accounts::with_store,
    failure::{Failure, Outcome, failed},
    print::{print, print_line},
    signals::StopSignals,
    table::Table,
    workers,
};
use crate::{
    compose::now,
    http::{
        queue::{Figures, WINDOW_MS},
        wire::QueueView,
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print it once
    #[arg(long)]
    once: bool,
    /// Print it once, for programs
    #[arg(long)]
    json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

pub(super) fn run(common: &CommonArguments, arguments: Arguments) -> Outcome {
    with_store(common, async |store, config| {
        let look = Look {
            store: &*store,
            lease_ms: config.queue.lease_ms,
        };
        match arguments {
            Arguments { json: true, .. } => print_line(json!(QueueView::new(&look.figures().await?))),
            Arguments { once: true, .. } => print(&look.drawn().await?),
            Arguments { every, .. } => watch(&look, Duration::from_secs(every)).await,
        }
    })
}

/// What is looked at.
struct Look<'a> {
    store: &'a dyn Store,
    lease_ms: u64,
}

impl Look<'_> {
    async fn figures(&self) -> Outcome<Figures> {
        Figures::read(self.store, self.lease_ms, now())
            .await
            .map_err(failed("the queue cannot be read"))
    }

    async fn drawn(&self) -> Outcome<String> {
        Ok(draw(&self.figures().await?, self.lease_ms))
    }
}

/// Draws until it is interrupted.
async fn watch(look: &Look<'_>, every: Duration) -> Outcome {
    let term = Term::stdout();
    if !term.is_term() {
        return Err(Failure::refused(
            "this is no terminal to draw on: --once prints it once, --json does for programs",
        ));
    }
    let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
    // On the terminal's other page, so that what stood there is there again in the end.
    print("\u{1b}[?1049h\u{1b}[?25l")?;
    let ended = async {
        loop {
            let page = fitted(&look.drawn().await?, term.size());
            print(&format!("\u{1b}[H\u{1b}[J{page}"))?;
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                _ = signals.next() => return Ok(()),
            }
        }
    }
    .await;
    print("\u{1b}[?25h\u{1b}[?1049l")?;
    ended
}

/// What fits on a terminal of so many rows and columns.
fn fitted(page: &str, (rows, columns): (u16, u16)) -> String {
    let lines = page.lines().take(usize::from(rows).saturating_sub(1));
    let cut = lines.map(|line| line.chars().take(columns.into()).collect::<String>());
    cut.collect::<Vec<_>>().join("\n")
}

/// The figures as two tables under a line of sums.
fn draw(figures: &Figures, lease_ms: u64) -> String {
    let sum = |of: fn(&OfferFigures) -> u64| figures.offers.iter().map(of).sum::<u64>();
    let minutes = WINDOW_MS / 60_000;
    let mut text = format!(
        "{}  queued {}  running {}  workers {}  in {minutes} min: {} done, {} failed, {} tried again\n\n",
        figures.at,
        sum(|offer| offer.queued),
        sum(|offer| offer.running),
        figures.workers.len(),
        sum(|offer| offer.succeeded),
        sum(|offer| offer.failed),
        sum(|offer| offer.retried),
    );
    let mut offers = Table::new([
        "offer", "queued", "oldest", "queue", "running", "workers", "work", "done", "failed", "again",
    ]);
    for offer in &figures.offers {
        let OfferFigures {
            offer: id,
            queued,
            oldest_queued_at,
            running,
            succeeded,
            failed,
            retried,
            work_ms,
        } = offer;
        offers.row([
            id.to_string(),
            queued.to_string(),
            oldest_queued_at.map_or("-".to_owned(), |since| span(figures.at.ms_since(since))),
            span(offer.queue_ms()),
            running.to_string(),
            figures.takers(id).0.to_string(),
            work_ms.map_or("-".to_owned(), span),
            succeeded.to_string(),
            failed.to_string(),
            retried.to_string(),
        ]);
    }
    text += &offers.render();
    text.push('\n');
    let mut workers = Table::new([
        "worker", "id", "state", "seen", "slots", "running", "cores", "memory", "version", "offers",
    ]);
    for worker in &figures.workers {
        workers.row(workers::row(worker, lease_ms));
    }
    text + &workers.render()
}

/// A span of time as people say it.
fn span(ms: u64) -> String {
    match ms / 1000 {
        _ if ms < 10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

#[cfg(test)]
mod tests {
    use kinora_domain::{OfferId, Timestamp};

    use super::*;

    #[test]
    fn spans_are_said_shortly() {
        let check = |ms, expected: &str| assert_eq!(span(ms), expected);
        check(0, "0.0 s");
        check(9_940, "9.9 s");
        check(10_000, "10 s");
        check(119_999, "119 s");
        check(120_000, "2 min");
        check(7_199_000, "119 min");
        check(7_200_000, "2 h");
    }

    #[test]
    fn a_page_fits_its_terminal() {
        let figures = Figures {
            at: Timestamp(1_000_000),
            offers: vec![OfferFigures {
                queued: 4,
                oldest_queued_at: Some(Timestamp(940_000)),
                work_ms: Some(2_000),
                succeeded: 7,
                ..OfferFigures::none(OfferId("wan-mini".to_owned()))
            }],
            workers: Vec::new(),
        };
        let page = draw(&figures, 15_000);
        assert!(page.contains("wan-mini       4  60 s    8.0 s"), "{page}");
        let small = fitted(&page, (4, 20));
        assert_eq!(small.lines().count(), 3);
        assert!(small.lines().all(|line| line.chars().count() <= 20), "{small}");
    }
}
