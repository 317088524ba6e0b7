//! Open files: how many clients may be served with what the machine allows.
//!
//! A client costs a descriptor. Where clients take all that there are, no delivery can be made, no
//! large message taken and nothing asked over the admin surface, so some are kept from them.

/// Kept for the admin surface, the spool's and the directory's files, name resolution and the runtime.
const FILES_OF_OTHERS: usize = 512;

/// A delivery has a connection, and the file of a large content.
const FILES_OF_A_DELIVERY: usize = 2;

/// How many of the `wanted` clients have room among `files_max` open files, beside so many listeners
/// and so many deliveries at once. Where there is not enough for both, clients and the rest get half each.
pub(super) fn clients_max(
    wanted: usize,
    files_max: u64,
    listeners: usize,
    deliveries_max: usize,
) -> usize {
    let files_max = usize::try_from(files_max).unwrap_or(usize::MAX);
    let room = files_max.saturating_sub(listeners);
    let kept = deliveries_max
        .saturating_mul(FILES_OF_A_DELIVERY)
        .saturating_add(FILES_OF_OTHERS);
    wanted.min(room - kept.min(room / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_take_the_files_that_deliveries_need() {
        for (wanted, files_max, listeners, deliveries_max, expected) in [
            (10_000, 1 << 20, 3_980, 500, 10_000),
            (10_000, u64::MAX, 2, 500, 10_000),
            (10_000, 8_192, 2, 500, 8_190 - 1_512),
            (10_000, 4_096, 3_980, 500, 58),
            (10_000, 1_024, 4, 500, 510),
            (100, 1_024, 4, 500, 100),
            (10_000, 10, 10, 500, 1),
        ] {
            assert_eq!(
                clients_max(wanted, files_max, listeners, deliveries_max),
                expected,
                "{files_max} files"
            );
        }
    }
}
