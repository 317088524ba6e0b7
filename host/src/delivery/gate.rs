//! The gate that content passes on its way out.
//!
//! Every piece of content asks for a permit before it is written. This is the one place where a
//! send can be made to wait between two pieces: after the permit of the last piece nothing stops
//! the final dot. The gate is open now.

/// Decides when the next piece of content may leave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate;

impl Gate {
    /// Waits until `octets` more octets of content may be written.
    pub async fn permit(&self, octets: usize) {
        // Capacity and urgency will be weighed here.
        let _ = octets;
    }
}
