//! One message on its way in: from MAIL to the spool.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::server::Answer;
use outpost_smtp::{
    ForwardPath, MailParameters, Mailbox, Notify, Orcpt, RcptParameters, Reply, ReversePath,
};

use super::allowance::{Allowed, Asked, MtPriority};
use super::content::{self, Received, Receiving, Refusal};
use super::dialogue::Login;
use super::minutes::Minutes;
use super::posting::Posting;
use super::refusal::raise;
use super::shares::{Share, octets_of};
use super::stated::stated;
use super::timing::{Timing, held_until, timing};
use super::trail::trail;
use super::{Reception, replies, trace};
use crate::account::User;
use crate::message::header::{
    Authors, Fields, Requested, campaign, repeated_priorities, requested_priorities, subject,
    tunnelled,
};
use crate::message::{
    Address, Class, Envelope, Message, MessageId, Origin, Priorities, Protocol, Recipient, Source,
    Submission, Timestamp, wording,
};
use crate::plugin;
use crate::policy::{
    AccountFacts, DecisionRecord, EnvelopeFacts, Facts, HeaderFacts, HeaderField, PlacementRuling,
    RequestedPriority, SenderRuling, SessionFacts,
};
use crate::spool::{self, Intake, NamedIn, NewDelivery, NewMessage};

/// Received fields that a message may have before it is taken to go round in circles
/// (RFC 5321 §6.3 asks for a limit of at least 100).
const HOPS_MAX: usize = 100;

/// A mail transaction.
pub(super) struct Transaction {
    reception: Arc<Reception>,
    user: Arc<User>,
    facts: Arc<Facts>,
    way: Way,
    submission: Submission,
    reverse_path: ReversePath,
    parameters: MailParameters,
    /// What MAIL said of it, and behind the content the field that stands in for that.
    mt_priority: Option<MtPriority>,
    policy: plugin::Transaction,
    records: Vec<DecisionRecord>,
    recipients: Vec<Recipient>,
    forward_paths: Vec<Address>,
    /// What makes each recipient another one.
    known: HashSet<(Address, Option<Notify>, Option<Orcpt>)>,
    id: MessageId,
    /// When MAIL came: what it says of time counts from here.
    begun: Timestamp,
    receiving: Option<Receiving>,
    envelope_share: Share,
    content_share: Share,
}

/// How a message comes in.
pub(super) enum Way {
    /// After HELO.
    Helo,
    /// After EHLO.
    Ehlo,
    /// By HTTP.
    Http(Arc<Posting>),
}

impl Way {
    fn protocol(&self) -> Protocol {
        match self {
            Way::Helo | Way::Ehlo => Protocol::Smtp,
            Way::Http(_) => Protocol::Http,
        }
    }

    /// The priority that was asked for by HTTP.
    fn priority(&self) -> Option<&str> {
        match self {
            Way::Helo | Way::Ehlo => None,
            Way::Http(posting) => posting.priority(),
        }
    }
}

impl Transaction {
    /// Begins with MAIL: asks the components whether the user may send as the reverse-path.
    pub(super) async fn begin(
        reception: Arc<Reception>,
        session: Arc<SessionFacts>,
        user: Arc<User>,
        login: &Login,
        way: Way,
        reverse_path: ReversePath,
        parameters: MailParameters,
    ) -> Result<Self, Reply> {
        let address = match &reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => {
                Some(Address::from_mailbox(mailbox).map_err(|problem| {
                    reception.metrics.refused("mail", "address");
                    replies::bad_sender(problem)
                })?)
            }
        };
        let envelope = EnvelopeFacts {
            reverse_path: address,
            parameters: stated(&parameters),
            declared_size_octets: parameters.size,
        };
        let submission = Submission {
            list: user.list.clone(),
            user: user.name.clone(),
            client: session.client,
            listener_port: session.listener_port,
            protocol: way.protocol(),
            ehlo: session.ehlo.clone(),
            mechanism: login.mechanism.clone(),
            tls: session.tls.clone(),
        };
        let account = AccountFacts::of(&user, &login.mechanism);
        let begun = reception.clock.now();
        let id = new_id(&reception)?;
        let requested = parameters.mt_priority.map(Requested::by_mail);
        let requested = requested.filter(|asked| user.allowance.trusts(asked.carrier));
        let facts = Arc::new(Facts::at_mail(
            id,
            session,
            Some(Arc::new(account)),
            envelope,
            requested.iter().map(requested_fact).collect(),
        ));
        let mut policy = reception.plugins.begin();
        let plugin::Authorization { ruling, records } = policy.authorize(&facts).await;
        match ruling {
            SenderRuling::Permitted => {}
            SenderRuling::Deferred(reply) => {
                reception.metrics.refused("mail", "deferred");
                return Err(reply);
            }
            SenderRuling::Refused { reply, reasons } => {
                reception.metrics.refused("mail", "policy");
                let senders = facts.envelope.reverse_path.iter().cloned().collect();
                let named = (senders, NamedIn::Envelope);
                raise(&reception, &submission, &user.rules, named, &reasons);
                return Err(reply);
            }
        }
        Ok(Self {
            envelope_share: reception.shares.envelope(&user.name),
            content_share: reception.shares.content(&user.name),
            mt_priority: parameters
                .mt_priority
                .map(|asked| MtPriority::of(asked, &user.allowance)),
            reception,
            user,
            facts,
            way,
            submission,
            reverse_path,
            parameters,
            policy,
            records,
            recipients: Vec::new(),
            forward_paths: Vec::new(),
            known: HashSet::new(),
            id,
            begun,
            receiving: None,
        })
    }

    /// Takes a recipient. Anybody may be written to; the login is what permits it. Whoever is named
    /// twice, as in To and Bcc, gets the message once.
    pub(super) fn recipient(
        &mut self,
        forward_path: ForwardPath,
        parameters: RcptParameters,
    ) -> Answer {
        let mailbox = match forward_path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            // RFC 5321 §4.5.1: the postmaster of this host.
            ForwardPath::Postmaster => Mailbox {
                local: "postmaster".to_owned(),
                domain: self.reception.protocol.load().hostname.clone(),
            },
        };
        let address = match Address::from_mailbox(&mailbox) {
            Ok(address) => address,
            Err(problem) => {
                self.reception.metrics.refused("recipient", "address");
                return Answer::Refuse(replies::bad_recipient(problem));
            }
        };
        let recipient = Recipient {
            mailbox,
            notify: parameters.notify,
            orcpt: parameters.orcpt,
        };
        let key = (address.clone(), recipient.notify, recipient.orcpt.clone());
        if self.known.contains(&key) {
            return Answer::Accept;
        }
        if !self.envelope_share.grow(octets_of(&recipient), 0) {
            self.reception.metrics.refused("recipient", "room");
            return Answer::Refuse(replies::no_room());
        }
        self.known.insert(key);
        self.recipients.push(recipient);
        self.forward_paths.push(address);
        Answer::Accept
    }

    /// Content is about to come: is there room?
    pub(super) async fn data(&mut self) -> Answer {
        match self.begin_content().await {
            Ok(receiving) => {
                self.receiving = Some(receiving);
                Answer::Accept
            }
            Err(reply) => {
                self.reception.metrics.refused("data", "room");
                // A client that finds no room may ask again and again.
                let now = self.reception.clock.now();
                if let Some(left_out) = self.reception.spared.no_room.admits(now) {
                    self.log_refusal("room", &reply, left_out);
                }
                Answer::Refuse(reply)
            }
        }
    }

    /// What the spool sets aside counts for the user before an octet of it has come.
    async fn begin_content(&mut self) -> Result<Receiving, Reply> {
        let declared = self.parameters.size;
        let largest = self.largest();
        if !self
            .content_share
            .cover(spool::set_aside(declared), largest)
        {
            return Err(replies::no_room());
        }
        let intake = self
            .reception
            .spool
            .intake(declared)
            .map_err(|error| content::refusal(&error))?;
        let octets_max = self.reception.settings.header_octets_max;
        Receiving::begin(intake, &self.trace_field(), octets_max).await
    }

    pub(super) async fn content(&mut self, piece: &[u8]) {
        let largest = self.largest();
        let Some(receiving) = &mut self.receiving else {
            return;
        };
        // What is refused is read to its end, and kept no longer.
        if receiving.is_refused() {
            return;
        }
        let octets = receiving.octets() + piece.len() as u64;
        if self.content_share.cover(octets, largest) {
            receiving.take(piece).await;
        } else {
            receiving.refuse(("room", replies::no_room()));
        }
        if receiving.is_refused() {
            self.content_share.give_back();
        }
    }

    /// Octets of the largest content, for which its user always has room.
    fn largest(&self) -> u64 {
        self.reception.protocol.load().limits.content_octets_max
    }

    /// Ends it while the content comes, or before its last chunk. With a reply, the protocol refuses it.
    pub(super) fn discard(self, refusal: Option<&'static str>) {
        if let Some(reply) = refusal {
            self.refused("protocol", &reply);
        }
    }

    /// The content is whole: judges the header, and when the answer is yes, the message is on
    /// stable storage before this returns.
    pub(super) async fn finish(mut self, minutes: &mut Minutes) -> Answer {
        match self.accept(minutes).await {
            Ok(reply) => Answer::AcceptWith(reply),
            Err((reason, reply)) => {
                self.refused(reason, &reply);
                Answer::Refuse(reply)
            }
        }
    }

    /// Tells the operator that the content is refused.
    fn refused(&self, reason: &'static str, reply: &dyn Display) {
        self.reception.metrics.refused("content", reason);
        self.log_refusal(reason, reply, None);
    }

    fn log_refusal(&self, reason: &str, reply: &dyn Display, left_out: Option<u64>) {
        tracing::info!(
            message_id = %self.id,
            user = %self.submission.user,
            reason,
            reply = %reply,
            left_out,
            "refused"
        );
    }

    async fn accept(&mut self, minutes: &mut Minutes) -> Result<Reply, Refusal> {
        let receiving = self
            .receiving
            .take()
            .ok_or_else(|| ("room", replies::try_again()))?;
        let Received {
            intake,
            header,
            eight_bit,
        } = receiving.finish()?;
        let fields =
            Fields::parse(&header).map_err(|problem| ("header", replies::bad_header(problem)))?;
        if fields.named("Received").count() > HOPS_MAX {
            return Err(("header", replies::loops()));
        }
        let believes_field = self.reception.settings.mt_priority_field;
        let said = self.parameters.mt_priority;
        let requested = requested_priorities(said, believes_field, self.way.priority(), &fields);
        if believes_field && said.is_none() {
            // RFC 6758 §3.1: as if MAIL had said it.
            let by_field = tunnelled(&fields);
            self.mt_priority = by_field.map(|asked| MtPriority::of(asked, &self.user.allowance));
        }
        let repeated = repeated_priorities(&fields);
        let asked = Asked::of(requested, repeated, &self.user.allowance);
        self.authorize_authors(&fields, &asked.counted, intake.octets())
            .await?;
        let timing = self.timing(&fields).map_err(|reply| ("schedule", reply))?;
        let (placed, deliver_within) = self.place().await?;
        let allowed = Allowed::of(&self.reception, &self.user, placed).await;
        self.parameters.smtputf8 &= self.is_international(&header);
        let mut message = self.message(
            &fields,
            &asked,
            &allowed,
            timing,
            intake.octets(),
            eight_bit,
        );
        let released = message.message.released();
        message.message.deliver_until = deliver_within.map(|within| released.plus(within));
        let reply = allowed.reply(self.id, self.mt_priority);
        // It is stored before the client is told.
        let said = minutes.entry(&reply, self.reception.clock.now());
        message.trail.insert(0, said);
        self.enqueue(message, intake, &allowed).await?;
        allowed.accepted(&self.reception);
        if let Way::Http(posting) = &self.way {
            posting.taken(self.id, allowed.class);
        }
        Ok(reply)
    }

    /// Whether the message needs SMTPUTF8 (RFC 6531 §3.5): not for its body, and a client that declares it
    /// for every message must not be kept from next hops that lack it.
    fn is_international(&self, header: &[u8]) -> bool {
        let is_ascii = header.is_ascii()
            && self.reverse_path.is_ascii()
            && self
                .recipients
                .iter()
                .all(|recipient| recipient.mailbox.is_ascii());
        !is_ascii
    }

    /// When it is to be sent, and by when it is to be delivered.
    fn timing(&self, fields: &Fields<'_>) -> Result<Timing, Reply> {
        let longest = self.reception.protocol.load().limits.future_release_max;
        let now = self.reception.clock.now();
        timing(&self.parameters, fields, longest, self.begun, now)
    }

    /// Asks again, now that the authors are known.
    async fn authorize_authors(
        &mut self,
        fields: &Fields<'_>,
        requested: &[Requested],
        content_octets: u64,
    ) -> Result<(), Refusal> {
        let authors = Authors::read(fields)
            .map_err(|problem| ("header", replies::bad_author(problem)))?
            .into_addresses();
        let header = HeaderFacts {
            authors: authors.clone(),
            fields: fields
                .iter()
                .map(|field| HeaderField {
                    name: field.name.to_owned(),
                    value: field.unfolded(),
                })
                .collect(),
            content_octets,
        };
        let forward_paths = std::mem::take(&mut self.forward_paths);
        let requested = requested.iter().map(requested_fact).collect();
        self.facts = Arc::new(self.facts.with_header(forward_paths, requested, header));
        let plugin::Authorization { ruling, records } = self.policy.authorize(&self.facts).await;
        self.records.extend(records);
        match ruling {
            SenderRuling::Permitted => Ok(()),
            SenderRuling::Deferred(reply) => Err(("deferred", reply)),
            SenderRuling::Refused { reply, reasons } => {
                let (submission, rules) = (&self.submission, &self.user.rules);
                let named = (authors, NamedIn::Header);
                raise(&self.reception, submission, rules, named, &reasons);
                Err(("policy", reply))
            }
        }
    }

    /// How urgent it is, and how long delivery makes sense.
    async fn place(&mut self) -> Result<(Class, Option<Duration>), Refusal> {
        let plugin::Urgency { ruling, records } = self.policy.place(&self.facts).await;
        self.records.extend(records);
        match ruling {
            PlacementRuling::Placed {
                class,
                deliver_within,
            } => Ok((class, deliver_within)),
            PlacementRuling::Deferred(reply) => Err(("deferred", reply)),
            PlacementRuling::Refused(reply) => Err(("policy", reply)),
        }
    }

    /// The message as it goes to the spool.
    fn message(
        &mut self,
        fields: &Fields<'_>,
        asked: &Asked,
        allowed: &Allowed,
        timing: Timing,
        content_octets: u64,
        eight_bit: bool,
    ) -> NewMessage {
        let now = self.reception.clock.now();
        let envelope = Envelope {
            reverse_path: self.reverse_path.clone(),
            recipients: std::mem::take(&mut self.recipients),
            body: self.parameters.body,
            smtputf8: self.parameters.smtputf8,
            ret: self.parameters.ret,
            envid: self.parameters.envid.clone(),
            mt_priority: self.mt_priority.map(MtPriority::counts),
            deliver_by: timing.deliver_by,
            hold: self.parameters.hold,
            require_tls: self.parameters.require_tls,
        };
        let source = Source {
            reverse_path: &envelope.reverse_path,
            list: &self.submission.list,
        };
        let split = self
            .reception
            .routes
            .load()
            .split(source, &envelope.recipients);
        let from = timing.scheduled.unwrap_or(now);
        // Time that ran out while the message came in is over all the same: due behind it is only what an operator moves.
        let returned_at = timing.deliver_by.and_then(|by| by.returned_at());
        let from = returned_at.map_or(from, |returned_at| from.min(returned_at));
        let deliveries = split.into_iter().map(|(next_hop, recipients)| NewDelivery {
            lateness_reported: timing.is_late_already,
            ..NewDelivery::first(next_hop, recipients, from)
        });
        let records = std::mem::take(&mut self.records);
        NewMessage {
            deliveries: deliveries.collect(),
            trail: trail(records, asked, allowed, timing.events, now),
            message: Message {
                id: self.id,
                origin: Origin::Submission(self.submission.clone()),
                envelope,
                class: allowed.class,
                priorities: Priorities {
                    user: self.user.priority,
                    message: asked.counted.iter().find_map(|asked| asked.class),
                },
                accepted: now,
                deliver_until: None,
                scheduled: timing.scheduled,
                content_octets,
                eight_bit,
                subject: subject(fields),
                campaign: campaign(fields),
            },
        }
    }

    /// Puts the message on stable storage.
    async fn enqueue(
        &mut self,
        message: NewMessage,
        intake: Box<dyn Intake>,
        allowed: &Allowed,
    ) -> Result<(), Refusal> {
        let (class, octets) = (message.message.class, message.message.content_octets);
        let sender = wording::sender(&message.message.envelope.reverse_path);
        self.policy.prepare_others();
        let stored = self.reception.spool.enqueue(message, intake).await;
        if let Err(error) = stored {
            allowed.unused(&self.reception, &self.user, &error).await;
            return Err(("room", content::refusal(&error)));
        }
        tracing::info!(
            message_id = %self.id,
            user = %self.submission.user,
            sender,
            class = class.number(),
            octets,
            "accepted"
        );
        Ok(())
    }

    fn trace_field(&self) -> String {
        let only_recipient = match self.recipients.as_slice() {
            [recipient] => Some(&recipient.mailbox),
            _ => None,
        };
        let protocol = self.reception.protocol.load();
        trace::Received {
            submission: &self.submission,
            hostname: &protocol.hostname,
            id: self.id,
            is_esmtp: matches!(self.way, Way::Ehlo),
            smtputf8: self.parameters.smtputf8,
            only_recipient,
            mt_priority: self.mt_priority.map(MtPriority::counts),
            held_until: held_until(self.parameters.hold, self.begun),
            at: self.reception.clock.now(),
        }
        .field()
    }
}

fn requested_fact(requested: &Requested) -> RequestedPriority {
    RequestedPriority {
        carrier: requested.carrier.to_owned(),
        value: requested.value.clone(),
        class: requested.class,
    }
}

fn new_id(reception: &Reception) -> Result<MessageId, Reply> {
    let random = (reception.random)().ok_or_else(replies::try_again)?;
    Ok(MessageId::new(reception.clock.now(), random))
}
