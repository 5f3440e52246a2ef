//! Sends many packets with one call, sendmmsg(2), over raw and ordinary sockets.

mod failure;
mod sys;

pub(super) use failure::SendFailure;
pub(super) use sys::{Outgoing, SendArena};
