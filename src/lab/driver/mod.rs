//! The lab on real sockets: any [`Respond`](super::Respond) behind a network device in a namespace that leads nowhere.
//!
//! [`enter_namespace`] first, before any thread starts; then [`LabHost::start`] gives the namespace its only route, and
//! answers what is sent along it. Programs run inside with [`exec_in_lab`]. Nothing here can reach a real network: the device
//! is made in the new namespace, and a [`Namespace`] is the only way to start a host.

#![expect(
    clippy::disallowed_methods,
    reason = "the lab on real sockets runs in real time"
)]

mod child;
mod device;
mod error;
mod host;
mod lateness;
mod namespace;
mod netlink;
mod schedule;
mod sys;

pub use child::{ExecError, exec_in_lab};
pub use device::DeviceKind;
pub use error::NamespaceError;
pub use host::{LabCounts, LabHost, ReadyLab};
pub use lateness::Lateness;
pub use namespace::{
    Isolation, Namespace, RouteKind, enter_drop_namespace, enter_namespace, enter_user_namespace,
};
