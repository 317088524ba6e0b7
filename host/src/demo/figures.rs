//! What came of it, reckoned from the record of the next hop: how soon the others stopped and went on, what moved
//! meanwhile, and whether everything arrived as it was sent.
//!
//! Arithmetic only. Each claim is either so or not so, and the demonstration has succeeded when all of them are.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::client::Accepted;
use super::plan::{Letter, Plan, RESET};
use super::record::{Record, Transaction};

/// How soon others must have stopped and the first of them gone on. It takes a few hundredths of a second; a machine that
/// is busy with other things is not what is looked at here.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Octets per second of the link.
    capacity_bytes_per_second: u64,
    /// Octets per second at which a paused send may go on.
    trickle_bytes_per_second: u32,
    very_high: Passed,
    others: Vec<Other>,
}

/// What is told of every letter.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Common {
    /// What it was called on the screen.
    label: String,
    /// What the relay calls it.
    message: Option<String>,
    class: u8,
    /// Octets as submitted.
    octets: u64,
    /// Transactions in which it was handed over, in vain or not.
    transactions: usize,
    /// The connection, by the sink's count, on which all of it arrived.
    connection: Option<u64>,
    /// Whether its body arrived as it was submitted.
    is_intact: bool,
    /// Attempts that did not deliver it, by the relay's own account; none when it has none.
    attempts_charged: Option<u32>,
}

/// The password reset.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Passed {
    #[serde(flatten)]
    common: Common,
    /// From the relay's 250 to MAIL at the next hop; 0 when MAIL came before the client had read it.
    acceptance_to_mail_us: u64,
    /// From the relay's 250 to the next hop's.
    acceptance_to_last_reply_us: u64,
    /// Whether it was there before any that had been under way when it came.
    is_first: bool,
}

/// A letter of the newsletter.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Other {
    #[serde(flatten)]
    common: Common,
    /// What the very-high message did to it; none when it was not under way then.
    #[serde(flatten)]
    gap: Option<Gap>,
}

/// A pause as the next hop saw it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Gap {
    /// Octets that had arrived when it stopped.
    stopped_at_octets: u64,
    /// From the first octet of the very-high message to its own last one, but for the trickle; 0 when it had stopped
    /// before.
    stopped_after_us: u64,
    /// From the last reply to the very-high message to its own next octets; none when none came.
    went_on_after_us: Option<u64>,
    /// From its last octets to its next ones.
    paused_us: u64,
    /// Octets that came in between.
    trickled_octets: u64,
}

/// Something that is to be so.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Claim {
    claim: &'static str,
    holds: bool,
    text: String,
}

impl Figures {
    /// Reckons up. `accepted` and `attempts`, which are those charged, are in the order of the letters.
    pub(super) fn new(
        plan: &Plan,
        record: &Record,
        accepted: &[Option<Accepted>],
        attempts: &[u32],
        trickle_octets: u32,
    ) -> Self {
        let common = |index: usize| {
            let charged = attempts.get(index).copied();
            common(
                &plan.letters[index],
                record.of(index),
                accepted[index],
                charged,
            )
        };
        let reset = arrival(record.of(RESET));
        let accepted_us = accepted[RESET].map_or(u64::MAX, |accepted| accepted.unix_us);
        let mail_us = reset.map_or(0, |reset| reset.mail_us);
        let (first_us, last_us) = reset.map_or((0, 0), span);
        let newsletter = RESET + 1..plan.letters.len();
        let others = newsletter.clone().map(|index| Other {
            common: common(index),
            gap: arrival(record.of(index))
                .and_then(|one| Gap::in_(one, first_us, last_us, trickle_octets.into())),
        });
        let passed = |index: usize| {
            let ends = arrival(record.of(index)).map(span);
            ends.is_some_and(|(begun, ended)| begun < first_us && ended < last_us)
        };
        Self {
            capacity_bytes_per_second: plan.capacity.get(),
            trickle_bytes_per_second: trickle_octets,
            very_high: Passed {
                common: common(RESET),
                acceptance_to_mail_us: mail_us.saturating_sub(accepted_us),
                acceptance_to_last_reply_us: last_us.saturating_sub(accepted_us),
                is_first: reset.is_some() && !newsletter.clone().any(passed),
            },
            others: others.collect(),
        }
    }

    /// What does not hold, in a few words each.
    pub(super) fn failed(&self) -> Vec<&'static str> {
        let claims = self.claims().into_iter();
        let failed = claims.filter(|claim| !claim.holds);
        failed.map(|claim| claim.claim).collect()
    }

    /// For programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!(self);
        json["holds"] = self.failed().is_empty().into();
        json["claims"] = serde_json::json!(self.claims());
        json
    }

    fn claims(&self) -> Vec<Claim> {
        let gaps: Vec<&Gap> = self.gaps().map(|(_, gap)| gap).collect();
        let all = || {
            let others = self.others.iter().map(|other| &other.common);
            others.chain([&self.very_high.common])
        };
        let longest = |of: &dyn Fn(&Gap) -> u64| gaps.iter().map(|gap| of(gap)).max().unwrap_or(0);
        let stopped = longest(&|gap| gap.stopped_after_us);
        let went_on = gaps.iter().map(|gap| gap.went_on_after_us);
        let first_on = went_on.clone().flatten().min().unwrap_or(0);
        let last_on = went_on.clone().flatten().max().unwrap_or(0);
        let most = longest(&|gap| gap.trickled_octets);
        let charged: u64 = all()
            .filter_map(|one| one.attempts_charged)
            .map(u64::from)
            .sum();
        let at_once = u64::try_from(AT_ONCE.as_micros()).unwrap_or(u64::MAX);
        let letters = all().count();
        let claim = |claim, holds, text| Claim { claim, holds, text };
        vec![
            claim(
                "the reset was first",
                self.very_high.is_first && !gaps.is_empty(),
                format!(
                    "the password reset passed {} being sent",
                    letters_text(gaps.len())
                ),
            ),
            claim(
                "the others stopped",
                !gaps.is_empty() && stopped <= at_once,
                match stopped {
                    0 => "they had stopped when its first octet came".to_owned(),
                    stopped => format!(
                        "they stopped within {} of its first octet",
                        time_text(stopped)
                    ),
                },
            ),
            claim(
                "the others trickled only",
                gaps.iter().all(|gap| self.is_trickle(gap)),
                format!("they trickled meanwhile, so that nobody hangs up: {most} octets at most"),
            ),
            claim(
                "the others went on",
                !gaps.is_empty() && went_on.clone().all(|one| one.is_some()) && first_on <= at_once,
                format!(
                    "they went on {} after its last reply, the last in turn {} after it",
                    time_text(first_on),
                    time_text(last_on)
                ),
            ),
            claim(
                "every body is intact",
                all().all(|one| one.is_intact),
                format!("all {letters} bodies arrived as they were submitted, by their SHA-256"),
            ),
            claim(
                "each came once, on one connection",
                all().all(|one| one.transactions == 1 && one.connection.is_some()),
                "each arrived once, on one connection from its first octet to its last".to_owned(),
            ),
            claim(
                "no attempt was charged",
                all().all(|one| one.attempts_charged == Some(0)),
                match charged {
                    0 => "no attempt was charged for it".to_owned(),
                    charged => format!("{charged} attempts were charged"),
                },
            ),
        ]
    }

    /// The letters that were under way when the reset came.
    fn gaps(&self) -> impl Iterator<Item = (&Common, &Gap)> {
        let others = self.others.iter();
        others.filter_map(|other| Some((&other.common, other.gap.as_ref()?)))
    }

    /// Whether no more has come in a pause than may. The first trickle may come at once.
    fn is_trickle(&self, gap: &Gap) -> bool {
        let seconds = gap.paused_us.div_ceil(1_000_000) + 1;
        gap.trickled_octets <= seconds * u64::from(self.trickle_bytes_per_second)
    }

    /// What to show: a table, or a sentence for each of its rows, and the claims as those that hold and those that do not.
    pub(super) fn lines(&self, has_room: bool) -> (Vec<String>, Vec<(bool, String)>) {
        let Passed {
            common,
            acceptance_to_mail_us,
            acceptance_to_last_reply_us,
            ..
        } = &self.very_high;
        let mut table = vec![
            "By the record of the next hop:".to_owned(),
            String::new(),
            format!(
                "{:<14} {} from acceptance to MAIL, {} to the last reply",
                common.label,
                time_text(*acceptance_to_mail_us),
                time_text(*acceptance_to_last_reply_us)
            ),
            String::new(),
        ];
        let row = |cells: [&str; 6]| {
            let [label, stopped, at, paused, trickled, on] = cells;
            format!("{label:<14}{stopped:>13}{at:>8}{paused:>10}{trickled:>14}{on:>14}")
        };
        if has_room && self.gaps().next().is_some() {
            table.push(row([
                "",
                "stopped after",
                "at",
                "paused",
                "trickled",
                "went on after",
            ]));
        }
        for (common, gap) in self.gaps() {
            let percent = gap.stopped_at_octets * 100 / common.octets.max(1);
            let stopped = time_text(gap.stopped_after_us);
            let paused = time_text(gap.paused_us);
            let trickled = format!("{} octets", gap.trickled_octets);
            let on = gap.went_on_after_us.map(time_text);
            table.push(match has_room {
                true => row([
                    &common.label,
                    &stopped,
                    &format!("{percent} %"),
                    &paused,
                    &trickled,
                    on.as_deref().unwrap_or("never"),
                ]),
                false => format!(
                    "{}: stopped after {stopped} at {percent} %, paused for {paused}, trickled {trickled}, {}",
                    common.label,
                    on.map_or_else(
                        || "never went on".to_owned(),
                        |on| format!("went on after {on}")
                    )
                ),
            });
        }
        let claims = self.claims().into_iter();
        (
            table,
            claims.map(|claim| (claim.holds, claim.text)).collect(),
        )
    }
}

/// Plain text.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, claims) = self.lines(true);
        for line in table {
            writeln!(f, "{line}")?;
        }
        writeln!(f)?;
        for (holds, text) in claims {
            writeln!(f, "{}  {text}", if holds { "yes" } else { " NO" })?;
        }
        Ok(())
    }
}

/// The transaction in which a letter was handed over.
fn arrival(transactions: &[Transaction]) -> Option<&Transaction> {
    transactions.iter().find(|one| one.is_accepted())
}

/// When its first octet and its end came.
fn span(transaction: &Transaction) -> (u64, u64) {
    let first = transaction.chunks.first();
    let end = transaction.end.as_ref();
    (
        first.map_or(transaction.mail_us, |(at, _)| *at),
        end.map_or(u64::MAX, |end| end.unix_us),
    )
}

fn common(
    letter: &Letter,
    transactions: &[Transaction],
    accepted: Option<Accepted>,
    charged: Option<u32>,
) -> Common {
    let arrived = arrival(transactions);
    let digest = arrived.and_then(|one| one.end.as_ref());
    Common {
        label: letter.label.clone(),
        message: accepted.map(|accepted| accepted.id.to_string()),
        class: letter.class.number(),
        octets: letter.octets(),
        transactions: transactions.len(),
        connection: arrived.map(|one| one.connection),
        is_intact: digest.is_some_and(|end| end.digests.body == letter.body_digest()),
        attempts_charged: charged,
    }
}

impl Gap {
    /// The gap that something left which began and ended then; none in what was not under way at its beginning. A piece
    /// is more than a trickle is.
    fn in_(one: &Transaction, first_us: u64, last_us: u64, trickle_octets: u64) -> Option<Self> {
        let (begun, ended) = span(one);
        if begun >= first_us || ended <= first_us {
            return None;
        }
        let is_piece = |(_, octets): &&(u64, u64)| *octets > trickle_octets;
        let before = |(at, _): &&(u64, u64)| *at < last_us;
        let chunks = one.chunks.iter();
        let last_before = chunks.clone().filter(before).rfind(is_piece);
        let stopped_us = last_before.map_or(begun, |(at, _)| *at);
        let mut after = chunks.clone().skip_while(|(at, _)| *at < last_us);
        // What is left may be less than a piece.
        let first_after = after.clone().find(is_piece).or_else(|| after.next());
        let resumed_us = first_after.map(|(at, _)| *at);
        let gap_ends = resumed_us.unwrap_or(last_us);
        let between = |(at, _): &&(u64, u64)| *at > stopped_us && *at < gap_ends;
        let trickled = chunks.clone().filter(between).map(|(_, octets)| octets);
        let until = chunks.clone().take_while(|(at, _)| *at <= stopped_us);
        Some(Self {
            stopped_at_octets: until.map(|(_, octets)| octets).sum(),
            stopped_after_us: stopped_us.saturating_sub(first_us),
            went_on_after_us: resumed_us.map(|at| at - last_us),
            paused_us: gap_ends - stopped_us,
            trickled_octets: trickled.sum(),
        })
    }
}

fn letters_text(letters: usize) -> String {
    match letters {
        0 => "nothing that was".to_owned(),
        1 => "one letter that was".to_owned(),
        letters => format!("{letters} letters that were"),
    }
}

/// A time as a person reads it: `0.4 ms`, `17 ms`, `2.04 s`.
fn time_text(microseconds: u64) -> String {
    match microseconds {
        0 => "0 ms".to_owned(),
        1..9_950 => format!("{:.1} ms", microseconds as f64 / 1e3),
        9_950..999_500 => format!("{:.0} ms", microseconds as f64 / 1e3),
        _ => format!("{:.2} s", microseconds as f64 / 1e6),
    }
}

#[cfg(test)]
pub(super) mod tests;
