//! Refused senders over HTTP: who tried to send as whom, and what an admin does about it.
//!
//! Authorizing adds one rule to the user and takes away what it settles. The two stand in two stores: the rule is durable
//! first, and a row that is left behind says that it is covered by now, so that nobody is misled whatever the moment of
//! a crash.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::{Administrator, Caller, Operator, Reader};
use super::audit::{self, Deed};
use super::extract::{Json, NoQuery, QueryString, Segment};
use super::once::KeyHeader;
use super::openapi::{Conflicts, Missing, Refused, RefusedBody};
use super::problem::{FieldError, Kind, Problem};
use super::selection::moment;
use super::senders::{self, BasisDocument, RuleDocument, RulesDecide};
use super::users::{self, UserDocument};
use super::{Api, Removed, directory_problem, spool_problem};
use crate::account::{FieldProblem, Rule, RuleProblem, User};
use crate::message::{Address, mapped_domain};
use crate::spool::{KeptRefusal, REFUSAL_ROWS_MAX, RefusalFilter, RefusalId};

/// Rows of a page when nothing is said.
const ROWS_DEFAULT: usize = 100;

/// A sender that a user was refused, once or more often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalDocument {
    /// Its id.
    #[schema(example = "18bcfe56800000")]
    pub id: String,
    /// The list of the user, the last time.
    pub list: String,
    /// The user.
    pub user: String,
    /// As whom; empty for the null reverse-path.
    #[schema(example = "news@example.com")]
    pub sender: String,
    /// The domain of that; empty for the null reverse-path.
    #[schema(example = "example.com")]
    pub domain: String,
    /// Where it was named the last time.
    pub named_in: NamedIn,
    /// How often.
    #[schema(minimum = 1)]
    pub count: u64,
    /// The first time.
    pub first: String,
    /// The last time.
    pub last: String,
    /// From which addresses, the last ones, the latest first.
    pub clients: Vec<String>,
    /// Why, in the components' words of the last time.
    pub reasons: Vec<String>,
    /// The rule of the user that covers it by now; none where none does, or the user is gone.
    pub covered_by: Option<RuleDocument>,
    /// Whether there is the user still.
    pub user_is_there: bool,
}

/// Where a refused sender was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamedIn {
    /// In MAIL.
    Envelope,
    /// In the header, as an author.
    Header,
}

impl NamedIn {
    /// The name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Header => "header",
        }
    }
}

/// A page of refused senders, those that were seen last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalsDocument {
    /// The refused senders.
    pub refusals: Vec<RefusalDocument>,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Which refused senders. Everything given must match; an empty value counts as not given.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RefusalsQuery {
    /// Of users of this list.
    pub list: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// The sender contains this, without regard to case.
    pub sender: Option<String>,
    /// The sender is of this domain.
    #[param(example = "example.com")]
    pub domain: Option<String>,
    /// Seen then or later: a date with a time and an offset (RFC 3339).
    #[param(example = "2026-11-27T08:00:00Z")]
    pub since: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 1000; 100 when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
}

/// How a refused sender is authorized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeInput {
    /// What is authorized.
    #[serde(rename = "as")]
    pub rule: AuthorizeAs,
    /// Only say what it would come to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What is authorized of a refused sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizeAs {
    /// The address alone.
    Sender,
    /// Its domain: any address at it.
    Domain,
}

/// What authorizing came to, or would come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorizedDocument {
    /// Whether it was only said what it would come to.
    pub dry_run: bool,
    /// The rule.
    pub rule: RuleDocument,
    /// Whether the user has that rule through this; false where another one covers all that it covers.
    pub added: bool,
    /// What that allows beside the refused sender, and what it does not, in words.
    pub also: Vec<String>,
    /// The refused senders of this user that it settles, that one among them: they are gone from the listing.
    pub settles: Vec<RefusalDocument>,
    /// The user afterwards.
    pub user: UserDocument,
    /// What this rests on.
    pub rests_on: BasisDocument,
}

impl RefusalsQuery {
    fn read(self) -> Result<(RefusalFilter, Option<String>, usize), Problem> {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut errors = Vec::new();
        let domain = set(self.domain).and_then(|text| match mapped_domain(&text) {
            Ok(domain) => Some(domain),
            // An address literal is one as it is.
            Err(_) if text.starts_with('[') => Some(text.to_ascii_lowercase()),
            Err(_) => {
                let text = "is not a domain: write it as in example.com";
                errors.push(FieldError::new("domain", text));
                None
            }
        });
        let since = set(self.since).and_then(|text| match moment("since", &text) {
            Ok(since) => Some(since),
            Err(error) => {
                errors.push(error);
                None
            }
        });
        match senders::rows_max(set(self.limit), ROWS_DEFAULT, REFUSAL_ROWS_MAX) {
            Ok(rows_max) if errors.is_empty() => {
                let filter = RefusalFilter {
                    list: set(self.list),
                    user: set(self.user),
                    sender: set(self.sender),
                    domain,
                    since,
                };
                Ok((filter, set(self.cursor), rows_max))
            }
            Ok(_) => Err(Problem::fields(errors)),
            Err(problem) => {
                errors.extend(problem.errors);
                Err(Problem::fields(errors))
            }
        }
    }
}

fn shown(api: &Api, row: &KeptRefusal) -> RefusalDocument {
    let refusal = &row.refusal;
    let user = api.directory.user(&refusal.user);
    let sender = refusal.sender.as_ref();
    let rules = user.as_ref().map(|user| &user.rules);
    let covering = rules
        .zip(sender)
        .and_then(|(rules, sender)| rules.covering(sender));
    RefusalDocument {
        id: row.id.to_string(),
        list: refusal.list.clone(),
        user: refusal.user.clone(),
        sender: sender.map(senders::written).unwrap_or_default(),
        domain: sender
            .map(|sender| sender.domain().to_owned())
            .unwrap_or_default(),
        named_in: match refusal.named_in {
            crate::spool::NamedIn::Envelope => NamedIn::Envelope,
            crate::spool::NamedIn::Header => NamedIn::Header,
        },
        count: refusal.count,
        first: refusal.first.to_string(),
        last: refusal.last.to_string(),
        clients: refusal.clients.iter().map(ToString::to_string).collect(),
        reasons: refusal.reasons.clone(),
        covered_by: covering.as_ref().map(RuleDocument::from),
        user_is_there: user.is_some(),
    }
}

/// Shows senders that users were refused, those that were seen last first.
#[utoipa::path(get, path = "/api/v1/refusals", operation_id = "list_refusals", tag = "refusals", params(RefusalsQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "A page of refused senders.", body = RefusalsDocument), Refused))]
pub(super) async fn list(
    _: Reader,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<RefusalsQuery>,
) -> Result<axum::Json<RefusalsDocument>, Problem> {
    page(&api, query).map(axum::Json)
}

/// A page of refused senders.
pub(super) fn page(api: &Api, query: RefusalsQuery) -> Result<RefusalsDocument, Problem> {
    let (filter, cursor, rows_max) = query.read()?;
    let refusals = api.spool.refusals();
    let page = refusals.page(&filter, cursor.as_deref(), rows_max, api.clock.now());
    let page = page.ok_or_else(|| Problem::field("cursor", "is not a cursor of this listing"))?;
    Ok(RefusalsDocument {
        refusals: page.rows.iter().map(|row| shown(api, row)).collect(),
        cursor: page.cursor,
    })
}

/// Shows a refused sender.
#[utoipa::path(get, path = "/api/v1/refusals/{refusal}", operation_id = "show_refusal", tag = "refusals",
    params(("refusal" = String, Path, description = "The id of the refused sender.")),
    security(("token" = ["read"])),
    responses((status = 200, description = "The refused sender.", body = RefusalDocument), Refused, Missing))]
pub(super) async fn show(
    _: Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(id): Segment,
) -> Result<axum::Json<RefusalDocument>, Problem> {
    let row = found(&api, &id)?;
    Ok(axum::Json(shown(&api, &row)))
}

/// Dismisses a refused sender: it is gone from the listing, and comes again when it is refused again.
#[utoipa::path(delete, path = "/api/v1/refusals/{refusal}", operation_id = "dismiss_refusal", tag = "refusals",
    params(("refusal" = String, Path, description = "The id of the refused sender.")),
    security(("token" = ["operate"])),
    responses((status = 200, description = "It is gone.", body = Removed), Refused, Missing))]
pub(super) async fn dismiss(
    _: Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(id): Segment,
) -> Result<axum::Json<Removed>, Problem> {
    deed.note(|noted| noted.action = Some("dismiss-refusal"));
    dismissed(&api, &deed, &id).await.map(axum::Json)
}

/// Dismisses the refused sender with that id.
pub(super) async fn dismissed(api: &Api, deed: &Deed, id: &str) -> Result<Removed, Problem> {
    let row = found(api, id)?;
    deed.note(|noted| noted.user = Some(audit::shown(&row.refusal.user)));
    let gone = api.spool.dismiss_refusals(vec![row.id]).await;
    let gone = gone.map_err(|error| spool_problem(&error))?;
    match gone.is_empty() {
        false => Ok(Removed {
            removed: row.id.to_string(),
        }),
        true => Err(unknown(id)),
    }
}

/// Lets the user send as the refused sender from now on: adds the address, or its domain, to what the user may send as, and
/// takes away the refused senders of the user that this settles. With `dry_run` it only says what that would come to.
#[utoipa::path(post, path = "/api/v1/refusals/{refusal}/authorize", operation_id = "authorize_refusal", tag = "refusals",
    params(("refusal" = String, Path, description = "The id of the refused sender."), KeyHeader),
    request_body = AuthorizeInput,
    security(("token" = ["admin"])),
    responses((status = 200, description = "What it came to.", body = AuthorizedDocument),
        Refused, RefusedBody, Missing, Conflicts))]
pub(super) async fn authorize(
    Administrator(caller): Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(id): Segment,
    Json(input): Json<AuthorizeInput>,
) -> Result<axum::Json<AuthorizedDocument>, Problem> {
    deed.note(|noted| {
        noted.action = Some("authorize-refusal");
        noted.dry_run = input.dry_run.then_some(true);
    });
    authorized(&api, &caller, &deed, &id, &input)
        .await
        .map(axum::Json)
}

/// Authorizes the refused sender with that id.
pub(super) async fn authorized(
    api: &Api,
    caller: &Caller,
    deed: &Deed,
    id: &str,
    input: &AuthorizeInput,
) -> Result<AuthorizedDocument, Problem> {
    let row = found(api, id)?;
    let name = &row.refusal.user;
    deed.note(|noted| noted.user = Some(audit::shown(name)));
    let Some(before) = api.directory.user(name) else {
        let text = format!("user {name} is gone: dismiss this refused sender");
        return Err(Problem::new(Kind::Conflict, text));
    };
    let rule = rule(row.refusal.sender.as_ref(), input.rule)?;
    let now = api.clock.now();
    let (added, after) = match input.dry_run {
        true => {
            let rules = before.rules.with(&rule);
            let rules = rules.map_err(|problem| refused(&rule, &problem))?;
            let added = rules != before.rules;
            let after = User {
                rules,
                ..User::clone(&before)
            };
            (added, Arc::new(after))
        }
        false => {
            let told = api
                .directory
                .under(deed.terms(&api.clock, StatusCode::OK, None));
            let changed = told.authorize(name, rule.clone(), now).await;
            let changed = changed.map_err(directory_problem)?;
            (changed.before.rules != changed.after.rules, changed.after)
        }
    };
    deed.note(|noted| {
        noted.list = Some(after.list.clone());
        noted.changed = Some(audit::fields([(rule.field(), added)]));
    });
    let covered = covered(api, &after);
    let settles = covered.iter().map(|row| shown(api, row)).collect();
    if !input.dry_run {
        dismiss_all(api, &covered).await;
    }
    let rests_on = senders::basis(api);
    Ok(AuthorizedDocument {
        dry_run: input.dry_run,
        also: also(&after, &rule, &rests_on),
        rule: (&rule).into(),
        added,
        settles,
        user: users::document(api, &after, caller).await,
        rests_on,
    })
}

/// The refused senders of a user that the rules cover now.
fn covered(api: &Api, user: &User) -> Vec<Arc<KeptRefusal>> {
    let mut rows = api.spool.refusals().of_user(&user.name, api.clock.now());
    rows.retain(|row| {
        let sender = row.refusal.sender.as_ref();
        sender.is_some_and(|sender| user.rules.covering(sender).is_some())
    });
    rows
}

/// A user may send as others than before: what was refused and is covered now is settled.
pub(super) async fn settle(api: &Api, user: &User) {
    dismiss_all(api, &covered(api, user)).await;
}

/// Forgets what was refused to a user who is gone: one who is made anew under that name has been refused nothing.
pub(super) async fn forget_user(api: &Api, name: &str) {
    let rows = api.spool.refusals().of_user(name, api.clock.now());
    dismiss_all(api, &rows).await;
}

/// Takes rows away. What is done is done, also where they cannot be: they say that they are covered, or whose they were.
async fn dismiss_all(api: &Api, rows: &[Arc<KeptRefusal>]) {
    if rows.is_empty() {
        return;
    }
    let ids: Vec<RefusalId> = rows.iter().map(|row| row.id).collect();
    if let Err(error) = api.spool.dismiss_refusals(ids).await {
        tracing::warn!(%error, "refused senders that are settled stay listed");
    }
}

fn found(api: &Api, id: &str) -> Result<Arc<KeptRefusal>, Problem> {
    let known = id.parse::<RefusalId>().ok();
    let row = known.and_then(|id| api.spool.refusals().get(id, api.clock.now()));
    row.ok_or_else(|| unknown(id))
}

/// None of that id is there, or not any more.
fn unknown(id: &str) -> Problem {
    let id = audit::shown(id);
    Problem::not_found(format!(
        "refused sender {id}: it was settled or dismissed meanwhile, or is too old to be kept"
    ))
}

fn rule(sender: Option<&Address>, of: AuthorizeAs) -> Result<Rule, Problem> {
    let Some(sender) = sender else {
        let text =
            "cannot be authorized: the null reverse-path names no sender, and no rule is about it";
        return Err(Problem::field("as", text));
    };
    let rule = match of {
        AuthorizeAs::Sender => Rule::for_sender(sender),
        AuthorizeAs::Domain => Rule::for_domain_of(sender),
    };
    rule.map_err(|problem| Problem::field("as", problem.to_string()))
}

/// As the directory says it.
fn refused(rule: &Rule, problem: &RuleProblem) -> Problem {
    super::invalid(vec![FieldProblem::new(rule.field(), problem.to_string())])
}

/// What a rule allows beside the refused sender, and what it does not.
fn also(user: &User, rule: &Rule, basis: &BasisDocument) -> Vec<String> {
    let name = &user.name;
    let allows = match rule {
        Rule::Domain(domain) => {
            format!("{name} may send as any address at {domain} by this, but not at its subdomains")
        }
        Rule::Sender(_) => {
            format!(
                "{name} may send as this one address by it, in any case of letters, and as nobody else"
            )
        }
    };
    let others = "who else may send as it stays as it is".to_owned();
    let inactive = (!user.active).then(|| format!("{name} is disabled, and may not log in"));
    let decides = match basis.rules {
        RulesDecide::Alone => None,
        RulesDecide::First | RulesDecide::Unknown => Some(basis.text.clone()),
    };
    [allows, others]
        .into_iter()
        .chain(inactive)
        .chain(decides)
        .collect()
}
