//! The connection that an attempt gets to a host: its own, within the host's limit, or one that somebody else is done with.

use outpost_smtp::Reply;
use tokio::time::Instant;

use super::Course;
use crate::delivery::connection::Connection;
use crate::delivery::hosts::Target;
use crate::delivery::opening::{Failure, Opening, Protection};
use crate::delivery::room::{Asked, Given, NoPlace};
use crate::delivery::settings::{Smarthost, TlsPolicy};
use crate::message::{Contact, HostPort, NextHop, Outcome};

impl<'a> Course<'a> {
    /// A connection to a host, where those are counted within its limit: our own, or one that somebody
    /// else has just been done with.
    pub(super) async fn connect(
        &mut self,
        target: &Target,
        smarthost: &Smarthost,
    ) -> Result<Connection, Failure> {
        let deliverer = self.deliverer;
        self.wanted = Some(target.host());
        let place = match self.next_hop {
            NextHop::Smarthost(_) => None,
            NextHop::Domain(_) => match self.place_at(target).await? {
                // It has a place, and that is what is needed.
                Given::Connection(connection) if !self.will_do(&connection, target) => {
                    connection.leave().await
                }
                Given::Connection(connection) => {
                    self.contact = Contact::Ready;
                    return Ok(*connection);
                }
                Given::Place(place) => Some(place),
            },
        };
        let opening = Opening {
            network: &deliverer.network,
            settings: &deliverer.settings,
            smarthost,
            target,
            chunking: !deliverer.chunkless.contains(target.address),
            protection: self.protection,
        };
        let mut overheard = Vec::new();
        let opened = opening.connect(&mut overheard).await;
        self.overheard(&target.host(), overheard);
        let is_reached = |failure: &Failure| failure.host.is_some();
        if opened.as_ref().err().is_none_or(is_reached) {
            self.reached.insert(target.address);
        }
        let how = match &opened {
            Ok(connection) if connection.host().tls.is_some() => "tls",
            Ok(_) => "clear",
            Err(_) => "failed",
        };
        deliverer.metrics.count_connection(how);
        if opened
            .as_ref()
            .is_err_and(|failure| !failure.is_temporary())
            && self.protection == Protection::Required
            && smarthost.tls != TlsPolicy::Required
        {
            // It may well take mail that asks for less.
            self.contact = Contact::Ready;
        }
        let mut connection = opened?;
        self.contact = Contact::Ready;
        connection.takes(place);
        Ok(connection)
    }

    /// Whether a connection to the address of a host will do, by whatever name it was opened.
    fn will_do(&self, connection: &Connection, target: &Target) -> bool {
        self.protection == Protection::AsConfigured
            || (self.protection.is_met_by(connection) && connection.host().name == target.name)
    }

    /// A place for a connection to a host, or a connection that is ready.
    ///
    /// # Errors
    /// No place became free in time, or too many wait for one.
    async fn place_at(&mut self, target: &Target) -> Result<Given, Failure> {
        let deliverer = self.deliverer;
        let host = target.address.ip();
        if let Some(place) = self.place.take().filter(|place| place.is_at(host)) {
            return Ok(Given::Place(place));
        }
        let class = self.message.class;
        let who = (class, self.message.origin.user());
        let given = match deliverer.room.ask(host, who) {
            Ok(Asked::Given(place)) => Ok(Given::Place(place)),
            Ok(Asked::Waits(waits)) => {
                // One that is kept from now on is handed to who waits.
                deliverer.pool.make_room_at(host);
                let within = self.patience;
                let begun = Instant::now();
                let given = waits.within(within).await;
                self.patience = within.saturating_sub(begun.elapsed());
                given
            }
            Err(no_place) => Err(no_place),
        };
        let contact = match given {
            Ok(given) => return Ok(given),
            // Others speak to it at this moment.
            Err(NoPlace::InVain { takes_mail: true }) => Contact::Ready,
            Err(NoPlace::InVain { takes_mail: false }) => Contact::Missed,
            Err(NoPlace::Crowded { takes_mail }) => {
                self.is_crowded_out |= takes_mail;
                Contact::Crowded
            }
        };
        self.contact = self.contact.max(contact);
        let text = format!("{target} has as many connections from here as it may");
        Err(Failure {
            outcome: Outcome::Deferred(Reply::new(451, (4, 4, 5), text)),
            is_remote: false,
            host: Some(target.host()),
        })
    }

    /// How to speak to a smarthost.
    ///
    /// # Errors
    /// It does not stand in the configuration any more: the mail waits until it is routed anew.
    pub(super) fn smarthost(&self, name: &str) -> Result<(HostPort, &'a Smarthost), Outcome> {
        let configured = self.deliverer.settings.smarthosts.get(name);
        match (name.parse(), configured) {
            (Ok(host_port), Some(smarthost)) => Ok((host_port, smarthost)),
            _ => Err(Outcome::Deferred(Reply::new(
                451,
                (4, 3, 5),
                "no route leads to this smarthost any more",
            ))),
        }
    }
}
