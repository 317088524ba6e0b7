//! The forms of `outpost stats`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::options::Output;
use crate::clock::Clock;
use crate::message::Timestamp;

/// `outpost stats`
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct StatsCommand {
    /// A row for each hour or day (of UTC), class, list, user, destination or campaign; or for each of two: day,class.
    /// Without it, the total alone
    #[arg(long, value_name = "WHAT", value_parser = NonEmptyStringValueParser::new())]
    pub by: Option<String>,
    /// From then on: 2026-11-01T00:00:00Z, or 8h or 7d ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Up to then: 2026-12-01T00:00:00Z, or 8h or 7d ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
    /// Mail of this list
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub list: Option<String>,
    /// Mail of this user; "(relay)" for the relay's own
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// Mail of this class
    #[arg(long, value_name = "1-5", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub class: Option<u8>,
    /// Mail to recipients of this domain
    #[arg(long, value_name = "DOMAIN", value_parser = NonEmptyStringValueParser::new())]
    pub destination: Option<String>,
    /// Mail of this campaign
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub campaign: Option<String>,
    /// The names with the most of this first: accepted, recipients, sent, deferred, bounced, expired, removed, refused or
    /// queued
    #[arg(long, value_name = "FIGURE", value_parser = NonEmptyStringValueParser::new())]
    pub most: Option<String>,
    /// Rows at most
    #[arg(long, value_name = "ROWS", default_value_t = 1000,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub limit: u16,
    /// Go on after this page
    #[arg(long)]
    pub cursor: Option<String>,
    /// Print CSV, for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Some(at) = Timestamp::from_rfc3339(text) {
        return Ok(at);
    }
    match crate::config::read_duration(text) {
        Ok(ago) => Ok(Clock::system().now().minus(ago)),
        Err(_) => Err(
            "a date with a time and an offset is expected, such as 2026-11-27T08:00:00Z, or how long ago: 8h, 7d"
                .to_owned(),
        ),
    }
}
