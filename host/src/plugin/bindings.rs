//! The contract in wit/ as Rust types: generated, nothing else.
//!
//! What the relay's side of each function does stands in `facts` and `grants`; the conversions
//! into the plain types of `policy` stand in `answers`.

#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "policy",
    // A host function may end the call: that is how the number of host calls is bounded.
    imports: { default: trappable },
    exports: { default: async },
    with: { "outpost:policy/message.transaction": super::bindings::TransactionHandle },
});

/// What a component holds while a question is open. The facts live in the instance's store, which
/// knows one transaction only, so the handle itself carries nothing.
pub struct TransactionHandle;
