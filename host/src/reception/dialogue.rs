//! The answers to what the protocol core asks: who is this, may this be sent, is it ours now.
//!
//! One per connection. What belongs to a single message stands in `transaction`; the rules
//! themselves are the components'.

use std::sync::Arc;

use outpost_smtp::server::{Answer, Question, Session};
use outpost_smtp::{Credentials, Mechanism};

use super::connection::Client;
use super::minutes::Minutes;
use super::transaction::{Transaction, Way};
use super::{Reception, replies};
use crate::account::User;
use crate::auth::Verification;
use crate::message::TlsParameters;
use crate::policy::SessionFacts;

/// The relay's side of one conversation.
pub(super) struct Dialogue {
    reception: Arc<Reception>,
    client: Client,
    tls: Option<TlsParameters>,
    login: Option<Login>,
    /// What components are told of the session; made anew after each EHLO.
    facts: Option<Arc<SessionFacts>>,
    transaction: Option<Transaction>,
}

/// Who is logged in, and since which credentials.
#[derive(Clone, Debug)]
pub(super) struct Login {
    name: String,
    credential_epoch: u64,
    /// The SASL mechanism, or the scheme of HTTP.
    pub(super) mechanism: String,
}

impl Dialogue {
    pub(super) fn new(reception: Arc<Reception>, client: Client) -> Self {
        Self {
            reception,
            client,
            tls: None,
            login: None,
            facts: None,
            transaction: None,
        }
    }

    /// A handshake has ended: whatever was said before it is forgotten (RFC 3207 §4.2).
    pub(super) fn tls_started(&mut self, tls: Option<TlsParameters>) {
        self.tls = tls;
        self.login = None;
        self.facts = None;
        self.transaction = None;
    }

    /// Forgets the transaction.
    pub(super) fn reset(&mut self) {
        self.transaction = None;
    }

    /// Forgets the message that was coming. With a reply, the protocol refuses it.
    pub(super) fn discard(&mut self, refusal: Option<&'static str>) {
        if let Some(transaction) = self.transaction.take() {
            transaction.discard(refusal);
        }
    }

    /// Takes the next piece of the content.
    pub(super) async fn content(&mut self, piece: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.content(piece).await;
        }
    }

    /// Answers a question. The minutes are those of the connection, for the trail of a message that is taken.
    pub(super) async fn answer(
        &mut self,
        question: Question,
        session: &Session,
        minutes: &mut Minutes,
    ) -> Answer {
        match question {
            Question::Authenticate {
                mechanism,
                credentials,
            } => self.authenticate(mechanism, credentials).await,
            Question::Mail {
                reverse_path,
                parameters,
            } => {
                self.transaction = None;
                let Some((user, login)) = self.user_in_force() else {
                    self.reception.metrics.refused("mail", "login");
                    return Answer::Close(replies::login_void());
                };
                let facts = self.session_facts(session);
                let way = match &self.client.posting {
                    Some(posting) => Way::Http(Arc::clone(posting)),
                    None if session.is_esmtp() => Way::Ehlo,
                    None => Way::Helo,
                };
                let begun = Transaction::begin(
                    Arc::clone(&self.reception),
                    facts,
                    user,
                    &login,
                    way,
                    reverse_path,
                    parameters,
                );
                match begun.await {
                    Ok(transaction) => {
                        self.transaction = Some(transaction);
                        Answer::Accept
                    }
                    Err(reply) => Answer::Refuse(reply),
                }
            }
            Question::Recipient {
                forward_path,
                parameters,
            } => match &mut self.transaction {
                Some(transaction) => transaction.recipient(forward_path, parameters),
                None => Answer::Refuse(replies::try_again()),
            },
            Question::Data { .. } => {
                let answer = match &mut self.transaction {
                    Some(transaction) => transaction.data().await,
                    None => Answer::Refuse(replies::try_again()),
                };
                // What is refused is over: nothing of it is kept for a content that does not come.
                if answer != Answer::Accept {
                    self.transaction = None;
                }
                answer
            }
            Question::EndOfContent { .. } => match self.transaction.take() {
                Some(transaction) => transaction.finish(minutes).await,
                None => Answer::Refuse(replies::try_again()),
            },
        }
    }

    async fn authenticate(&mut self, mechanism: Mechanism, credentials: Credentials) -> Answer {
        let name = credentials.name.as_str();
        // Acting for somebody else is not offered (RFC 4616 §2).
        let for_another = credentials
            .authorization_identity
            .as_deref()
            .is_some_and(|identity| !identity.is_empty() && !identity.eq_ignore_ascii_case(name));
        let user = self.reception.directory.user(name);
        let stored = user
            .as_ref()
            .and_then(|user| user.login_hash())
            .filter(|_| !for_another);
        let now = self.reception.clock.now();
        let verification = self
            .reception
            .authenticator
            .verify(
                name,
                stored,
                credentials.password.as_bytes(),
                self.client.address.ip(),
                now,
            )
            .await;
        match (verification, user) {
            (Verification::Verified, Some(user)) => {
                self.reception.metrics.login("verified");
                self.reception.directory.note_login(&user.name, now);
                tracing::debug!(user = %user.name, client = %self.client.address.ip(), "logged in");
                self.login = Some(Login {
                    name: user.name.clone(),
                    credential_epoch: user.credential_epoch,
                    mechanism: match self.client.posting {
                        Some(_) => "BASIC".to_owned(),
                        None => mechanism.to_string(),
                    },
                });
                Answer::AcceptWith(replies::logged_in())
            }
            (Verification::Throttled { retry_after }, _) => {
                if let Some(posting) = &self.client.posting {
                    posting.put_off(retry_after);
                }
                self.reception.metrics.login("throttled");
                // Whoever has no login can cause these without end.
                if let Some(left_out) = self.reception.spared.put_off_logins.admits(now) {
                    tracing::info!(client = %self.client.address.ip(), port = self.client.listener_port, left_out, "login put off");
                }
                Answer::Refuse(replies::login_later())
            }
            (Verification::Refused | Verification::Verified, user) => {
                self.reception.metrics.login("refused");
                // A guess that is remembered as wrong costs next to nothing.
                if let Some(left_out) = self.reception.spared.refused_logins.admits(now) {
                    // Only a name that we know: what else stands there may be a password.
                    let user = user.map(|user| user.name.clone());
                    tracing::info!(user, client = %self.client.address.ip(), port = self.client.listener_port, left_out, "login refused");
                }
                Answer::Refuse(replies::wrong_credentials())
            }
        }
    }

    /// The user as the directory knows it now; none when the login is void because the user was
    /// disabled, deleted or given another password since.
    fn user_in_force(&self) -> Option<(Arc<User>, Login)> {
        let login = self.login.as_ref()?;
        let user = self.reception.directory.user(&login.name)?;
        let in_force = user.active && user.credential_epoch == login.credential_epoch;
        in_force.then(|| (user, login.clone()))
    }

    fn session_facts(&mut self, session: &Session) -> Arc<SessionFacts> {
        let ehlo = session.ehlo().unwrap_or_default();
        if let Some(facts) = self.facts.as_ref().filter(|facts| facts.ehlo == ehlo) {
            return Arc::clone(facts);
        }
        let facts = Arc::new(SessionFacts {
            id: format!("{}-{}", self.client.address, self.client.listener_port),
            listener_port: self.client.listener_port,
            client: self.client.address,
            ehlo: ehlo.to_owned(),
            tls: self.tls.clone(),
        });
        self.facts = Some(Arc::clone(&facts));
        facts
    }
}
