//! A DNS server on loopback for tests. It gives the answers that the test wants, and records the questions.

#![allow(
    clippy::disallowed_methods,
    reason = "tests may read clocks and open sockets"
)]
// Every test target uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream,
    UdpSocket,
};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
pub use hickory_resolver::proto::rr::RecordType as Kind;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record};
use socket2::{Domain, Socket, Type};

/// The server's answer to a question.
pub enum Reply {
    /// Those of these addresses that belong to the family asked for. No address is an answer as well.
    Addresses(Vec<IpAddr>),
    /// An alias of another name, followed by that name's addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// Over UDP the first of these addresses, marked as truncated. Over TCP the second.
    CutOff(Vec<IpAddr>, Vec<IpAddr>),
    /// An error code.
    Code(ResponseCode),
    /// No answer.
    Silence,
}

impl Reply {
    /// Addresses as text.
    pub fn of(addresses: &[&str]) -> Self {
        Reply::Addresses(parsed(addresses))
    }

    /// An alias of `name`, and the answer for `name`.
    pub fn alias(name: &'static str, addresses: &[&str]) -> Self {
        Reply::Alias(name, parsed(addresses))
    }

    /// Some addresses over UDP, marked as truncated, and all addresses over TCP.
    pub fn cut_off(some: &[&str], all: &[&str]) -> Self {
        Reply::CutOff(parsed(some), parsed(all))
    }
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

/// A question: the name without its final dot, the type, and the message's identifier. Repetitions have the same identifier.
pub type Question = (String, Kind, u16);

/// The questions over UDP and over TCP.
type Asked = Arc<[Mutex<BTreeSet<Question>>; 2]>;
const OVER_UDP: usize = 0;
const OVER_TCP: usize = 1;

/// Where servers listen, at a port that is free.
const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// The server. Dropping it stops it.
pub struct DnsServer {
    pub address: SocketAddr,
    asked: Asked,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Holds the TCP port if it is closed.
    _closed: Option<Socket>,
}

impl DnsServer {
    /// Starts a server that answers each question when it arrives. Its TCP port is closed.
    pub fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::holding(1, reply)
    }

    /// Like [`start`](Self::start), with TCP.
    pub fn start_with_tcp(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(LOOPBACK, 1, move |name, _| reply(name), true)
    }

    /// Like [`start_with_tcp`](Self::start_with_tcp), at another address of this host, in its zone.
    pub fn start_at(
        address: Ipv6Addr,
        zone: u32,
        reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let at = SocketAddrV6::new(address, 0, 0, zone);
        Self::serve(at.into(), 1, move |name, _| reply(name), true)
    }

    /// Like [`start`](Self::start). The answer may also depend on the type.
    pub fn start_by_type(reply: impl Fn(&str, Kind) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(LOOPBACK, 1, reply, false)
    }

    /// Waits until `count` different questions have arrived. Answers them from the last to the first, and later ones when they arrive.
    pub fn holding(count: usize, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(LOOPBACK, count, move |name, _| reply(name), false)
    }

    fn serve(
        at: SocketAddr,
        count: usize,
        reply: impl Fn(&str, Kind) -> Reply + Send + Sync + 'static,
        over_tcp: bool,
    ) -> Self {
        let (socket, stream) = one_port_of_both(at);
        let reply = Arc::new(reply);
        let asked = Asked::default();
        let ending = Arc::new(AtomicBool::new(false));
        let mut server = DnsServer {
            address: socket.local_addr().unwrap(),
            asked: asked.clone(),
            ending: ending.clone(),
            threads: Vec::new(),
            _closed: None,
        };
        if over_tcp {
            stream.listen(128).unwrap();
            let (reply, asked, ending) = (reply.clone(), asked.clone(), ending.clone());
            server.threads.push(std::thread::spawn(move || {
                accept(&stream.into(), &asked, &ending, &reply);
            }));
        } else {
            server._closed = Some(stream);
        }
        let serve = move || {
            let mut held: Vec<(Message, SocketAddr)> = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).unwrap();
                if ending.load(SeqCst) {
                    return;
                }
                let message = Message::from_vec(&buffer[..length]).unwrap();
                let enough = {
                    let mut asked = asked[OVER_UDP].lock().unwrap();
                    asked.insert(question(&message));
                    asked.len() >= count
                };
                held.push((message, peer));
                while let (true, Some((message, peer))) = (enough, held.pop()) {
                    if let Some(answer) = answer(message, &*reply, OVER_UDP) {
                        // The client may be gone.
                        let _ = socket.send_to(&answer, peer);
                    }
                }
            }
        };
        server.threads.push(std::thread::spawn(serve));
        server
    }

    /// The questions so far, without repetitions.
    pub fn asked(&self) -> Vec<Question> {
        self.asked[OVER_UDP]
            .lock()
            .unwrap()
            .iter()
            .cloned()
            .collect()
    }

    /// The names that were asked for over TCP.
    pub fn asked_over_tcp(&self) -> BTreeSet<String> {
        let asked = self.asked[OVER_TCP].lock().unwrap();
        asked.iter().map(|(name, ..)| name.clone()).collect()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.ending.store(true, SeqCst);
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let waker = UdpSocket::bind((any, 0)).unwrap();
        waker.send_to(&[], self.address).unwrap();
        // Connections to a closed port are refused.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            // A server that failed has reported it already.
            let _ = thread.join();
        }
    }
}

/// Sockets of UDP and TCP with the same port number. The TCP socket does not listen. A number that is free for one may be taken for the
/// other, so several are tried.
fn one_port_of_both(at: SocketAddr) -> (UdpSocket, Socket) {
    for _ in 0..100 {
        let socket = UdpSocket::bind(at).unwrap();
        let stream = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
        match stream.bind(&socket.local_addr().unwrap().into()) {
            Ok(()) => return (socket, stream),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    }
    panic!("no port is free in UDP and TCP");
}

/// Answers connections until the server stops, each on its own thread.
fn accept<F: Fn(&str, Kind) -> Reply + Send + Sync + 'static>(
    listener: &TcpListener,
    asked: &Asked,
    ending: &AtomicBool,
    reply: &Arc<F>,
) {
    loop {
        let (stream, _) = listener.accept().unwrap();
        if ending.load(SeqCst) {
            return;
        }
        let (asked, reply) = (asked.clone(), reply.clone());
        // The thread ends with the connection.
        std::thread::spawn(move || converse(stream, &asked, &*reply));
    }
}

/// Answers the questions of one connection. Each message follows its length (RFC 1035, section 4.2.2).
fn converse(mut stream: TcpStream, asked: &Asked, reply: &dyn Fn(&str, Kind) -> Reply) {
    let mut length = [0; 2];
    // The client closes the connection.
    while stream.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut bytes).is_err() {
            return;
        }
        let message = Message::from_vec(&bytes).unwrap();
        asked[OVER_TCP].lock().unwrap().insert(question(&message));
        if let Some(answer) = answer(message, reply, OVER_TCP) {
            let length = u16::try_from(answer.len()).unwrap();
            let sent = [&length.to_be_bytes()[..], &answer].concat();
            if stream.write_all(&sent).is_err() {
                return;
            }
        }
    }
}

fn name_of(query: &Query) -> String {
    query.name().to_ascii().trim_end_matches('.').to_owned()
}

fn question(message: &Message) -> Question {
    let query = &message.queries[0];
    (name_of(query), query.query_type(), message.metadata.id)
}

/// The response, if there is one.
fn answer(message: Message, reply: &dyn Fn(&str, Kind) -> Reply, over: usize) -> Option<Vec<u8>> {
    let query = message.queries[0].clone();
    let mut answer = message.into_response();
    let mut add = |name: &Name, addresses: Vec<IpAddr>| {
        for address in addresses {
            let data = RData::from(address);
            if data.record_type() == query.query_type() {
                answer.add_answer(Record::from_rdata(name.clone(), 60, data));
            }
        }
    };
    match reply(&name_of(&query), query.query_type()) {
        Reply::Silence => return None,
        Reply::Code(code) => answer.metadata.response_code = code,
        Reply::Addresses(addresses) => add(query.name(), addresses),
        Reply::CutOff(_, all) if over == OVER_TCP => add(query.name(), all),
        Reply::CutOff(some, _) => {
            add(query.name(), some);
            answer.metadata.truncation = true;
        }
        Reply::Alias(other, addresses) => {
            let mut other = Name::from_ascii(other).unwrap();
            other.set_fqdn(true);
            add(&other, addresses);
            let alias = RData::CNAME(CNAME(other));
            let alias = Record::from_rdata(query.name().clone(), 60, alias);
            answer.answers.insert(0, alias);
        }
    }
    Some(answer.to_vec().unwrap())
}
