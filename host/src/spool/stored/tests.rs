//! What is stored is what is read back, and what is damaged is told.

#![allow(clippy::unwrap_used)]
