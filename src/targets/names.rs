//! Host names in the lists. Each name is resolved once, together with many others.
//!
//! - Names wait until there are enough of them for one request. Lines with addresses do not wait.
//! - The results do not depend on the waiting: each line got its number when it was read, and the lowest number owns an address.
//! - Bad lines after a waiting name wait as well, so that messages come in the order of the lines.
//! - Answers are kept until loading ends: some hundred bytes per distinct name.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Families;
use super::errors::{BadLine, Place};
use super::resolver::{Answer, Resolve, Unresolved};

/// The number of waiting lines at which names are resolved. The larger this is, the less slow names delay others.
const MOST_WAITING: usize = 1 << 16;

/// A waiting line.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A line that waits for the addresses of its name.
    Name(Named),
    /// A bad line that waits for the names before it.
    Bad(BadLine),
}

/// A line with a name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) place: Place,
    /// The number of the line among the accepted inputs.
    pub(super) order: u32,
    /// The line's entry in the labels.
    pub(super) entry: u32,
    question: usize,
}

/// The names so far, and their answers.
#[derive(Debug)]
pub(super) struct Names {
    /// The families to resolve. `None` if the run probes none of them.
    families: Option<Families>,
    /// The families that the run probes.
    probed: Families,
    /// Whether every address of a name is a target. Otherwise only the lowest is.
    all: bool,
    known: HashMap<Box<str>, usize>,
    /// The answers by the number of the name. Names with higher numbers are not resolved yet.
    answers: Vec<Answer>,
    open: Vec<Box<str>>,
    waiting: Vec<Waiting>,
}

impl Names {
    /// Resolves names to addresses of the families in both `wanted` and `probed`.
    pub(super) fn new(wanted: Families, probed: Families) -> Self {
        Names {
            families: wanted.and(probed),
            probed,
            all: wanted == Families::Both,
            known: HashMap::new(),
            answers: Vec::new(),
            open: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Whether the run probes any of the families to resolve.
    pub(super) fn are_wanted(&self) -> bool {
        self.families.is_some()
    }

    /// Adds a line with `name`. Ignores the case of letters, and a dot at the end.
    pub(super) fn add(&mut self, name: &str, place: Place, order: u32, entry: u32) {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let number = self.known.len();
        let question = match self.known.get(name.as_str()) {
            Some(question) => *question,
            None => {
                self.open.push(name.as_str().into());
                self.known.insert(name.into(), number);
                number
            }
        };
        self.waiting.push(Waiting::Name(Named {
            place,
            order,
            entry,
            question,
        }));
    }

    /// Queues a bad line if other lines wait. Otherwise returns it.
    pub(super) fn add_bad(&mut self, bad: BadLine) -> Option<BadLine> {
        if self.waiting.is_empty() {
            return Some(bad);
        }
        self.waiting.push(Waiting::Bad(bad));
        None
    }

    /// Whether there are enough lines for a request.
    pub(super) fn are_many(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// Resolves the names that are not resolved yet. Returns the waiting lines in order.
    pub(super) fn settle(&mut self, resolve: &Resolve<'_>) -> Vec<Waiting> {
        let open = std::mem::take(&mut self.open);
        if let (Some(families), false) = (self.families, open.is_empty()) {
            let names: Vec<&str> = open.iter().map(AsRef::as_ref).collect();
            self.answers.extend(resolve.resolve(&names, families));
        }
        // Every name gets an answer, even if the resolver returns too few.
        let lost = Answer::failed(Unresolved::Other("the resolver gave no answer".to_owned()));
        self.answers.resize(self.known.len(), lost);
        std::mem::take(&mut self.waiting)
    }

    /// Returns the addresses to probe for a line, and the error if there was one.
    ///
    /// - The addresses are the lowest address, or all addresses in ascending order.
    /// - If there is no address, there is always an error.
    pub(super) fn chosen(&self, named: &Named) -> (Vec<IpAddr>, Option<Unresolved>) {
        let answer = &self.answers[named.question];
        let Some(families) = self.families else {
            return (Vec::new(), answer.failure.clone());
        };
        let asked = answer.addresses.iter().filter(|a| families.has(**a));
        let mut addresses: Vec<IpAddr> = asked.copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        if !self.all {
            addresses.truncate(1);
        }
        let failure = match &answer.failure {
            None if addresses.is_empty() => Some(Unresolved::NoAddress(families)),
            failure => failure.clone(),
        };
        let failure = failure.map(|why| match why {
            // Asking for the other family helps only if the run probes it and does not ask for it already.
            Unresolved::NoAddress(one) if !self.all && self.probed == Families::Both => {
                Unresolved::NoAddressOfOne(one)
            }
            why => why,
        });
        (addresses, failure)
    }
}
