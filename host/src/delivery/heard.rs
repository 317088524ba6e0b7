//! What the hosts of a next hop have said so far in an attempt: whom they need not be asked about again, and
//! why the mail waits or comes back when none of them takes it.
//!
//! Nothing is decided for good here while a host is left. A host that cannot take the message as it is says
//! nothing of the others, so that counts only when no host may take it later.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::hosts::Target;
use super::opening::Failure;
use crate::message::{RecipientOutcome, RemoteHost};

/// What was heard. It grows with the hosts that are tried in an attempt, which are limited, and its recipients.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Who was put off where.
    put_off: HashSet<(SocketAddr, u32)>,
    /// For whom a host of this name cannot take the message. Its other addresses are no other hosts.
    unfit: HashMap<String, HashSet<u32>>,
    /// What was said of them, the last host last.
    misfits: Vec<(RemoteHost, Vec<RecipientOutcome>)>,
    /// Why hosts, by name, could not be asked about somebody.
    failures: Vec<(String, Failure)>,
}

impl Heard {
    /// The host refuses these recipients for now.
    pub(super) fn put_off(&mut self, host: &RemoteHost, recipients: &[u32]) {
        let address = SocketAddr::new(host.address, host.port);
        let recipients = recipients.iter().map(|recipient| (address, *recipient));
        self.put_off.extend(recipients);
    }

    /// The host lists too little for the message as it goes to these recipients.
    pub(super) fn cannot_take(&mut self, host: &RemoteHost, outcomes: Vec<RecipientOutcome>) {
        let unfit = self.unfit.entry(host.name.clone()).or_default();
        unfit.extend(outcomes.iter().map(|outcome| outcome.recipient));
        // It was reached after all.
        self.failures.retain(|(name, _)| *name != host.name);
        self.misfits.push((host.clone(), outcomes));
    }

    /// A host of this name could not be asked about everybody.
    pub(super) fn failed(&mut self, name: &str, failure: Failure) {
        self.failures.push((name.to_owned(), failure));
    }

    /// Whether any host has put somebody off, or cannot take the message.
    pub(super) fn has_put_off(&self) -> bool {
        !(self.put_off.is_empty() && self.unfit.is_empty())
    }

    /// Whether this host has said already that it does not take the message for this recipient now.
    pub(super) fn has_said(&self, target: &Target, recipient: u32) -> bool {
        let unfit = self.unfit.get(&target.name);
        self.put_off.contains(&(target.address, recipient))
            || unfit.is_some_and(|unfit| unfit.contains(&recipient))
    }

    /// Why hosts could not be asked: the last word. That one of them will never take mail (RFC 7504) does
    /// not matter as long as another one may do so later.
    pub(super) fn failure(&self) -> Option<&Failure> {
        let mut failures = self.failures.iter().rev().map(|(_, failure)| failure);
        let last = failures.clone().next();
        failures.find(|failure| failure.is_temporary()).or(last)
    }

    /// What hosts said that cannot take the message, the last one first.
    pub(super) fn misfits(&mut self) -> Vec<(RemoteHost, Vec<RecipientOutcome>)> {
        let mut misfits = std::mem::take(&mut self.misfits);
        misfits.reverse();
        misfits
    }
}
