//! Sockets to DNS servers. They are those of the resolver's library, which knows no zones of addresses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider};

use super::zones;

type Tokio = TokioRuntimeProvider;
type Opening<S> = Pin<Box<dyn Send + Future<Output = io::Result<S>>>>;

/// Opens sockets to a server in a zone.
#[derive(Clone, Default)]
pub(super) struct Provider {
    tokio: Tokio,
    /// 0 if the server's address has no zone.
    zone: u32,
}

impl Provider {
    pub(super) fn new(zone: u32) -> Self {
        Provider {
            tokio: Tokio::default(),
            zone,
        }
    }
}

impl RuntimeProvider for Provider {
    type Handle = <Tokio as RuntimeProvider>::Handle;
    type Timer = <Tokio as RuntimeProvider>::Timer;
    type Udp = Datagrams;
    type Tcp = <Tokio as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        patience: Option<Duration>,
    ) -> Opening<Self::Tcp> {
        let server = zones::within(server, self.zone);
        self.tokio.connect_tcp(server, local, patience)
    }

    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Opening<Self::Udp> {
        let opening = self.tokio.bind_udp(local, server);
        let zone = self.zone;
        Box::pin(async move {
            let socket = opening.await?;
            Ok(Datagrams { socket, zone })
        })
    }
}

/// A socket for datagrams to a server in a zone.
pub(super) struct Datagrams {
    socket: <Tokio as RuntimeProvider>::Udp,
    zone: u32,
}

impl DnsUdpSocket for Datagrams {
    type Time = <Tokio as RuntimeProvider>::Timer;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.socket, cx, buffer)
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        message: &[u8],
        server: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let server = zones::within(server, self.zone);
        DnsUdpSocket::poll_send_to(&self.socket, cx, message, server)
    }
}
