//! Packets that are rare and right, made by hand: extension headers in every order, in quotes and in front of answers, IPv4 options,
//! fragments, and extension structures in wrong places. No encoder of the program's has a hand in them or in what is expected.
//!
//! Each test prints how many packets it read: `cargo test --test odd_packets -- --nocapture`.

mod answers;
mod make;
mod quotes;
mod structures;
