//! The stored form of what the directory keeps.
//!
//! A row is a version octet and the fields in postcard. The structs here belong to the file and to
//! nothing else: a field of a user can be renamed or moved without touching what is stored, and a
//! new version of a row is a new struct beside the old one, which stays readable.

use std::sync::Arc;

use outpost_smtp::Mailbox;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::state::Secrets;
use super::tokens::KeptToken;
use super::{Kind, OpenError, Row};
use crate::account::{
    Admin, Allowance, AllowancePatch, FieldProblem, Items, List, PasswordHash, Scope, SenderRules,
    Spent, Token, User,
};
use crate::message::{Class, Timestamp};

/// The version of a user's row that this release writes. It reads every one before. 2: behind what a user has
/// always had stands [`SecondUserRow`].
const USER_VERSION: u8 = 2;

/// The only version so far of every other kind.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct UserRow {
    name: String,
    list: String,
    active: bool,
    priority: u8,
    note: String,
    domains: Vec<String>,
    senders: Vec<String>,
    password_hash: String,
    credential_epoch: u64,
    created: u64,
    changed: u64,
    password_changed: u64,
    last_login: Option<u64>,
}

/// What the second version of a user's row has behind the first.
#[derive(Default, Serialize, Deserialize)]
struct SecondUserRow {
    /// By name.
    trusted_carriers: Option<Vec<String>>,
    ceiling: Option<u8>,
    very_high_per_hour: Option<u32>,
    spent: u64,
    spent_at: u64,
}

#[derive(Serialize, Deserialize)]
struct ListRow {
    name: String,
    /// Local part and domain.
    notify: Vec<(String, String)>,
    created: u64,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
struct TokenRow {
    name: String,
    scope: u8,
    hash: [u8; 32],
    created: u64,
}

#[derive(Serialize, Deserialize)]
struct AdminRow {
    name: String,
    role: u8,
    password_hash: String,
    credential_epoch: u64,
    created: u64,
    password_changed: u64,
    last_login: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct SecretsRow {
    cache_key: [u8; 32],
    token_key: [u8; 32],
    /// The hash of the console's password, from before there were admins.
    console: Option<String>,
    epoch: u64,
}

/// A row read back.
pub(super) enum Decoded {
    User(User),
    List(List),
    Token(KeptToken),
    Admin(Admin),
    Secrets(Secrets),
}

pub(super) fn of_user(user: &User) -> Vec<u8> {
    let first = UserRow {
        name: user.name.clone(),
        list: user.list.clone(),
        active: user.active,
        priority: user.priority.number(),
        note: user.note.clone(),
        domains: user.rules.domains().to_vec(),
        senders: user.rules.sender_texts().collect(),
        password_hash: user.password_hash.as_str().to_owned(),
        credential_epoch: user.credential_epoch,
        created: user.created.unix_milliseconds(),
        changed: user.changed.unix_milliseconds(),
        password_changed: user.password_changed.unix_milliseconds(),
        last_login: user.last_login.map(Timestamp::unix_milliseconds),
    };
    let allowance = &user.allowance;
    let second = SecondUserRow {
        trusted_carriers: allowance.trusted_carriers().map(|carriers| {
            let names = carriers.iter().map(|carrier| carrier.name().to_owned());
            names.collect()
        }),
        ceiling: allowance.ceiling().map(Class::number),
        very_high_per_hour: allowance.very_high_per_hour(),
        spent: user.spent.parts,
        spent_at: user.spent.at.unix_milliseconds(),
    };
    encode_as(USER_VERSION, &(first, second))
}

pub(super) fn of_list(list: &List) -> Vec<u8> {
    encode(&ListRow {
        name: list.name.clone(),
        notify: list
            .notify
            .iter()
            .map(|mailbox| (mailbox.local.clone(), mailbox.domain.clone()))
            .collect(),
        created: list.created.unix_milliseconds(),
        changed: list.changed.unix_milliseconds(),
    })
}

pub(super) fn of_token(kept: &KeptToken) -> Vec<u8> {
    encode(&TokenRow {
        name: kept.token.name.clone(),
        scope: scope_number(kept.token.scope),
        hash: kept.hash,
        created: kept.token.created.unix_milliseconds(),
    })
}

pub(super) fn of_admin(admin: &Admin) -> Vec<u8> {
    encode(&AdminRow {
        name: admin.name.clone(),
        role: scope_number(admin.role),
        password_hash: admin.password_hash.as_str().to_owned(),
        credential_epoch: admin.credential_epoch,
        created: admin.created.unix_milliseconds(),
        password_changed: admin.password_changed.unix_milliseconds(),
        last_login: admin.last_login.map(Timestamp::unix_milliseconds),
    })
}

pub(super) fn of_secrets(secrets: &Secrets) -> Vec<u8> {
    encode(&SecretsRow {
        cache_key: *secrets.cache_key,
        token_key: *secrets.token_key,
        console: secrets
            .console
            .as_ref()
            .map(|hash| hash.as_str().to_owned()),
        epoch: secrets.epoch,
    })
}

/// Reads a row back.
pub(super) fn decode(row: &Row) -> Result<Decoded, OpenError> {
    read(row).map_err(|problem| OpenError::Damaged {
        row: match row.kind {
            Kind::User => format!("user {}", row.key),
            Kind::List => format!("list {}", row.key),
            Kind::Token => format!("token {}", row.key),
            Kind::Admin => format!("admin {}", row.key),
            Kind::Secrets => String::from("row of secrets"),
        },
        problem,
    })
}

fn read(row: &Row) -> Result<Decoded, String> {
    let (version, fields) = row.octets.split_first().ok_or("it is empty")?;
    let known = match row.kind {
        Kind::User => USER_VERSION,
        Kind::List | Kind::Token | Kind::Admin | Kind::Secrets => VERSION,
    };
    if !(1..=known).contains(version) {
        return Err(format!(
            "it has version {version}, and this relay reads up to version {known}"
        ));
    }
    let (decoded, name) = match row.kind {
        Kind::User => {
            let (first, second) = match version {
                1 => (fields_of(fields)?, SecondUserRow::default()),
                _ => fields_of(fields)?,
            };
            let user = user(first, second)?;
            let name = user.name.clone();
            (Decoded::User(user), name)
        }
        Kind::List => {
            let list = list(fields_of(fields)?);
            let name = list.name.clone();
            (Decoded::List(list), name)
        }
        Kind::Token => {
            let token = token(fields_of(fields)?)?;
            let name = token.token.name.clone();
            (Decoded::Token(token), name)
        }
        Kind::Admin => {
            let admin = admin(fields_of(fields)?)?;
            let name = admin.name.clone();
            (Decoded::Admin(admin), name)
        }
        Kind::Secrets => {
            let secrets = secrets(fields_of(fields)?);
            (Decoded::Secrets(secrets), row.key.clone())
        }
    };
    if !name.eq_ignore_ascii_case(&row.key) {
        return Err(format!(
            "it holds another name, \"{}\"",
            name.escape_debug()
        ));
    }
    Ok(decoded)
}

fn user(row: UserRow, second: SecondUserRow) -> Result<User, String> {
    let rules = SenderRules::parse(&Items::List(row.domains), &Items::List(row.senders))
        .map_err(|problems| all(&problems))?;
    let spent = Spent {
        parts: second.spent,
        at: Timestamp::from_unix_milliseconds(second.spent_at),
    };
    Ok(User {
        name: row.name,
        list: row.list,
        active: row.active,
        priority: Class::from_number(row.priority).ok_or("its priority is not one of 1 to 5")?,
        note: row.note,
        rules,
        allowance: allowance(second)?,
        spent,
        password_hash: PasswordHash::new(row.password_hash),
        credential_epoch: row.credential_epoch,
        created: Timestamp::from_unix_milliseconds(row.created),
        changed: Timestamp::from_unix_milliseconds(row.changed),
        password_changed: Timestamp::from_unix_milliseconds(row.password_changed),
        last_login: row.last_login.map(Timestamp::from_unix_milliseconds),
    })
}

fn allowance(row: SecondUserRow) -> Result<Allowance, String> {
    let patch = AllowancePatch {
        trusted_carriers: row.trusted_carriers.map(|names| Some(Items::List(names))),
        priority_ceiling: row.ceiling.map(|number| Some(number.into())),
        very_high_per_hour: row.very_high_per_hour.map(|number| Some(number.into())),
    };
    let change = patch.check().map_err(|problems| all(&problems))?;
    Ok(Allowance::default().changed(change))
}

fn list(row: ListRow) -> List {
    let mailbox = |(local, domain)| Mailbox { local, domain };
    List {
        name: row.name,
        notify: row.notify.into_iter().map(mailbox).collect(),
        created: Timestamp::from_unix_milliseconds(row.created),
        changed: Timestamp::from_unix_milliseconds(row.changed),
    }
}

fn token(row: TokenRow) -> Result<KeptToken, String> {
    let scope = scope_of(row.scope);
    Ok(KeptToken {
        token: Arc::new(Token {
            name: row.name,
            scope: scope.ok_or("its scope is unknown")?,
            created: Timestamp::from_unix_milliseconds(row.created),
        }),
        hash: row.hash,
    })
}

fn admin(row: AdminRow) -> Result<Admin, String> {
    Ok(Admin {
        name: row.name,
        role: scope_of(row.role).ok_or("its role is unknown")?,
        password_hash: PasswordHash::new(row.password_hash),
        credential_epoch: row.credential_epoch,
        created: Timestamp::from_unix_milliseconds(row.created),
        password_changed: Timestamp::from_unix_milliseconds(row.password_changed),
        last_login: row.last_login.map(Timestamp::from_unix_milliseconds),
    })
}

fn secrets(row: SecretsRow) -> Secrets {
    Secrets {
        cache_key: Zeroizing::new(row.cache_key),
        token_key: Zeroizing::new(row.token_key),
        console: row.console.map(PasswordHash::new),
        epoch: row.epoch,
    }
}

const fn scope_number(scope: Scope) -> u8 {
    match scope {
        Scope::Read => 1,
        Scope::Operate => 2,
        Scope::Admin => 3,
    }
}

fn scope_of(number: u8) -> Option<Scope> {
    let mut scopes = Scope::ALL.into_iter();
    scopes.find(|scope| scope_number(*scope) == number)
}

fn encode(row: &impl Serialize) -> Vec<u8> {
    encode_as(VERSION, row)
}

fn encode_as(version: u8, row: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(row, vec![version]).expect("a vector takes whatever is written to it")
}

/// The fields, all of them: octets that are left over are damage too.
fn fields_of<T: DeserializeOwned>(octets: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(octets) {
        Ok((row, [])) => Ok(row),
        Ok((_, rest)) => Err(format!("{} octets are left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

fn all(problems: &[FieldProblem]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::account::UserDraft;

    fn user() -> User {
        let draft = UserDraft {
            list: Some(String::from("News")),
            active: false,
            priority: Some(2),
            note: String::from("n"),
            authorized_domains: "*.bücher.example;a.example".into(),
            authorized_senders: "\"a@b\"@c.example;x@a.example".into(),
            allowance: AllowancePatch {
                trusted_carriers: Some(Some("X-Priority;MT-PRIORITY".into())),
                priority_ceiling: Some(Some(2)),
                very_high_per_hour: Some(Some(300)),
            },
            ..UserDraft::default()
        };
        let hash = PasswordHash::new(String::from("$h"));
        let at = Timestamp::from_unix_milliseconds(1_000);
        let user = User::new(String::from("Bob"), draft.check().unwrap(), hash, 300, at);
        User {
            last_login: Some(at),
            spent: Spent { parts: 5, at },
            ..user
        }
    }

    /// Of which there is nothing in the first version.
    fn without_the_second(user: User) -> User {
        User {
            allowance: Allowance::default(),
            spent: Spent::default(),
            ..user
        }
    }

    fn row(kind: Kind, key: &str, octets: Vec<u8>) -> Row {
        let key = key.to_owned();
        Row { kind, key, octets }
    }

    fn problem(row: &Row) -> String {
        match decode(row) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("decoded"),
        }
    }

    #[test]
    fn a_user_reads_back_as_it_was() {
        let Ok(Decoded::User(read)) = decode(&row(Kind::User, "bob", of_user(&user()))) else {
            panic!("not a user");
        };
        assert_eq!(read, user());
    }

    /// What relays have on their disks. A change here needs a new version octet and a reader for
    /// the old rows.
    const FIRST: &str = "<3>Bob<4>News<0><2><1>n<2><23>*.xn--bcher-kva.example<9>a.example\
         <2><15>\"a@b\"@c.example<11>x@a.example<2>$h<172><2><232><7><232><7><232><7><1><232><7>";

    fn shown(octets: &[u8]) -> String {
        let text = octets.iter().map(|octet| match octet {
            0x20..=0x7e => char::from(*octet).to_string(),
            _ => format!("<{octet}>"),
        });
        text.collect()
    }

    #[test]
    fn version_2_of_a_user_is_stored_like_this() {
        let second = "<1><2><11>MT-PRIORITY<10>X-Priority<1><2><1><172><2><5><232><7>";
        assert_eq!(shown(&of_user(&user())), format!("<2>{FIRST}{second}"));
        let nothing = without_the_second(user());
        assert_eq!(
            shown(&of_user(&nothing)),
            format!("<2>{FIRST}<0><0><0><0><0>")
        );
    }

    #[test]
    fn version_1_of_a_user_is_read_and_allows_everything() {
        let mut octets = of_user(&without_the_second(user()));
        octets.truncate(octets.len() - 5);
        octets[0] = 1;
        assert_eq!(shown(&octets), format!("<1>{FIRST}"));
        let Ok(Decoded::User(read)) = decode(&row(Kind::User, "bob", octets.clone())) else {
            panic!("not a user");
        };
        assert_eq!(read, without_the_second(user()));
        octets.extend([0; 5]);
        assert!(problem(&row(Kind::User, "bob", octets)).ends_with("5 octets are left over"));
    }

    #[test]
    fn lists_tokens_and_secrets_read_back_as_they_were() {
        let mailbox = |local: &str| Mailbox {
            local: local.to_owned(),
            domain: String::from("a.example"),
        };
        let at = Timestamp::from_unix_milliseconds(1_000);
        let list = List {
            name: String::from("News"),
            notify: vec![mailbox("Ops"), mailbox("a b")],
            created: at,
            changed: at,
        };
        let Ok(Decoded::List(read)) = decode(&row(Kind::List, "news", of_list(&list))) else {
            panic!("not a list");
        };
        assert_eq!(read, list);

        for scope in Scope::ALL {
            let kept = KeptToken {
                token: Arc::new(Token {
                    name: String::from("ci"),
                    scope,
                    created: at,
                }),
                hash: [7; 32],
            };
            let Ok(Decoded::Token(read)) = decode(&row(Kind::Token, "ci", of_token(&kept))) else {
                panic!("not a token");
            };
            assert_eq!((read.token, read.hash), (kept.token, kept.hash));
        }

        let kept = Secrets {
            cache_key: Zeroizing::new([1; 32]),
            token_key: Zeroizing::new([2; 32]),
            console: Some(PasswordHash::new(String::from("$c"))),
            epoch: u64::MAX,
        };
        let Ok(Decoded::Secrets(read)) = decode(&row(Kind::Secrets, "secrets", of_secrets(&kept)))
        else {
            panic!("not secrets");
        };
        assert_eq!((&*read.cache_key, &*read.token_key), (&[1; 32], &[2; 32]));
        assert_eq!((read.console, read.epoch), (kept.console, u64::MAX));
    }

    #[test]
    fn a_damaged_row_is_named_and_never_believed() {
        let whole = of_user(&user());
        let damaged = |octets: Vec<u8>| problem(&row(Kind::User, "bob", octets));
        assert_eq!(
            damaged(vec![]),
            "the user bob in the directory is damaged: it is empty"
        );
        assert_eq!(
            damaged(vec![9, 1, 2]),
            "the user bob in the directory is damaged: \
             it has version 9, and this relay reads up to version 2"
        );
        assert!(damaged(vec![0, 1]).contains("it has version 0"));
        for length in 1..whole.len() {
            assert!(
                damaged(whole[..length].to_vec()).starts_with("the user bob"),
                "{length}"
            );
        }
        assert!(damaged([whole.clone(), vec![0]].concat()).ends_with("1 octets are left over"));
        assert_eq!(
            problem(&row(Kind::User, "alice", whole.clone())),
            "the user alice in the directory is damaged: it holds another name, \"Bob\""
        );
        let mut no_class = whole.clone();
        no_class[11] = 6;
        assert!(damaged(no_class).ends_with("its priority is not one of 1 to 5"));
        let mut no_carrier = whole.clone();
        let at = whole.windows(3).position(|three| three == b"MT-").unwrap();
        no_carrier[at] = b'N';
        assert!(damaged(no_carrier).contains("\"NT-PRIORITY\" is not a carrier of a priority"));
        // Any octet may be any other: an error or another user, never a panic.
        for (index, octet) in (0..whole.len()).flat_map(|i| (0..=255).map(move |o| (i, o))) {
            let mut octets = whole.clone();
            octets[index] = octet;
            let _ = decode(&row(Kind::User, "bob", octets));
        }
        assert_eq!(
            problem(&row(Kind::Secrets, "secrets", vec![])),
            "the row of secrets in the directory is damaged: it is empty"
        );
    }
}
