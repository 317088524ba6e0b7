//! Stored records: whatever stands on a disk is read or told as damaged, and what was read is written
//! and read back the same.

use outpost::{directory, spool};

/// The first octet chooses the kind of record.
pub fn stored(octets: &[u8]) {
    let Some((kind, octets)) = octets.split_first() else {
        return;
    };
    match kind % 2 {
        0 => spool::fuzzing::check_stored(kind / 2, octets),
        _ => directory::fuzzing::check_stored(kind / 2, octets),
    }
}
