//! The lab on real sockets: any [`Respond`](super::Respond) behind a network device, in an isolated network namespace.
//!
//! First call [`enter_namespace`], before any thread starts. Then [`LabHost::start`] gives the namespace its only route and answers
//! the packets on it. [`exec_in_lab`] runs programs inside. No packet can reach a real network: the device is created in the new
//! namespace, and only a [`Namespace`] can start a host.

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
