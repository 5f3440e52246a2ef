//! Asks DNS servers: many questions at a time, with a bounded total time.
//!
//! - A question waits for one server for [`PATIENCE`]. If the server is silent or has no useful answer, the next server is asked.
//! - The whole list of servers is tried [`TRIES`] times.
//! - Questions start with the server that answered last, so that a dead server delays only the first questions.
//! - After [`GIVE_UP`] consecutive questions without any answer, no more are asked. So silent servers take no more time for longer lists.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::servers::{Sources, SystemFiles};
use super::{Answer, Families, ResolveNames, Unresolved};

/// The highest number of pending questions.
pub(super) const AT_ONCE: usize = 64;
/// How long to wait for one server.
const PATIENCE: Duration = Duration::from_secs(5);
/// The highest number of attempts per server and question.
pub(super) const TRIES: usize = 2;
/// After this many consecutive questions without an answer, no more are asked. It is twice the number of pending questions.
const GIVE_UP: usize = 2 * AT_ONCE;

/// A function that gets the number of finished names, and the number of all names.
type Watch = Box<dyn Fn(usize, usize) + Send + Sync>;

/// Asks the given servers. Without servers, it uses the system's hosts file and configured servers.
///
/// Names without a dot go through the configured search list. Names with a dot are complete.
///
/// Opens its sockets at the first question, in the thread's network namespace at that time. Starts no thread. Must not be used within
/// another tokio runtime.
pub struct DnsResolver {
    servers: Vec<SocketAddr>,
    files: SystemFiles,
    patience: Duration,
    watch: Watch,
    session: OnceLock<Result<Session, Unresolved>>,
}

impl DnsResolver {
    /// Creates a resolver that asks `servers` in this order. If `servers` is empty, it asks the system's servers.
    pub fn new(servers: &[SocketAddr]) -> Self {
        DnsResolver {
            servers: servers.to_vec(),
            files: SystemFiles::default(),
            patience: PATIENCE,
            watch: Box::new(|_, _| ()),
            session: OnceLock::new(),
        }
    }

    /// Waits this long for a server. The default is five seconds.
    pub fn with_patience(self, patience: Duration) -> Self {
        DnsResolver { patience, ..self }
    }

    /// Calls `watch` after each name with the number of finished names and the number of all names. Both are equal in the last call of a
    /// batch.
    pub fn watched(self, watch: impl Fn(usize, usize) + Send + Sync + 'static) -> Self {
        DnsResolver {
            watch: Box::new(watch),
            ..self
        }
    }

    fn session(&self) -> &Result<Session, Unresolved> {
        self.session.get_or_init(|| {
            let sources = if self.servers.is_empty() {
                Sources::of_system(&self.files, self.patience)
            } else {
                Sources::named(&self.servers, self.patience)
            };
            // One thread suffices: questions wait for the network, not for a processor.
            let runtime = Builder::new_current_thread().enable_all().build();
            Ok(Session {
                runtime: runtime.map_err(|error| Unresolved::Other(error.to_string()))?,
                asker: Arc::new(Asker {
                    sources,
                    patience: self.patience,
                    preferred: AtomicUsize::new(0),
                    unanswered: AtomicUsize::new(0),
                }),
            })
        })
    }
}

impl ResolveNames for DnsResolver {
    fn resolve(&self, names: &[&str], families: Families) -> Vec<Answer> {
        match self.session() {
            Ok(session) => {
                session
                    .runtime
                    .block_on(ask_all(&session.asker, names, families, &self.watch))
            }
            Err(why) => vec![Answer::failed(why.clone()); names.len()],
        }
    }
}

struct Session {
    runtime: Runtime,
    asker: Arc<Asker>,
}

/// Asks for every name, with [`AT_ONCE`] questions at a time.
async fn ask_all(
    asker: &Arc<Asker>,
    names: &[&str],
    families: Families,
    watch: &Watch,
) -> Vec<Answer> {
    let each: &[Families] = match families {
        Families::Ipv4 => &[Families::Ipv4],
        Families::Ipv6 => &[Families::Ipv6],
        Families::Both => &[Families::Ipv4, Families::Ipv6],
    };
    let questions = names.len() * each.len();
    // This answer stays if the task of a question fails.
    let lost = || Err(Unresolved::Other("the resolver failed".to_owned()));
    let mut found: Vec<Found> = (0..questions).map(|_| lost()).collect();
    let mut under_way = JoinSet::new();
    let (mut next, mut done) = (0, 0);
    loop {
        while next < questions && under_way.len() < AT_ONCE {
            let (asker, name) = (asker.clone(), names[next / each.len()].to_owned());
            let (number, family) = (next, each[next % each.len()]);
            under_way.spawn(async move { (number, asker.ask(&name, family).await) });
            next += 1;
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok((number, result))) => found[number] = result,
            Some(Err(_)) => {}
        }
        done += 1;
        if done % each.len() == 0 {
            watch(done / each.len(), names.len());
        }
    }
    found
        .chunks(each.len())
        .map(|found| join(found, families))
        .collect()
}

/// The result of a question for one family.
type Found = Result<Vec<IpAddr>, Unresolved>;

/// Joins the answers for both families.
fn join(found: &[Found], families: Families) -> Answer {
    let addresses: Vec<IpAddr> = found.iter().flatten().flatten().copied().collect();
    let failures = || found.iter().filter_map(|found| found.as_ref().err());
    let failure = failures().find(|why| !why.is_absence()).or_else(|| {
        let absent = failures().find(|why| **why == Unresolved::NoSuchName);
        absent.filter(|_| addresses.is_empty())
    });
    let failure = match failure {
        None if addresses.is_empty() => Some(Unresolved::NoAddress(families)),
        failure => failure.cloned(),
    };
    Answer { addresses, failure }
}

/// The state that all questions share.
struct Asker {
    sources: Sources,
    patience: Duration,
    /// The server that is asked first.
    preferred: AtomicUsize,
    /// Consecutive questions without any answer.
    unanswered: AtomicUsize,
}

impl Asker {
    /// Asks for the addresses of one family.
    async fn ask(&self, name: &str, family: Families) -> Found {
        let (mut full, kind) = question(name, family)?;
        let hosts = &self.sources.hosts;
        if let Some(found) = hosts.lookup_static_host(&Query::query(full.clone(), kind)) {
            return Ok(addresses_of(found.answers(), family));
        }
        // A name with a dot is complete. A search list could turn a typing error into another host's name.
        full.set_fqdn(full.is_fqdn() || name.contains('.'));
        let servers = match &self.sources.servers {
            Ok(servers) => servers,
            Err(why) => return Err(Unresolved::NoServer(why.clone())),
        };
        let unanswered = self.unanswered.load(Relaxed);
        if unanswered >= GIVE_UP {
            return Err(Unresolved::NotAsked(unanswered));
        }
        let mut why: Option<Unresolved> = None;
        for _ in 0..TRIES {
            let first = self.preferred.load(Relaxed);
            for step in 0..servers.len() {
                let at = (first + step) % servers.len();
                let asked = servers[at].lookup(full.clone(), kind);
                let found = match tokio::time::timeout(self.patience, asked).await {
                    Ok(Ok(found)) => Ok(addresses_of(found.answers(), family)),
                    Ok(Err(error)) => Err(Unresolved::from_error(&error, family, self.patience)),
                    Err(_) => Err(Unresolved::Silent(self.patience)),
                };
                let reason = match found {
                    Ok(addresses) if addresses.is_empty() => Unresolved::NoAddress(family),
                    Ok(addresses) => {
                        self.unanswered.store(0, Relaxed);
                        return Ok(addresses);
                    }
                    Err(reason) => reason,
                };
                if reason.is_silence() {
                    // Later questions start with the next server, unless another question changed that already.
                    let another = (at + 1) % servers.len();
                    let _ = self
                        .preferred
                        .compare_exchange(at, another, Relaxed, Relaxed);
                } else {
                    self.unanswered.store(0, Relaxed);
                }
                if reason.is_absence() {
                    return Err(reason);
                }
                // Prefer the error of one server to the silence of another.
                if why.as_ref().is_none_or(Unresolved::is_silence) {
                    why = Some(reason);
                }
            }
        }
        let why = why.unwrap_or(Unresolved::Silent(self.patience));
        if why.is_silence() {
            self.unanswered.fetch_add(1, Relaxed);
        }
        Err(why)
    }
}

/// The question for addresses of one family.
fn question(name: &str, family: Families) -> Result<(Name, RecordType), Unresolved> {
    let name = Name::from_ascii(name).map_err(|error| Unresolved::Other(error.to_string()))?;
    let kind = match family {
        Families::Ipv6 => RecordType::AAAA,
        Families::Ipv4 | Families::Both => RecordType::A,
    };
    Ok((name, kind))
}

/// The addresses in `records`, in ascending order. Aliases are left out.
fn addresses_of(records: &[hickory_resolver::proto::rr::Record], family: Families) -> Vec<IpAddr> {
    let addresses = records.iter().filter_map(|record| record.data.ip_addr());
    let mut addresses: Vec<IpAddr> = addresses.filter(|address| family.has(*address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests;
