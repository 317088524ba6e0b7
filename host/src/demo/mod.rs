//! The demonstration: a very-high message passes a newsletter that is being sent, on this machine and for anybody to see.
//!
//! Relay, client and next hop are the ones that `serve`, delivery and `sink` are made of, in one process, on loopback,
//! with ports that are free and a data folder that is removed at the end. What is told at the end comes from the next
//! hop's own record of chunks; the relay is asked for two things only: what is paused at the moment, which is drawn, and
//! whether an attempt was charged.
//!
//! `plan` says what is sent, `stage` sets up the parts and takes them down, `client` submits, `record` keeps what the
//! next hop saw, `scene` says what there is to see at a moment, `bars` and `lines` show it, `figures` reckons up.

mod bars;
mod client;
mod figures;
mod lines;
mod plan;
mod record;
mod scene;
mod stage;

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use figures::Figures;

use bars::Bars;
use client::Accepted;
use lines::Lines;
use plan::{Plan, RESET};
use record::Record;
use scene::{Scene, Watch};
use stage::Stage;

use crate::relay::StartError;
use crate::sink::{Recorded, SinkError};

/// How often the picture changes: often enough to look smooth, and no work for a terminal at the other end of a line.
const FRAME: Duration = Duration::from_millis(80);

/// How long nothing may arrive anywhere. A send that is paused trickles once a second, so that this is a machine that
/// stands still, or a fault.
const STANDSTILL_MAX: Duration = Duration::from_secs(30);

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Octets per second that the relay may send in all.
    pub capacity: NonZeroU64,
    /// Copies of the newsletter.
    pub messages: usize,
    /// Octets of each.
    pub octets: u64,
}

impl Options {
    /// How long the newsletter takes when nothing comes in between.
    fn takes(&self) -> Duration {
        let octets = self.octets.saturating_mul(self.messages as u64);
        Duration::from_secs_f64(octets as f64 / self.capacity.get() as f64)
    }
}

/// The shortest newsletter: while it is sent, it must be submitted as a whole, stop and go on.
const TAKES_LEAST: Duration = Duration::from_secs(4);

/// The longest: nobody looks on for longer.
const TAKES_MOST: Duration = Duration::from_secs(600);

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A picture that is drawn anew while it changes, on a terminal.
    Bars {
        /// Whether the terminal shows block characters.
        unicode: bool,
    },
    /// A line for each change.
    Lines,
    /// Only the figures at the end, as JSON.
    Json,
}

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// What was asked for shows nothing.
    #[error("{0}")]
    Options(String),
    /// No temporary folder can be had, or it cannot be removed.
    #[error("the temporary folder {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The next hop does not start.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The relay does not start.
    #[error(transparent)]
    Relay(#[from] StartError),
    /// The relay does not do what it is asked to.
    #[error("{what}: {problem}")]
    Refused {
        /// What.
        what: String,
        /// Why not.
        problem: String,
    },
    /// Nothing moves.
    #[error(
        "nothing has arrived for {} s; is this machine very busy?",
        STANDSTILL_MAX.as_secs()
    )]
    Standstill,
    /// Somebody stopped it.
    #[error("stopped before the end; nothing is left of it")]
    Stopped,
    /// What is seen is not what was promised.
    #[error("not all of this holds: {0}")]
    Broken(String),
    /// The picture cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Shows it to the end, or until `stop` is done, and removes what it has made in either case.
///
/// # Errors
/// Whatever keeps it from its end, and [`DemoError::Broken`] when not all of what it is to show is so.
pub async fn run(
    options: Options,
    show: Show,
    out: &mut (dyn Write + Send),
    stop: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    check(&options)?;
    let plan = Plan::new(&options);
    let mut display = Display::new(show, out);
    display.opening(&plan)?;
    let (stage, arrivals) = Stage::set(&plan).await?;
    let played = tokio::select! {
        played = play(&plan, &stage, arrivals, &mut display) => played,
        () = stop => Err(DemoError::Stopped),
    };
    let struck = stage.strike().await;
    let figures = played?;
    struck?;
    display.figures(&figures)?;
    match figures.failed() {
        failed if failed.is_empty() => Ok(()),
        failed => Err(DemoError::Broken(failed.join(", "))),
    }
}

/// Whether there is something to see, and an end to it.
fn check(options: &Options) -> Result<(), DemoError> {
    let takes = options.takes();
    if takes < TAKES_LEAST {
        return Err(DemoError::Options(format!(
            "the newsletter would take {:.1} s, and less than {} s are not enough to see anything: a smaller --capacity, \
             or more of --messages and --size",
            takes.as_secs_f64(),
            TAKES_LEAST.as_secs()
        )));
    }
    if takes > TAKES_MOST {
        return Err(DemoError::Options(format!(
            "the newsletter would take {:.0} s, and more than {} s nobody looks at: a larger --capacity, or less of \
             --messages and --size",
            takes.as_secs_f64(),
            TAKES_MOST.as_secs()
        )));
    }
    Ok(())
}

/// From the first submission to the last arrival.
async fn play(
    plan: &Plan,
    stage: &Stage,
    mut arrivals: mpsc::Receiver<Recorded>,
    display: &mut Display<'_>,
) -> Result<Figures, DemoError> {
    let begun = Instant::now();
    let mut watch = Watch::new(plan);
    let mut record = Record::new(plan.letters.iter().map(|letter| &*letter.recipient));
    // Ended with this function, whatever ends it.
    let mut submissions: JoinSet<Result<(), DemoError>> = JoinSet::new();
    let (accepted, mut accepting) = mpsc::channel::<(usize, Accepted)>(plan.letters.len());
    let client = stage.newsletter.clone();
    let newsletter: Vec<_> = plan.letters.iter().cloned().enumerate().skip(1).collect();
    let to = accepted.clone();
    submissions.spawn(async move {
        for (index, letter) in newsletter {
            // Whoever takes it has gone only when all of this is over.
            let _ = to.send((index, client.submit(&letter).await?)).await;
        }
        Ok(())
    });
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut moved = Instant::now();
    while !record.is_complete() {
        tokio::select! {
            Some(recorded) = arrivals.recv() => {
                moved = Instant::now();
                record.take(recorded);
            }
            Some((index, accepted)) = accepting.recv() => watch.accepted(index, accepted),
            Some(ended) = submissions.join_next() => ended.map_err(|error| DemoError::Refused {
                what: "a client".to_owned(),
                problem: error.to_string(),
            })??,
            _ = frames.tick() => {
                if moved.elapsed() > STANDSTILL_MAX {
                    return Err(DemoError::Standstill);
                }
                display.show(&watch.scene(&record, &stage.relay.under_way(), begun.elapsed()))?;
            }
        }
        if watch.is_time_for_the_reset(&record) {
            watch.reset_is_submitted();
            let (client, letter) = (stage.shop.clone(), plan.letters[RESET].clone());
            let to = accepted.clone();
            submissions.spawn(async move {
                let _ = to.send((RESET, client.submit(&letter).await?)).await;
                Ok(())
            });
        }
    }
    // The next hop may have all of a message before the client has read that it was accepted.
    drop(accepted);
    let rest = async {
        while let Some((index, accepted)) = accepting.recv().await {
            watch.accepted(index, accepted);
        }
    };
    timeout(STANDSTILL_MAX, rest)
        .await
        .map_err(|_| DemoError::Standstill)?;
    let attempts = stage.attempts(&watch.ids()).await?;
    display.show(&watch.scene(&record, &[], begun.elapsed()))?;
    Ok(Figures::new(
        plan,
        &record,
        watch.all_accepted(),
        &attempts,
        stage.trickle_octets,
    ))
}

/// What is shown how.
struct Display<'a> {
    out: &'a mut (dyn Write + Send),
    way: Way,
}

enum Way {
    Bars(Bars),
    Lines(Lines),
    Json,
}

impl<'a> Display<'a> {
    fn new(show: Show, out: &'a mut (dyn Write + Send)) -> Self {
        let way = match show {
            Show::Bars { unicode } => Way::Bars(Bars::new(unicode)),
            Show::Lines => Way::Lines(Lines::default()),
            Show::Json => Way::Json,
        };
        Self { out, way }
    }

    /// What is about to happen.
    fn opening(&mut self, plan: &Plan) -> io::Result<()> {
        match &self.way {
            Way::Bars(_) => {
                let (columns, _) = bars::terminal_size();
                let opening = plan.opening();
                let lines = match usize::from(columns) {
                    columns if opening.lines().all(|line| line.len() <= columns) => opening,
                    columns => bars::wrapped(&opening, columns, 0),
                };
                writeln!(self.out, "{lines}\n")?;
            }
            Way::Lines(_) => writeln!(self.out, "{}\n", plan.opening())?,
            Way::Json => {}
        }
        self.out.flush()
    }

    fn show(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        match &mut self.way {
            Way::Bars(bars) => bars.show(scene, bars::terminal_size(), self.out),
            Way::Lines(lines) => lines.show(scene, self.out),
            Way::Json => Ok(()),
        }
    }

    fn figures(&mut self, figures: &Figures) -> io::Result<()> {
        match &self.way {
            Way::Bars(bars) => {
                let (columns, _) = bars::terminal_size();
                bars.figures(figures, columns, self.out)?;
            }
            Way::Lines(_) => write!(self.out, "\n{figures}")?,
            Way::Json => writeln!(self.out, "{:#}", figures.to_json())?,
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
