//! The contract of the spool, shown on every backend.

#![allow(clippy::unwrap_used)]

mod cancelled;
mod contents;
mod leases;
mod limits;
mod listings;
mod operator;
mod order;
mod refusals;
mod settlements;
mod statistics;
mod stops;
mod surveys;

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

pub(super) use super::sample::*;
use super::*;
use crate::clock::Clock;
use crate::message::{
    Class, DeliveryId, DeliveryState, Event, Line, Message, NextHop, Origin, Timestamp,
};
use crate::telemetry::Registry;

/// A backend under test.
struct Subject {
    spool: Arc<dyn Spool>,
    clock: Clock,
    settings: Settings,
    folder: Option<tempfile::TempDir>,
}

const NOW: u64 = 1_000_000;

impl Subject {
    fn memory(settings: Settings) -> Self {
        let clock = Clock::standing_at(at(NOW));
        Self {
            spool: Memory::new(settings.clone(), clock.clone()),
            clock,
            settings,
            folder: None,
        }
    }

    fn embedded(settings: Settings) -> Self {
        let clock = Clock::standing_at(at(NOW));
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        Self {
            spool: open(
                folder.path(),
                settings.clone(),
                clock.clone(),
                &mut registry,
            )
            .unwrap(),
            clock,
            settings,
            folder: Some(folder),
        }
    }

    /// Another one of its kind.
    fn with(&self, settings: Settings) -> Self {
        match self.is_durable() {
            true => Self::embedded(settings),
            false => Self::memory(settings),
        }
    }

    /// Whether it survives a restart.
    fn is_durable(&self) -> bool {
        self.folder.is_some()
    }

    /// Closes it and opens it again, if it survives that.
    async fn restart(&mut self) {
        if let Some(folder) = &self.folder {
            self.spool.close().await.unwrap();
            let mut registry = Registry::default();
            let (path, settings, clock) =
                (folder.path(), self.settings.clone(), self.clock.clone());
            self.spool = open(path, settings, clock, &mut registry).unwrap();
        }
    }

    async fn enqueue(&self, message: Message) {
        enqueue(&*self.spool, new_message(message), b"content\r\n")
            .await
            .unwrap();
    }

    async fn claim(&self, line: &Line) -> Option<Claim> {
        self.spool.claim(line, at(NOW)).await.unwrap().claim
    }

    async fn record(&self, number: u64) -> Record {
        self.spool.message(id(number)).await.unwrap().unwrap()
    }

    async fn settle(&self, lease: Lease, remaining: Vec<NewDelivery>) -> Result<(), SpoolError> {
        let settlement = Settlement {
            lease,
            remaining,
            reports: Vec::new(),
            trail: Vec::new(),
            outcomes: None,
            is_cancelled: false,
        };
        self.spool.settle(settlement).await
    }

    /// Settles what was cancelled meanwhile.
    async fn settle_cancelled(
        &self,
        lease: Lease,
        remaining: Vec<NewDelivery>,
    ) -> Result<(), SpoolError> {
        let settlement = Settlement {
            lease,
            remaining,
            reports: Vec::new(),
            trail: trail(),
            outcomes: None,
            is_cancelled: true,
        };
        self.spool.settle(settlement).await
    }

    /// Claims all that is due in a line and settles it; the messages in the order of their claims.
    async fn drain(&self, line: &Line) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(claim) = self.claim(line).await {
            numbers.push(claim.message.accepted.unix_milliseconds());
            self.settle(claim.lease, Vec::new()).await.unwrap();
        }
        numbers
    }

    async fn change(&self, selection: Selection, action: ChangeAction) -> u64 {
        let change = Change {
            action,
            by: "ops".to_owned(),
            at: at(NOW),
        };
        let counted = self
            .spool
            .change(selection.clone(), change.clone(), true)
            .await
            .unwrap();
        let changed = self.spool.change(selection, change, false).await.unwrap();
        let counts = |of: &Concerned| (of.deliveries, of.under_way, of.stopped);
        assert_eq!(
            counts(&counted),
            counts(&changed),
            "a dry run counts what a change concerns"
        );
        changed.deliveries
    }

    async fn rows(&self, selection: Selection, rows_max: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let request = PageRequest {
                cursor,
                rows_max,
                now: at(NOW),
            };
            let page = self.spool.list(selection.clone(), request).await.unwrap();
            assert!(page.rows.len() <= rows_max);
            rows.extend(page.rows);
            cursor = page.cursor;
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

/// Whether a future is ready without waiting. It is dropped.
async fn is_ready(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

fn later(delivery: &crate::message::Delivery, due: u64) -> NewDelivery {
    NewDelivery {
        next_hop: delivery.next_hop.clone(),
        recipients: delivery.recipients.clone(),
        due: at(due),
        attempts: delivery.attempts + 1,
        delay_reported: true,
        lateness_reported: true,
        last_reply: "451 later".to_owned(),
    }
}

fn normal(number: u64) -> Message {
    message(number, "user", Class::Normal, &["a.example"])
}

fn normal_line() -> Line {
    line("a.example", Class::Normal, "user")
}

/// Runs each fact on each backend.
macro_rules! on_every_backend {
    ($($area:ident::$fact:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $fact() {
                super::$area::$fact(super::Subject::memory(super::settings())).await;
            })*
        }
        mod embedded {
            $(#[tokio::test]
            async fn $fact() {
                super::$area::$fact(super::Subject::embedded(super::settings())).await;
            })*
            $(mod $fact {
                /// Nothing is remembered: all is read from the disk.
                #[tokio::test]
                async fn without_memory() {
                    let settings = super::super::Settings {
                        recent_octets_max: 0,
                        ..super::super::settings()
                    };
                    super::super::$area::$fact(super::super::Subject::embedded(settings)).await;
                }

                /// Of each lane and class one line is in memory.
                #[tokio::test]
                async fn with_few_lines() {
                    let settings = super::super::Settings {
                        lines_max: 1,
                        ..super::super::settings()
                    };
                    super::super::$area::$fact(super::super::Subject::embedded(settings)).await;
                }
            })*
        }
    };
}

fn settings() -> Settings {
    Settings {
        octets_in_flight_max: 16 << 20,
        history_records_max: 50,
        ..Settings::default()
    }
}

on_every_backend! {
    contents::what_was_enqueued_is_claimed_and_read_as_it_was
    contents::a_content_comes_out_as_it_went_in_whatever_its_size
    contents::a_content_under_way_survives_its_message
    order::a_line_is_served_by_due_time_and_then_by_acceptance
    order::a_long_line_is_served_in_order_across_restarts
    order::lines_of_other_lanes_classes_and_users_are_apart
    order::what_is_not_due_is_not_claimed_but_is_the_head
    leases::a_delivery_has_one_lease_at_a_time
    leases::two_settlements_with_one_lease_count_once
    leases::a_lease_dies_with_the_process
    settlements::a_deferred_delivery_keeps_its_name_and_its_place_in_the_order
    settlements::parts_of_a_split_and_moved_deliveries_take_new_numbers
    settlements::a_report_enters_with_the_settlement_that_caused_it
    settlements::a_finished_message_is_remembered_without_its_content
    settlements::a_message_without_deliveries_is_finished_at_once
    settlements::records_are_forgotten_by_time
    settlements::records_are_forgotten_by_count
    settlements::records_are_forgotten_though_the_clock_was_put_back
    operator::a_held_delivery_stays_back_until_it_is_released
    operator::a_hold_on_a_leased_delivery_holds_what_remains
    operator::a_release_of_a_leased_delivery_lets_what_remains_go
    cancelled::a_cancelled_delivery_is_out_of_the_queue
    cancelled::who_has_what_is_cancelled_settles_it_and_what_remains_stays_cancelled
    cancelled::with_the_last_of_what_was_cancelled_a_message_is_finished
    cancelled::what_is_restored_meanwhile_is_not_claimed_before_it_is_settled
    cancelled::what_is_given_back_after_it_was_cancelled_stays_cancelled
    cancelled::what_was_cancelled_is_not_removed_before_it_is_settled
    cancelled::what_is_under_way_is_listed_though_it_was_cancelled
    cancelled::a_cancel_is_told_to_whoever_has_the_delivery
    cancelled::what_cannot_be_restored_any_more_is_not
    cancelled::what_was_cancelled_comes_back_as_it_was
    cancelled::a_class_is_a_message_s_also_of_what_was_cancelled
    cancelled::what_nobody_restores_is_removed_in_time
    cancelled::without_a_time_to_restore_it_what_is_cancelled_is_gone_at_once
    cancelled::what_was_cancelled_is_listed_in_the_order_in_which_it_goes
    operator::a_retried_delivery_is_due_now
    operator::a_delivery_is_moved_to_another_time
    operator::what_is_held_is_not_moved
    operator::a_leased_delivery_is_moved_when_it_is_settled_or_given_back
    operator::what_is_moved_during_an_attempt_says_so_whichever_delivery_it_is
    operator::another_class_moves_all_of_a_message
    operator::another_class_counts_all_that_it_moves
    operator::a_change_says_what_of_it_is_leased_or_stopped
    operator::what_a_change_names_is_changed_back_and_nothing_else
    operator::the_trail_says_that_an_attempt_was_under_way_at_each_change
    operator::a_released_lease_of_a_moved_delivery_waits_where_it_stands_now
    refusals::refusals_of_one_user_and_sender_are_one_row
    refusals::what_is_dismissed_is_gone_and_stays_gone
    refusals::rows_have_an_end
    stops::nothing_of_what_is_stopped_is_claimed_until_it_is_started
    stops::what_is_under_way_ends_and_what_remains_of_it_waits
    stops::what_another_stop_is_about_stays_stopped
    stops::what_waits_behind_a_stop_is_counted_and_selected
    stops::something_is_stopped_once_and_there_are_so_many_stops
    stops::a_user_who_changes_lists_is_stopped_with_the_one_that_he_is_in
    listings::a_selection_means_what_matches_all_of_it
    listings::states_are_told_apart
    listings::what_has_failed_is_meant_by_its_attempts_its_reply_and_its_time
    listings::a_listing_has_each_delivery_once_in_the_order_of_the_queue
    listings::a_page_ends_before_it_has_too_many_recipients
    listings::a_page_goes_on_where_the_queue_changed_meanwhile
    listings::a_cursor_of_somebody_else_is_refused
    order::the_heads_of_all_lines_come_first_and_then_what_changed
    order::changes_wake_their_reader
    order::a_hundred_changes_of_a_line_are_told_as_one
    order::every_line_has_its_head_after_a_restart
    limits::beyond_the_budget_a_content_is_refused
    limits::a_declared_size_sets_only_a_part_aside
    contents::what_does_not_fit_together_is_refused
    limits::figures_count_what_is_queued
    limits::the_oldest_of_each_class_is_told_whatever_becomes_of_it
    limits::after_its_end_a_spool_does_nothing
    leases::a_claim_that_nobody_waits_for_takes_no_lease
    statistics::what_came_in_and_what_became_of_it_is_counted_by_each_name
    statistics::what_an_operator_does_is_counted_and_nothing_is_counted_twice
    statistics::what_is_cancelled_and_not_kept_is_counted_as_removed
    statistics::hours_and_days_are_told_apart_for_as_long_as_they_are_kept
    statistics::names_beyond_the_limit_are_counted_as_others
    statistics::an_answer_comes_in_pages_or_with_the_most_first
    statistics::what_is_not_counted_together_cannot_be_asked
    statistics::refused_messages_are_counted_for_their_users
    surveys::a_survey_finds_each_delivery_once_where_it_was
    surveys::a_survey_of_a_long_line_goes_on_where_memory_ends
}
