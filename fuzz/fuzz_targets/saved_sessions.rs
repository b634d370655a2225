#![no_main]

#[path = "../../tests/any_bytes/properties.rs"]
#[allow(dead_code, reason = "each target asks for one")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::saved_sessions(bytes));
