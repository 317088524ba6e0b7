//! The target `authors` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| outpost_fuzz::authors(octets));
