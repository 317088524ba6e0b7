//! What fuzzing reaches of the directory's rows, which are private otherwise.
//!
//! For the fuzz targets only, behind the feature `fuzzing`. Whatever octets stand where a row should is
//! an error or a row, and a row that was read is written and read back the same.

use super::record::{self, Decoded};
use super::{Kind, Row};

/// Reads `octets` as the row that `kind` chooses. An octet says how long the key is, which follows it.
///
/// # Panics
/// When a row does not come back as it was read.
pub fn check_stored(kind: u8, octets: &[u8]) {
    let kind = match kind % 5 {
        0 => Kind::User,
        1 => Kind::List,
        2 => Kind::Token,
        3 => Kind::Secrets,
        _ => Kind::Admin,
    };
    let Some((length, octets)) = octets.split_first() else {
        return;
    };
    let (key, octets) = octets.split_at(usize::from(*length).min(octets.len()));
    let row = Row {
        kind,
        key: String::from_utf8_lossy(key).into_owned(),
        octets: octets.to_vec(),
    };
    let Ok(decoded) = record::decode(&row) else {
        return;
    };
    let octets = written(&decoded);
    let again = record::decode(&Row {
        octets: octets.clone(),
        ..row
    });
    let again = again.expect("what was written can be read");
    if let (Decoded::User(user), Decoded::User(again)) = (&decoded, &again) {
        assert_eq!(again, user);
    }
    assert_eq!(written(&again), octets);
}

fn written(decoded: &Decoded) -> Vec<u8> {
    match decoded {
        Decoded::User(user) => record::of_user(user),
        Decoded::List(list) => record::of_list(list),
        Decoded::Token(token) => record::of_token(token),
        Decoded::Admin(admin) => record::of_admin(admin),
        Decoded::Secrets(secrets) => record::of_secrets(secrets),
    }
}
