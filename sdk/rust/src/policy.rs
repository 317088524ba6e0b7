//! The trait that a policy implements, and the macro that makes a component of it.
//!
//! A component says three things about itself before it is run: what it exports (the questions it
//! answers), what it imports (what it uses), and, in the custom section `outpost:component`, its
//! name, its version, the version of this crate and the grants that it wants, as JSON.

use crate::{Decision, Placement, Problem, Transaction, answer};

/// The questions that a policy may answer. All have a default: no opinion, and settings that are
/// always right.
///
/// There is no `self`: an instance lives for one transaction, and what must be remembered goes
/// through [`state`](crate::state).
pub trait Policy {
    /// May this user send as this sender? Asked at MAIL, when the authors are not known yet, and
    /// again when the header is known; both must be permitted.
    fn authorize(tx: &Transaction) -> Decision {
        let _ = tx;
        answer::pass()
    }

    /// How urgent is this message? None: no opinion.
    fn place(tx: &Transaction) -> Option<Placement> {
        let _ = tx;
        None
    }

    /// Checks the settings that [`config`](crate::config) gives; called when the component is
    /// deployed, never per message. The operator sees all problems at once.
    fn check_config() -> Result<(), Vec<Problem>> {
        Ok(())
    }
}

/// Makes a component of a type that implements [`Policy`](crate::Policy).
///
/// - `register!(Type)` answers both questions,
/// - `register!(authorizer: Type)` only the one about the sender,
/// - `register!(prioritizer: Type)` only the one about the priority,
///
/// each with `, grants: ["state", "tables"]` behind it when the component wants more than what is
/// granted to everybody. Once per crate, whose name and version become the component's.
#[macro_export]
macro_rules! register {
    (authorizer: $policy:ty $(, grants: [$($grant:literal),* $(,)?])? $(,)?) => {
        $crate::register!(@ [authorization], $policy, [$($($grant),*)?]);
    };
    (prioritizer: $policy:ty $(, grants: [$($grant:literal),* $(,)?])? $(,)?) => {
        $crate::register!(@ [priority], $policy, [$($($grant),*)?]);
    };
    (@ [$($question:ident),*], $policy:ty, [$($grant:literal),*]) => {
        const _: () = {
            // The same check on every target: a policy that does not fit is seen by `cargo check`.
            const fn is_policy<P: $crate::Policy>() {}
            is_policy::<$policy>();

            const PARTS: &[&str] = &[
                r#"{"name":""#,
                env!("CARGO_PKG_NAME"),
                r#"","version":""#,
                env!("CARGO_PKG_VERSION"),
                r#"","sdk":""#,
                $crate::description::SDK,
                r#"","grants":["#,
                $("\"", $grant, "\"", ",",)*
            ];

            #[cfg(target_arch = "wasm32")]
            #[used]
            #[unsafe(link_section = "outpost:component")]
            static DESCRIPTION: [u8; $crate::description::len(PARTS)] =
                $crate::description::json(PARTS);
            #[cfg(not(target_arch = "wasm32"))]
            const _: [u8; $crate::description::len(PARTS)] = $crate::description::json(PARTS);

            #[cfg(target_arch = "wasm32")]
            type Component = $crate::wire::Component<$policy>;
            #[cfg(target_arch = "wasm32")]
            $crate::wire::lifecycle::export!(Component with_types_in $crate::wire::lifecycle);
            $(
                #[cfg(target_arch = "wasm32")]
                $crate::wire::$question::export!(Component with_types_in $crate::wire::$question);
            )*
        };
    };
    ($policy:ty $(, grants: [$($grant:literal),* $(,)?])? $(,)?) => {
        $crate::register!(@ [authorization, priority], $policy, [$($($grant),*)?]);
    };
}

/// The text of the custom section, joined while the component is compiled.
pub mod description {
    /// The version of this crate.
    pub const SDK: &str = env!("CARGO_PKG_VERSION");

    /// How many octets the JSON has. The parts end with the grants, each with a comma behind it.
    pub const fn len(parts: &[&str]) -> usize {
        let mut len = 0;
        let mut part = 0;
        while part < parts.len() {
            len += parts[part].len();
            part += 1;
        }
        // `]}` comes behind; when there are grants it takes the place of the last comma.
        if ends_in_comma(parts) {
            len + 1
        } else {
            len + 2
        }
    }

    /// The JSON.
    pub const fn json<const N: usize>(parts: &[&str]) -> [u8; N] {
        let mut json = [b']'; N];
        let mut at = 0;
        let mut part = 0;
        let stop = if ends_in_comma(parts) {
            parts.len() - 1
        } else {
            parts.len()
        };
        while part < stop {
            let bytes = parts[part].as_bytes();
            let mut byte = 0;
            while byte < bytes.len() {
                json[at] = bytes[byte];
                at += 1;
                byte += 1;
            }
            part += 1;
        }
        json[N - 1] = b'}';
        json
    }

    const fn ends_in_comma(parts: &[&str]) -> bool {
        matches!(parts[parts.len() - 1].as_bytes(), b",")
    }
}

#[cfg(test)]
mod tests {
    use super::description;
    use crate::{Policy, Verdict, testing};

    #[test]
    fn the_description_is_json() {
        const NONE: &[&str] = &["{\"grants\":["];
        const TWO: &[&str] = &["{\"grants\":[", "\"", "a", "\"", ",", "\"", "b", "\"", ","];
        const NONE_JSON: [u8; description::len(NONE)] = description::json(NONE);
        const TWO_JSON: [u8; description::len(TWO)] = description::json(TWO);
        assert_eq!(str::from_utf8(&NONE_JSON), Ok("{\"grants\":[]}"));
        assert_eq!(str::from_utf8(&TWO_JSON), Ok("{\"grants\":[\"a\",\"b\"]}"));
    }

    #[test]
    fn a_policy_that_says_nothing_has_no_opinion() {
        struct Silent;
        impl Policy for Silent {}
        crate::register!(Silent, grants: ["state"]);

        let tx = testing::Transaction::builder().build();
        assert_eq!(Silent::authorize(&tx).verdict, Verdict::Pass);
        assert_eq!(Silent::place(&tx), None);
        assert_eq!(Silent::check_config(), Ok(()));
    }
}
