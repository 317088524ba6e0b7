//! The stored form of an entry of the audit log: a version octet and the fields in postcard.
//!
//! A new version is a new struct beside the old one, which stays readable, as for the other rows of the directory.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Entry, Login};
use crate::message::Timestamp;

/// The only version so far.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct EntryRow {
    /// It stands first, so that it can be read alone.
    at: u64,
    by: Option<String>,
    login: Option<u8>,
    client: Option<IpAddr>,
    action: String,
    about: Vec<(String, String)>,
    before: Option<String>,
    after: Option<String>,
    status: Option<u16>,
    deliveries: Option<u64>,
    times: u32,
}

pub(in crate::directory) fn encode(entry: &Entry) -> Vec<u8> {
    let row = EntryRow {
        at: entry.at.unix_milliseconds(),
        by: entry.by.clone(),
        login: entry.login.map(login_number),
        client: entry.client,
        action: entry.action.clone(),
        about: entry.about.clone(),
        before: entry.before.clone(),
        after: entry.after.clone(),
        status: entry.status,
        deliveries: entry.deliveries,
        times: entry.times,
    };
    postcard::to_extend(&row, vec![VERSION]).expect("a vector takes whatever is written to it")
}

/// Reads an entry back.
pub(in crate::directory) fn decode(row: &[u8]) -> Result<Entry, String> {
    let (row, rest): (EntryRow, _) =
        postcard::take_from_bytes(fields(row)?).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} octets are left over", rest.len()));
    }
    let login = row.login.map(|number| {
        let mut all = [Login::Token, Login::Console].into_iter();
        let login = all.find(|login| login_number(*login) == number);
        login.ok_or("its login is unknown")
    });
    Ok(Entry {
        at: Timestamp::from_unix_milliseconds(row.at),
        by: row.by,
        login: login.transpose()?,
        client: row.client,
        action: row.action,
        about: row.about,
        before: row.before,
        after: row.after,
        status: row.status,
        deliveries: row.deliveries,
        times: row.times,
    })
}

/// When it was written. What is out of the time that is asked for is not read further.
pub(in crate::directory) fn written_at(row: &[u8]) -> Result<Timestamp, String> {
    let (at, _) = postcard::take_from_bytes(fields(row)?).map_err(|error| error.to_string())?;
    Ok(Timestamp::from_unix_milliseconds(at))
}

fn fields(row: &[u8]) -> Result<&[u8], String> {
    match row.split_first() {
        None => Err("it is empty".to_owned()),
        Some((&VERSION, fields)) => Ok(fields),
        Some((version, _)) => Err(format!(
            "it has version {version}, and this relay reads up to version {VERSION}"
        )),
    }
}

/// How a login stands in a row.
const fn login_number(login: Login) -> u8 {
    match login {
        Login::Token => 1,
        Login::Console => 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry() -> Entry {
        Entry {
            by: Some(String::from("boss")),
            login: Some(Login::Token),
            client: Some([192, 0, 2, 7].into()),
            about: vec![(String::from("user"), String::from("ann"))],
            before: Some(String::from("{}")),
            status: Some(200),
            deliveries: Some(300),
            times: 2,
            ..Entry::new("x", Timestamp::from_unix_milliseconds(1_000))
        }
    }

    /// What relays have on their disks. A change here needs a new version octet and a reader for the old rows.
    #[test]
    fn version_1_of_an_entry_is_stored_like_this_and_read_back() {
        let row = encode(&entry());
        let expected =
            b"\x01\xe8\x07\x01\x04boss\x01\x01\x01\x00\xc0\x00\x02\x07\x01x\x01\x04user\x03ann\
              \x01\x02{}\x00\x01\xc8\x01\x01\xac\x02\x02";
        assert_eq!(row, expected);
        assert_eq!(decode(&row), Ok(entry()));
        assert_eq!(written_at(&row), Ok(entry().at));
        let none = Entry::new("start", Timestamp::EPOCH);
        assert_eq!(decode(&encode(&none)), Ok(none));
    }

    #[test]
    fn a_damaged_entry_is_never_believed() {
        let whole = encode(&entry());
        for length in 0..whole.len() {
            decode(&whole[..length]).unwrap_err();
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert_eq!(decode(&longer), Err(String::from("1 octets are left over")));
        // Any octet may be any other: an error or another entry, never a panic.
        for (index, octet) in (0..whole.len()).flat_map(|i| (0..=255).map(move |o| (i, o))) {
            let mut octets = whole.clone();
            octets[index] = octet;
            let _ = (decode(&octets), written_at(&octets));
        }
        assert_eq!(
            decode(&[2, 0]),
            Err(String::from(
                "it has version 2, and this relay reads up to version 1"
            ))
        );
    }
}
