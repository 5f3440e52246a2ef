//! Sends many packets with one call, sendmmsg(2), over raw and ordinary sockets.

mod sys;

pub(super) use sys::{Outgoing, SendArena};
