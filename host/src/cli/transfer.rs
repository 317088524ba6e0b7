//! `outpost user export` and `outpost user import`: accounts from one relay to another, without secrets.
//!
//! What an entry looks like and what entries come to stands in `admin::entries`; here the relay is asked
//! and told, one request for each step. An import that breaks off says how far it came; typed again it
//! goes on, since what is there already is no step any more.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::aside::Aside;
use super::options::Output;
use super::remote::{Failure, Person, asked, read, unheard, unreadable};
use crate::admin::client::{Ask, Client};
use crate::admin::entries::{Deed, Entry, Known, Step, steps};
use crate::admin::lists::{ListChangeInput, ListDocument, ListsDocument};
use crate::admin::users::{NewUserDocument, UserDocument, UsersDocument};
use crate::admin::within_path;

/// Largest import: a million users with short rules.
const IMPORT_OCTETS_MAX: u64 = 512 << 20;

/// `outpost user export …`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ExportCommand {
    /// The file; printed when left out, and for -
    pub file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "file")]
    pub force: bool,
}

/// `outpost user import …`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    after_help = "When any line is wrong, all of them are told and nothing is changed. A new user gets a new \
    password; one that is there keeps its own."
)]
pub struct ImportCommand {
    /// The file that `outpost user export` has written; - for standard input
    pub file: PathBuf,
    /// Change lists and users that are there and differ, too
    #[arg(long)]
    pub update: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How what is done is printed: an object a line.
    #[command(flatten)]
    pub output: Output,
}

/// Writes all lists and users.
pub(super) async fn export(
    client: &Client,
    command: &ExportCommand,
    person: &mut dyn Person,
) -> Result<(), Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::Said(vec![error.to_string()]);
    let file = command.file.as_ref();
    let mut aside = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => Some(Aside::begin(file, command.force).map_err(|error| told(&error))?),
        None => None,
    };
    let (lists, users) = everything(client).await?;
    let lists = lists.into_iter().map(Entry::from);
    for entry in lists.chain(users.into_iter().map(Entry::from)) {
        let mut line = serde_json::to_string(&entry).map_err(unreadable)?;
        line.push('\n');
        match &mut aside {
            None => person.hear(&line).map_err(unheard)?,
            Some(aside) => {
                let written = aside.out().write_all(line.as_bytes());
                written.map_err(|error| told(&aside.failed(error)))?;
            }
        }
    }
    match aside {
        Some(aside) => aside.keep().map(drop).map_err(|error| told(&error)),
        None => Ok(()),
    }
}

/// Makes what is missing, and changes what differs when that is asked for.
pub(super) async fn import(
    client: &Client,
    command: &ImportCommand,
    person: &mut dyn Person,
) -> Result<(), Failure> {
    let file = command.file.display();
    let text =
        text_of(&command.file).map_err(|error| Failure::Said(vec![format!("{file}: {error}")]))?;
    let (lists, users) = everything(client).await?;
    let steps = steps(&text, &Known::new(lists, users)).map_err(|problems| {
        let problems = problems.into_iter();
        let mut lines: Vec<String> = problems.map(|line| format!("{file}: {line}")).collect();
        lines.push("nothing was changed".to_owned());
        Failure::Said(lines)
    })?;
    let is_nothing = steps.is_empty();
    for step in steps {
        let line = step.line;
        let said = take(client, command, step).await;
        let said = said.inspect_err(|_| {
            person.notice(&format!(
                "{file}: line {line}: this and what follows is not done; what is printed above is"
            ));
        })?;
        person.hear(&said).map_err(unheard)?;
    }
    if is_nothing && !command.output.json {
        person
            .hear("everything is there already\n")
            .map_err(unheard)?;
    }
    Ok(())
}

/// Takes a step, or only says what it would be; returns what is printed.
async fn take(client: &Client, command: &ImportCommand, step: Step) -> Result<String, Failure> {
    let is_change = matches!(step.deed, Deed::ChangeList(_) | Deed::ChangeUser(..));
    let is_left = is_change && !command.update;
    let is_done = !command.dry_run && !is_left;
    let (what, name, fields, ask) = match step.deed {
        Deed::AddList(list) => {
            let document = serde_json::to_value(&list).map_err(unreadable)?;
            let ask = Ask::post("/api/v1/lists", Some(document));
            ("list", list.name, None, ask)
        }
        Deed::ChangeList(list) => {
            let path = format!("/api/v1/lists/{}", within_path(&list.name));
            let change = ListChangeInput {
                notify: list.notify,
            };
            let document = serde_json::to_value(&change).map_err(unreadable)?;
            let fields = Some("notify".to_owned());
            ("list", list.name, fields, Ask::patch(path, document))
        }
        Deed::AddUser(name, user) => {
            let document = serde_json::to_value(&user).map_err(unreadable)?;
            let ask = Ask::post("/api/v1/users", Some(document));
            ("user", name, None, ask)
        }
        Deed::ChangeUser(name, user, fields) => {
            let path = format!("/api/v1/users/{}", within_path(&name));
            let document = serde_json::to_value(&user).map_err(unreadable)?;
            let fields = Some(fields.join(", "));
            ("user", name, fields, Ask::patch(path, document))
        }
    };
    let mut password = None;
    if is_done {
        let answer = asked(client, &ask).await?;
        if what == "user" && !is_change {
            password = Some(read::<NewUserDocument>(answer)?.password);
        }
    }
    let deed = match (is_left, is_change, command.dry_run) {
        (true, ..) => "differs",
        (_, true, true) => "would change",
        (_, true, false) => "changed",
        (_, false, true) => "would add",
        (_, false, false) => "added",
    };
    if command.output.json {
        let mut line = json!({ "done": deed, what: name });
        for (key, value) in [("fields", fields), ("password", password)] {
            if let Some(value) = value {
                line[key] = value.into();
            }
        }
        return Ok(format!("{line}\n"));
    }
    let fields = fields.map_or(String::new(), |fields| format!(": {fields}"));
    let password = password.map_or(String::new(), |password| format!("  password {password}"));
    Ok(if is_left {
        format!("{what} {name} differs{fields}; --update changes it\n")
    } else {
        format!("{deed} {what} {name}{fields}{password}\n")
    })
}

/// All lists and all users, page by page.
async fn everything(client: &Client) -> Result<(Vec<ListDocument>, Vec<UserDocument>), Failure> {
    let lists: ListsDocument = read(asked(client, &Ask::get("/api/v1/lists")).await?)?;
    let mut users = Vec::new();
    let mut path = "/api/v1/users".to_owned();
    loop {
        let page: UsersDocument = read(asked(client, &Ask::get(path)).await?)?;
        users.extend(page.users);
        let Some(cursor) = page.cursor else {
            return Ok((lists.lists, users));
        };
        path = format!("/api/v1/users?cursor={}", within_path(&cursor));
    }
}

fn text_of(file: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    let input: Box<dyn io::Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(file)?)
    };
    input.take(IMPORT_OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > IMPORT_OCTETS_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    String::from_utf8(octets).map_err(|_| io::Error::other("it is not UTF-8"))
}
