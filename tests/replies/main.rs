//! Replies as networks send, rewrite, cut, splice and invent them, from their bytes to the live probe that they are matched to.

mod elsewhere;
mod mutation;
mod packets;
mod rewriting;
mod table;
mod world;
