//! Talking to the running relay: what is typed becomes a request, the answer becomes text.

use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::asks::{Plan, plan};
use super::audit;
use super::backup::{self, BackupCommand, SaveError};
use super::options::Remote;
use super::print;
use super::queue_options::QueueCommand;
use super::stats_options::StatsCommand;
use super::transfer;
use super::user_options::UserCommand;
use crate::admin::client::{Answer, Ask, Client, ClientError};
use crate::admin::problem::Problem;
use crate::admin::queue::{QueueChanged, QueuePage};
use crate::plugin::deployed::COMPONENT_OCTETS_MAX;
use crate::regular;
use crate::tls;

/// Where the running relay is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The admin address of the configuration.
    pub address: SocketAddr,
    /// The file with the admin token, `admin-token` in the data folder.
    pub token_file: PathBuf,
    /// Where the relay's certificate is, where it is spoken to under TLS.
    pub tls: Option<tls::Settings>,
}

/// Why a command did not do what was typed. All of it ends with exit code 1.
#[derive(Debug)]
pub(super) enum Failure {
    /// Lines for the person.
    Said(Vec<String>),
    /// The relay refused; its document, for those who asked for JSON.
    Refused(Value),
    /// The reader of our output went away; nobody is left to tell.
    Unheard,
}

/// The person or script that typed the command.
pub(super) trait Person {
    /// Takes data: standard output.
    fn hear(&mut self, text: &str) -> io::Result<()>;
    /// Takes a remark: standard error.
    fn notice(&mut self, line: &str);
    /// Answers a question; none when nobody is there to answer.
    fn answer(&mut self, question: &str) -> Option<bool>;
}

/// Does what was typed, over the admin API of the running relay.
pub fn administer(remote: &Remote, access: &Access) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            Terminal.notice(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if runtime.block_on(carry_out(remote, access, &mut Terminal)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether it was done.
pub(super) async fn carry_out(remote: &Remote, access: &Access, person: &mut dyn Person) -> bool {
    let json = remote.output().is_some_and(|output| output.json);
    match attempt(remote, access, json, person).await {
        Ok(()) => true,
        Err(Failure::Said(lines)) => {
            lines.iter().for_each(|line| person.notice(line));
            false
        }
        Err(Failure::Refused(document)) => {
            match serde_json::from_value::<Problem>(document.clone()) {
                Ok(problem) => {
                    print::refusal(&problem)
                        .iter()
                        .for_each(|line| person.notice(line));
                    if problem.status == 401 {
                        person.notice(&format!(
                            "it is the one in {}: use the data folder and the --config of the relay \
                             that runs",
                            access.token_file.display()
                        ));
                    }
                }
                Err(_) => {
                    person.notice("the relay refused, in words that this version cannot read")
                }
            }
            if json {
                // Whoever reads JSON gets the refusal as such, too. When nobody does, so be it.
                drop(person.hear(&pretty(&document)));
            }
            false
        }
        Err(Failure::Unheard) => false,
    }
}

async fn attempt(
    remote: &Remote,
    access: &Access,
    json: bool,
    person: &mut dyn Person,
) -> Result<(), Failure> {
    let plan = plan(remote);
    if plan == Plan::PrintToken {
        let token = read_token(access).map_err(|problem| Failure::Said(vec![problem]))?;
        let text = if json {
            pretty(&serde_json::json!({ "token": token.as_str() }))
        } else {
            format!("{}\n", token.as_str())
        };
        return person.hear(&text).map_err(unheard);
    }
    let client = client(access).await?;
    match remote {
        Remote::User(UserCommand::Export(command)) => {
            return transfer::export(&client, command, person).await;
        }
        Remote::User(UserCommand::Import(command)) => {
            return transfer::import(&client, command, person).await;
        }
        Remote::Stats(StatsCommand { csv: true, .. }) => {
            let Plan::Ask(ask) = &plan else {
                return Ok(());
            };
            return person.hear(&fetched(&client, ask).await?).map_err(unheard);
        }
        _ => {}
    }
    let document = match plan {
        Plan::PrintToken => return Ok(()),
        Plan::Send { ask, file } => sent(&client, ask, &file).await?,
        Plan::Save(ask) => match remote {
            Remote::Backup(command) => save(&client, &ask, command).await?,
            _ => return Ok(()),
        },
        Plan::Ask(ask) => match remote {
            Remote::Queue(command @ QueueCommand::Ls { .. }) => listed(&client, command).await?,
            Remote::Audit(command) => audit::listed(&client, command).await?,
            _ => asked(&client, &ask).await?,
        },
        Plan::Change {
            count,
            act,
            is_bulk,
        } => {
            let how = remote.change();
            if how.is_some_and(|how| how.dry_run) {
                asked(&client, &count).await?
            } else {
                if is_bulk && !how.is_some_and(|how| how.yes) {
                    confirm(&client, &count, person).await?;
                }
                asked(&client, &act).await?
            }
        }
    };
    let text = if json {
        pretty(&document)
    } else {
        print::answer(remote, document).map_err(unreadable)?
    };
    person.hear(&text).map_err(unheard)
}

/// As much of the queue as was asked for. The relay looks at a part of a deep queue at a time, so a
/// page may hold few of those that match; the next ones are asked for until there are enough.
async fn listed(client: &Client, command: &QueueCommand) -> Result<Value, Failure> {
    let mut command = command.clone();
    let mut whole = QueuePage {
        deliveries: Vec::new(),
        cursor: None,
        stops: Vec::new(),
    };
    while let Plan::Ask(ask) = plan(&Remote::Queue(command.clone())) {
        let page: QueuePage = read(asked(client, &ask).await?)?;
        let rows = u16::try_from(page.deliveries.len()).unwrap_or(u16::MAX);
        whole.deliveries.extend(page.deliveries);
        whole.cursor = page.cursor;
        whole.stops = page.stops;
        let QueueCommand::Ls { limit, cursor, .. } = &mut command else {
            break;
        };
        *limit = limit.saturating_sub(rows);
        cursor.clone_from(&whole.cursor);
        if cursor.is_none() || *limit == 0 {
            break;
        }
    }
    serde_json::to_value(whole).map_err(unreadable)
}

/// What is no document, as it is.
async fn fetched(client: &Client, ask: &Ask) -> Result<String, Failure> {
    let mut octets = Vec::new();
    match client.fetch(ask, &mut octets).await {
        Ok(None) => Ok(String::from_utf8_lossy(&octets).into_owned()),
        Ok(Some(refused)) => Err(Failure::Refused(refused.document)),
        Err(error) => Err(no_answer(&error)),
    }
}

async fn save(client: &Client, ask: &Ask, command: &BackupCommand) -> Result<Value, Failure> {
    let saved = backup::save(client, ask, command).await;
    let header = saved.map_err(|error| match error {
        SaveError::Refused(document) => Failure::Refused(document),
        SaveError::Unanswered(error) => no_answer(&error),
        other => Failure::Said(vec![other.to_string()]),
    })?;
    serde_json::to_value(header).map_err(unreadable)
}

/// Sends what is in a file: a component.
async fn sent(client: &Client, ask: Ask, file: &Path) -> Result<Value, Failure> {
    let component = regular::read(file, COMPONENT_OCTETS_MAX as u64);
    let component = component.map_err(|error| {
        let text = format!("{} cannot be read: {error}", file.display());
        Failure::Said(vec![text])
    })?;
    asked(client, &ask.with_component(component)).await
}

async fn confirm(client: &Client, count: &Ask, person: &mut dyn Person) -> Result<(), Failure> {
    let document = asked(client, count).await?;
    let counted: QueueChanged = read(document)?;
    if counted.count == 0 {
        // Nothing to ask about, and nothing that an answer could change.
        return Ok(());
    }
    let question = print::question(&counted);
    match person.answer(&question) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Said(vec!["nothing was changed".to_owned()])),
        None => Err(Failure::Said(vec![
            question.replace(" Go on? [y/N] ", ""),
            "nothing was changed: --yes goes on without asking".to_owned(),
        ])),
    }
}

/// What was not heard may have been a password, so that somebody should know.
pub(super) fn unheard(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::Unheard;
    }
    let done = "what was asked is done, but the answer cannot be written";
    Failure::Said(vec![format!("{done}: {error}")])
}

pub(super) fn read<T: DeserializeOwned>(document: Value) -> Result<T, Failure> {
    serde_json::from_value(document).map_err(unreadable)
}

pub(super) fn unreadable(error: serde_json::Error) -> Failure {
    let text = format!("the relay answered what this version cannot read: {error}");
    Failure::Said(vec![text])
}

pub(super) async fn asked(client: &Client, ask: &Ask) -> Result<Value, Failure> {
    match client.ask(ask).await {
        Ok(Answer {
            is_success: true,
            document,
        }) => Ok(document),
        Ok(Answer {
            is_success: false,
            document,
        }) => Err(Failure::Refused(document)),
        Err(error) => Err(no_answer(&error)),
    }
}

async fn client(access: &Access) -> Result<Client, Failure> {
    let tls = access.tls.as_ref().map(tls::Own::read).transpose();
    let tls = tls.map_err(|error| Failure::Said(vec![error.to_string()]))?;
    match read_token(access) {
        Ok(token) => Ok(Client::new(access.address, token, tls)),
        Err(problem) => {
            // Where no relay has run there is no token: then that is what to say.
            let client = Client::new(access.address, Zeroizing::default(), tls);
            client.knock().await.map_err(|error| no_answer(&error))?;
            Err(Failure::Said(vec![
                format!("a relay answers at {}, but {problem}", client.address()),
                "run this in the folder that the relay was started in, with the same --config, as \
                 the user that runs it (or root)"
                    .to_owned(),
            ]))
        }
    }
}

fn no_answer(error: &ClientError) -> Failure {
    let mut lines = vec![error.to_string()];
    lines.extend(match error {
        ClientError::NotRunning { .. } => Some(
            "start one with `outpost serve`, or name its configuration with --config FILE"
                .to_owned(),
        ),
        ClientError::NotOurs { .. } => {
            Some("[admin] address in the configuration says where the relay is".to_owned())
        }
        ClientError::Ended(_) => {
            Some("what was asked may be done or not: look whether it is".to_owned())
        }
        ClientError::Silent(_) | ClientError::Token | ClientError::Out(_) => None,
    });
    Failure::Said(lines)
}

fn read_token(access: &Access) -> Result<Zeroizing<String>, String> {
    let file = access.token_file.display();
    let text = std::fs::read_to_string(&access.token_file)
        .map(Zeroizing::new)
        .map_err(|error| format!("the admin token in {file} cannot be read: {error}"))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(format!("the admin token in {file} is empty"));
    }
    if !token.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(format!("what is in {file} is not a token"));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

/// Standard input, output and error.
struct Terminal;

impl Person for Terminal {
    fn hear(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn notice(&mut self, line: &str) {
        // When even this cannot be said, the exit code still says it.
        drop(writeln!(io::stderr().lock(), "outpost: {line}"));
    }

    fn answer(&mut self, question: &str) -> Option<bool> {
        let input = io::stdin();
        if !input.is_terminal() {
            return None;
        }
        let mut out = io::stderr().lock();
        out.write_all(question.as_bytes())
            .and_then(|()| out.flush())
            .ok()?;
        let mut line = String::new();
        input.lock().read_line(&mut line).ok()?;
        Some(matches!(
            line.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }
}
