//! What the kernel is told beside the bytes of a packet: TTL, source address, interface (control messages of sendmsg(2)).

mod sys;

pub(super) use sys::SendControl;
