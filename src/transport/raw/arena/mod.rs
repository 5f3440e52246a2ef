//! Many packets with one call: what sendmmsg(2) and recvmmsg(2) fill and read, laid out once and used again and again.

mod sys;

pub(super) use sys::{Outgoing, ReceiveArena, SendArena};
