//! A DNS server for tests, on loopback: it says what the test wants, and keeps a record of what it was asked.

// Every test target uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
pub use hickory_resolver::proto::rr::RecordType as Kind;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record};

/// What the server says to a question.
pub enum Reply {
    /// These of its addresses that are of the family asked for; none is an answer too.
    Addresses(Vec<IpAddr>),
    /// It is another name's alias, whose addresses follow.
    Alias(&'static str, Vec<IpAddr>),
    /// A code and nothing else.
    Code(ResponseCode),
    /// Nothing at all.
    Silence,
}

impl Reply {
    /// Addresses as text.
    pub fn of(addresses: &[&str]) -> Self {
        Reply::Addresses(parsed(addresses))
    }

    /// An alias of `name`, and what else the answer says of that.
    pub fn alias(name: &'static str, addresses: &[&str]) -> Self {
        Reply::Alias(name, parsed(addresses))
    }
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

/// A question: name without the dot at its end, type, and the message's identifier, which a repetition shares.
pub type Question = (String, Kind, u16);

/// The server; it ends with the value.
pub struct DnsServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<BTreeSet<Question>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// Answers each question as it comes.
    pub fn start(reply: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        Self::holding(1, reply)
    }

    /// As [`start`](Self::start), with an answer that depends on what is asked for, too.
    pub fn start_by_type(reply: impl Fn(&str, Kind) -> Reply + Send + 'static) -> Self {
        Self::serve(1, reply)
    }

    /// Answers nothing before `count` different questions are there, then these from the last to the first, and what
    /// follows as it comes.
    pub fn holding(count: usize, reply: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        Self::serve(count, move |name, _| reply(name))
    }

    fn serve(count: usize, reply: impl Fn(&str, Kind) -> Reply + Send + 'static) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let ending = Arc::new(AtomicBool::new(false));
        let mut server = DnsServer {
            address: socket.local_addr().unwrap(),
            asked: asked.clone(),
            ending: ending.clone(),
            thread: None,
        };
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
                    let mut asked = asked.lock().unwrap();
                    asked.insert(question(&message));
                    asked.len() >= count
                };
                held.push((message, peer));
                while let (true, Some((message, peer))) = (enough, held.pop()) {
                    if let Some(answer) = answer(message, &reply) {
                        // Who asked may have gone.
                        let _ = socket.send_to(&answer, peer);
                    }
                }
            }
        };
        server.thread = Some(std::thread::spawn(serve));
        server
    }

    /// What it was asked so far, each question once however often it was repeated.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().iter().cloned().collect()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.ending.store(true, SeqCst);
        let waker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        waker.send_to(&[], self.address).unwrap();
        if let Some(thread) = self.thread.take() {
            // A server that broke has said so already.
            let _ = thread.join();
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

/// The message that goes back, if any does.
fn answer(message: Message, reply: &dyn Fn(&str, Kind) -> Reply) -> Option<Vec<u8>> {
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
