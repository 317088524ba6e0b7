//! Who may send as whom over HTTP: what a user may send as, and who may send as an address.
//!
//! The rules are read here and applied to no mail: what happens to mail is the policy components' decision. So every
//! answer says what it rests on, and about one user and one address the components are asked themselves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use outpost_smtp::Mailbox;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Reader;
use super::extract::{QueryString, Segment};
use super::openapi::{Missing, Refused};
use super::problem::{FieldError, Problem, ReplyDocument};
use super::{Api, audit, no_such};
use crate::account::{Rule, User};
use crate::directory::SenderPage;
use crate::message::{Address, MessageId};
use crate::plugin::{ComponentStatus, Source};
use crate::policy::{
    AccountFacts, DecisionRecord, EnvelopeFacts, Facts, Question, SenderRuling, SessionFacts,
};

/// Rows of a page when nothing is said.
const ROWS_DEFAULT: usize = 100;
/// Rows of a page at most.
const ROWS_MAX: usize = 1_000;

/// The shipped component that decides by the rules.
const BY_RULES: &str = "authorized-senders";

/// A rule of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleDocument {
    /// The field of the user that it stands in: `authorized_domains` or `authorized_senders`.
    #[schema(example = "authorized_domains")]
    pub field: String,
    /// It as that field has it.
    #[schema(example = "*.example.com")]
    pub rule: String,
    /// It in words.
    #[schema(
        example = "any address at any subdomain of example.com, but not at example.com itself"
    )]
    pub text: String,
    /// An address that it covers.
    #[schema(example = "anybody@sub.example.com")]
    pub example: String,
}

/// What answers about senders rest on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BasisDocument {
    /// Whether rules decide.
    pub rules: RulesDecide,
    /// The components that are asked about senders, in their order.
    pub components: Vec<String>,
    /// All of this in words.
    pub text: String,
}

/// Whether the rules of users decide who may send as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RulesDecide {
    /// They do: the shipped component is the only one that is asked.
    Alone,
    /// What they do not cover is refused; what they cover other components may refuse.
    First,
    /// The shipped component is not asked: others decide, by the rules or by something else.
    Unknown,
}

/// What a user may send as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserSendersDocument {
    /// The name of the user.
    pub user: String,
    /// Whether the user may log in.
    pub active: bool,
    /// The rules; domains first.
    pub rules: Vec<RuleDocument>,
    /// What everybody who looks at these rules should know; none when there is nothing.
    pub warning: Option<String>,
    /// What all of this rests on.
    pub rests_on: BasisDocument,
    /// What the components say about the address that was asked for; none where none was.
    pub verdict: Option<VerdictDocument>,
}

/// What the components of this moment say about a user and an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictDocument {
    /// The address, in the form in which it is compared.
    pub address: String,
    /// The answer.
    pub answer: VerdictName,
    /// What a client would be told; none where it is permitted.
    pub reply: Option<ReplyDocument>,
    /// The rule that covers the address; none where none does.
    pub rule: Option<RuleDocument>,
    /// What each component that was asked said, in order. The first that refuses or defers is the last.
    pub decisions: Vec<SenderDecisionDocument>,
    /// How it was asked, in words.
    pub text: String,
}

/// The answer of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictName {
    /// The user may send as the address.
    Permitted,
    /// Not now.
    Deferred,
    /// The user may not.
    Refused,
}

/// What a component said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SenderDecisionDocument {
    /// Its name in the configuration.
    pub component: String,
    /// SHA-256 of it, in hexadecimal.
    pub digest: String,
    /// Its answer: `pass`, `permit`, `defer`, `refuse`, or `failed:` and why.
    #[schema(example = "permit")]
    pub answer: String,
    /// Why.
    pub reasons: Vec<String>,
}

/// Who may send as an address, a page of them in the order of their names. There may be fewer rows than asked for, even
/// none, before the end: only a page without `cursor` is the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SendersDocument {
    /// The address, in the form in which it is compared.
    pub address: String,
    /// The users whose rules cover it, disabled ones included.
    pub users: Vec<SenderDocument>,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
    /// What this rests on.
    pub rests_on: BasisDocument,
}

/// A user whose rules cover an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SenderDocument {
    /// The name of the user.
    pub user: String,
    /// The list of the user.
    pub list: String,
    /// Whether the user may log in.
    pub active: bool,
    /// The rule that covers it.
    pub rule: RuleDocument,
}

/// Whether a user may send as an address.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct UserSendersQuery {
    /// An address: the components are asked whether the user may send as it. Empty counts as not given.
    #[serde(rename = "as")]
    #[param(rename = "as", example = "news@example.com")]
    pub sender: Option<String>,
}

/// Which address.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SendersQuery {
    /// The address.
    #[param(value_type = String, required = true, example = "news@example.com")]
    pub address: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 1000; 100 when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
}

impl From<&Rule> for RuleDocument {
    fn from(rule: &Rule) -> Self {
        let text = rule.text();
        let (words, example) = match rule {
            Rule::Domain(domain) => match domain.strip_prefix("*.") {
                Some(parent) => (
                    format!("any address at any subdomain of {parent}, but not at {parent} itself"),
                    format!("anybody@sub.{parent}"),
                ),
                None => (
                    format!("any address at {domain}, but not at its subdomains"),
                    format!("anybody@{domain}"),
                ),
            },
            Rule::Sender(_) => (format!("{text} alone"), text.clone()),
        };
        Self {
            field: rule.field().to_owned(),
            rule: text,
            text: words,
            example,
        }
    }
}

/// What answers about senders rest on now.
pub(super) fn basis(api: &Api) -> BasisDocument {
    basis_of(api.plugins.status())
}

/// What they rest on with that chain.
pub(super) fn basis_of(chain: Vec<ComponentStatus>) -> BasisDocument {
    let mut by_rules = false;
    let mut components = Vec::new();
    for component in chain {
        let mut questions = component.questions.iter();
        if questions.any(|(question, _)| *question == Question::Sender) {
            by_rules |= matches!(&component.source, Source::Shipped(name) if name == BY_RULES);
            components.push(component.name);
        }
    }
    let rules = match (by_rules, components.len()) {
        (true, 1) => RulesDecide::Alone,
        (true, _) => RulesDecide::First,
        (false, _) => RulesDecide::Unknown,
    };
    let text = match rules {
        RulesDecide::Alone => {
            "the rules of users decide: the shipped component is the only one that is asked about senders"
                .to_owned()
        }
        RulesDecide::First => format!(
            "what the rules do not cover is refused; what they cover any of these may refuse: {}",
            components.join(", ")
        ),
        RulesDecide::Unknown if components.is_empty() => {
            "no component is asked about senders, so nobody may send: the rules say what is meant".to_owned()
        }
        RulesDecide::Unknown => format!(
            "the rules say what is meant, and these decide, by them or by something else: {}",
            components.join(", ")
        ),
    };
    BasisDocument {
        rules,
        components,
        text,
    }
}

/// An address that somebody asks about, in the form in which it is compared.
pub(super) fn address(field: &'static str, text: &str) -> Result<Address, Problem> {
    let mailbox = Mailbox::parse(text, true).ok();
    let address = mailbox.and_then(|mailbox| Address::from_mailbox(&mailbox).ok());
    address.ok_or_else(|| {
        let text = audit::shown(text);
        let text = format!("`{text}` is not an address: write it as in name@example.com");
        Problem::fields(vec![FieldError::new(field, text)])
    })
}

/// An address as it is written in SMTP.
pub(super) fn written(address: &Address) -> String {
    Mailbox {
        local: address.local().to_owned(),
        domain: address.domain().to_owned(),
    }
    .to_string()
}

/// What a user may send as, with the verdict about an address where one is asked for.
pub(super) async fn of_user(
    api: &Api,
    name: &str,
    sender: Option<Address>,
) -> Result<UserSendersDocument, Problem> {
    let user = api.directory.user(name);
    let user = user.ok_or_else(|| no_such("user", name))?;
    let domains = user.rules.domains().iter().cloned().map(Rule::Domain);
    let senders = user.rules.senders().iter().cloned().map(Rule::Sender);
    let rules = domains.chain(senders).map(|rule| RuleDocument::from(&rule));
    let verdict = match sender {
        Some(address) => Some(verdict(api, &user, address).await),
        None => None,
    };
    Ok(UserSendersDocument {
        user: user.name.clone(),
        active: user.active,
        rules: rules.collect(),
        warning: user.rules.warning().map(str::to_owned),
        rests_on: basis(api),
        verdict,
    })
}

/// Asks the components that are in force, as at a MAIL of this user that begins now.
async fn verdict(api: &Api, user: &User, address: Address) -> VerdictDocument {
    let connection = api.connection.load();
    let ports = [&connection.starttls_ports, &connection.tls_ports];
    let session = SessionFacts {
        id: "question".to_owned(),
        listener_port: ports.into_iter().flatten().copied().next().unwrap_or(0),
        client: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        ehlo: "localhost".to_owned(),
        tls: None,
    };
    let text = format!(
        "asked now, as at MAIL of a client at {} that came to port {} in clear, said EHLO {} and logged in with PLAIN; \
         when the header of a message is known, the components are asked about its authors again",
        session.client.ip(),
        session.listener_port,
        session.ehlo,
    );
    let envelope = EnvelopeFacts {
        reverse_path: Some(address.clone()),
        ..EnvelopeFacts::default()
    };
    let facts = Facts::at_mail(
        // Of no message: what components log about it says that.
        MessageId::new(api.clock.now(), 0),
        Arc::new(session),
        Some(Arc::new(AccountFacts::of(user, "PLAIN"))),
        envelope,
        Vec::new(),
    );
    let authorization = api.plugins.authorize(Arc::new(facts)).await;
    let (answer, reply) = match &authorization.ruling {
        SenderRuling::Permitted => (VerdictName::Permitted, None),
        SenderRuling::Deferred(reply) => (VerdictName::Deferred, Some(reply)),
        SenderRuling::Refused { reply, .. } => (VerdictName::Refused, Some(reply)),
    };
    VerdictDocument {
        address: written(&address),
        answer,
        reply: reply.map(ReplyDocument::from),
        rule: user
            .rules
            .covering(&address)
            .as_ref()
            .map(RuleDocument::from),
        decisions: authorization.records.into_iter().map(decision).collect(),
        text,
    }
}

fn decision(record: DecisionRecord) -> SenderDecisionDocument {
    let reasons = record.reasons.iter();
    let reasons = reasons.map(|reason| format!("{}: {}", reason.rule(), reason.detail()));
    SenderDecisionDocument {
        component: record.component.as_ref().to_owned(),
        digest: record.digest.as_ref().to_owned(),
        answer: record.answer.to_string(),
        reasons: reasons.collect(),
    }
}

/// Shows what a user may send as: the rules in words, and with `as` what the policy components say about one address.
#[utoipa::path(get, path = "/api/v1/users/{user}/senders", operation_id = "list_senders_of_user", tag = "users",
    params(("user" = String, Path, description = "The name of the user."), UserSendersQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "What the user may send as.", body = UserSendersDocument),
        Refused, Missing))]
pub(super) async fn show(
    _: Reader,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    QueryString(query): QueryString<UserSendersQuery>,
) -> Result<axum::Json<UserSendersDocument>, Problem> {
    let sender = query.sender.filter(|sender| !sender.is_empty());
    let sender = sender.map(|sender| address("as", &sender)).transpose()?;
    of_user(&api, &name, sender).await.map(axum::Json)
}

/// Shows who may send as an address: the users whose rules cover it, and by which rule.
#[utoipa::path(get, path = "/api/v1/senders", operation_id = "list_senders", tag = "users", params(SendersQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "A page of users.", body = SendersDocument), Refused))]
pub(super) async fn list(
    _: Reader,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<SendersQuery>,
) -> Result<axum::Json<SendersDocument>, Problem> {
    let set = |value: Option<String>| value.filter(|value| !value.is_empty());
    let Some(text) = set(query.address) else {
        return Err(Problem::field(
            "address",
            "is missing: say an address, as in name@example.com",
        ));
    };
    let address = address("address", &text)?;
    let rows_max = rows_max(set(query.limit), ROWS_DEFAULT, ROWS_MAX)?;
    of_address(&api, address, set(query.cursor), rows_max)
        .await
        .map(axum::Json)
}

/// A page of those who may send as an address.
pub(super) async fn of_address(
    api: &Api,
    address: Address,
    after: Option<String>,
    rows_max: usize,
) -> Result<SendersDocument, Problem> {
    let (directory, asked) = (api.directory.clone(), address.clone());
    let looking = move || directory.senders(&asked, after.as_deref(), rows_max);
    let looked = tokio::task::spawn_blocking(looking).await;
    let SenderPage { users, next } =
        looked.map_err(|error| Problem::internal("looking through the rules", &error))?;
    let users = users.iter().map(|(user, rule)| SenderDocument {
        user: user.name.clone(),
        list: user.list.clone(),
        active: user.active,
        rule: rule.into(),
    });
    Ok(SendersDocument {
        address: written(&address),
        users: users.collect(),
        cursor: next,
        rests_on: basis(api),
    })
}

/// How many rows a page has.
pub(super) fn rows_max(
    text: Option<String>,
    default: usize,
    most: usize,
) -> Result<usize, Problem> {
    let Some(text) = text else {
        return Ok(default);
    };
    let rows = text.parse().ok().filter(|rows| (1..=most).contains(rows));
    rows.ok_or_else(|| Problem::field("limit", format!("must be 1 to {most}")))
}
