//! The components that ship with the relay, as they stand in plugins/components.
//!
//! They are checked in, so that a build of the relay needs no WebAssembly target; the manifest beside
//! them says from which sources they were built, and a fast test compares.

/// A component that ships.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// The component.
    pub octets: &'static [u8],
}

/// All that ship, in the order of the default chain.
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

/// Whether a component of that name ships.
pub fn is_shipped(name: &str) -> bool {
    find(name).is_some()
}

impl Shipped {
    /// Its SHA-256, in hexadecimal.
    pub fn digest(&self) -> String {
        super::digest::of_octets(self.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_what_the_manifest_names() {
        let manifest = include_str!("../../../plugins/components/manifest.toml");
        for shipped in &SHIPPED {
            let entry = format!(
                "[component.\"components/{}\"]\nsha256 = \"{}\"\n",
                shipped.name,
                shipped.digest()
            );
            assert!(manifest.contains(&entry), "{}", shipped.name);
        }
    }
}
