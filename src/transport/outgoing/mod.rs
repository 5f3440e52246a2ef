//! Many packets sent with one call: sendmmsg(2), for raw and for ordinary sockets.

mod sys;

pub(super) use sys::{Outgoing, SendArena};
