//! The components that ship with the relay, as they stand in plugins/components.
//!
//! They are checked in, so that a build of the relay needs no WebAssembly target; a fast test
//! compares them with their sources.

/// A component that ships.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// The component.
    pub octets: &'static [u8],
}

/// All that ship.
pub const SHIPPED: [Shipped; 2] = [
    Shipped {
        name: "authorized-senders",
        octets: include_bytes!("../../../plugins/components/authorized-senders.wasm"),
    },
    Shipped {
        name: "effective-priority",
        octets: include_bytes!("../../../plugins/components/effective-priority.wasm"),
    },
];

/// The one of that name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}
