//! Many packets received with one call: what recvmmsg(2) fills, laid out once and used again and again.

mod sys;

pub(super) use sys::ReceiveArena;
