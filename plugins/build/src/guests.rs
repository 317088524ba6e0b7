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
    /// A crate in that folder below `plugins/`, compiled by a Rust compiler.
    Crate {
        /// The folder.
        folder: &'static str,
        /// Whether it builds on the SDK and today's `wit/`, or on a contract of its own.
        sdk: bool,
    },
    /// Made by this crate from `wit/` alone; see `made`.
    Made,
}

/// All of them.
pub const GUESTS: &[Guest] = &[
    on_sdk("components/authorized-senders", "authorized-senders"),
    on_sdk("components/effective-priority", "effective-priority"),
];

const fn on_sdk(name: &'static str, folder: &'static str) -> Guest {
    Guest {
        name,
        source: Source::Crate { folder, sdk: true },
    }
}

impl Guest {
    /// The name of the crate, which is that of its folder.
    pub fn package(&self) -> Option<&'static str> {
        match self.source {
            Source::Crate { folder, .. } => folder.rsplit('/').next(),
            Source::Made => None,
        }
    }
}
