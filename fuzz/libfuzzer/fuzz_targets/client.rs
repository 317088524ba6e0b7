//! The target `client` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| outpost_fuzz::client(octets));
