//! What networks do that people report of tracers: hosts with several ways out, odd packets, and odd ends of paths.
//!
//! A script makes every packet that is answered and states what is right (`field/network.py`); surveys of every protocol run against
//! it, over raw and ordinary sockets. All of it lives in namespaces that lead nowhere else and vanish with the case.

mod field {
    pub mod cases;
    pub mod compare;
    pub mod dataset;
    pub mod network;
    pub mod special;
    pub mod survey;
    pub mod world;
}
mod support;
// scamper is not compared with here.
#[allow(dead_code)]
#[path = "support/tools.rs"]
mod tools;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::main(&field::cases::all())
}
