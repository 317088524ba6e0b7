//! Which components are checked in, where, and what each is made from.

/// A component that is checked in.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Its file below `plugins/`, without `.wasm`; its name in the manifest.
    pub name: &'static str,
    /// What it is made from.
    pub source: Source,
}

/// What a component is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A crate that is compiled.
    Crate {
        /// The name of the crate.
        package: &'static str,
        /// Its folder below `plugins/`.
        folder: &'static str,
        /// What it stands on.
        basis: Basis,
    },
    /// The `policy.c` in that folder below `plugins/`; see `c`.
    C {
        /// The folder.
        folder: &'static str,
    },
    /// Made by this crate from `wit/` alone; see `made`.
    Made,
}

/// What a crate stands on besides its own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The SDK and today's contract.
    Sdk,
    /// Today's contract.
    Contract,
    /// Nothing of today: built once and kept, whatever becomes of the compiler and the lock file.
    Itself,
}

/// All of them.
pub const GUESTS: &[Guest] = &[
    // What ships.
    guest(
        "components/authorized-senders",
        "authorized-senders",
        "authorized-senders",
        Basis::Sdk,
    ),
    guest(
        "components/effective-priority",
        "effective-priority",
        "effective-priority",
        Basis::Sdk,
    ),
    // What authors may start from.
    guest(
        "components/examples/own-domain",
        "own-domain",
        "examples/own-domain",
        Basis::Sdk,
    ),
    guest(
        "components/examples/priority-limits",
        "priority-limits",
        "examples/priority-limits",
        Basis::Sdk,
    ),
    guest(
        "components/examples/working-hours",
        "working-hours",
        "examples/working-hours",
        Basis::Sdk,
    ),
    Guest {
        name: "components/examples/house-rules",
        source: Source::C {
            folder: "examples/house-rules",
        },
    },
    // What the relay's tests need.
    guest(
        "components/tests/misbehaving",
        "misbehaving",
        "misbehaving/misbehaving",
        Basis::Contract,
    ),
    guest(
        "components/tests/wants-state",
        "wants-state",
        "misbehaving/wants-state",
        Basis::Sdk,
    ),
    guest(
        "components/tests/wants-wasi",
        "wants-wasi",
        "misbehaving/wants-wasi",
        Basis::Contract,
    ),
    Guest {
        name: "components/tests/foreign-import",
        source: Source::Made,
    },
    Guest {
        name: "components/tests/missing-function",
        source: Source::Made,
    },
    // One for each released version of the contract, and one of a version that never was.
    guest(
        "museum/0.1.0/everything",
        "museum-0-1-0",
        "museum/0.1.0",
        Basis::Itself,
    ),
    Guest {
        name: "museum/9.0.0/incompatible",
        source: Source::Made,
    },
];

const fn guest(
    name: &'static str,
    package: &'static str,
    folder: &'static str,
    basis: Basis,
) -> Guest {
    Guest {
        name,
        source: Source::Crate {
            package,
            folder,
            basis,
        },
    }
}
