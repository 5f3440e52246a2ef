//! Host names of the lists: each asked for once, many at a time, and answered in the order of the lines.
//!
//! Names wait until there are enough of them to be asked for together, while the targets around them are taken at once; the
//! number that each line got in passing still decides who owns an address. Bad lines behind a name wait with it, so that
//! messages come in the order of the lines. Answers are kept until loading ends, some hundred
//! bytes a distinct name.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Families;
use super::errors::{BadLine, Place};
use super::resolver::{Answer, Resolve, Unresolved};

/// Lines that wait at most. Asked for in larger portions, the slow names among them hold up the others less.
const MOST_WAITING: usize = 1 << 16;

/// A line that waits.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the addresses of a name.
    Name(Named),
    /// For the names before it: a bad line to be told of.
    Bad(BadLine),
}

/// A line with a name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) place: Place,
    /// Its place in the input.
    pub(super) order: u32,
    /// What it says, in the labels.
    pub(super) entry: u32,
    question: usize,
}

/// Names that were met, and what became of them.
#[derive(Debug)]
pub(super) struct Names {
    /// Which families are asked for; `None` if the run probes none of them.
    families: Option<Families>,
    /// Which families the run probes.
    probed: Families,
    /// Every address is a target, not only the lowest.
    all: bool,
    known: HashMap<Box<str>, usize>,
    /// By number; the names behind its end are yet to be asked for.
    answers: Vec<Answer>,
    open: Vec<Box<str>>,
    waiting: Vec<Waiting>,
}

impl Names {
    /// Asks for those of `wanted` that are `probed`.
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

    /// Whether the run probes any family that names are asked for.
    pub(super) fn are_wanted(&self) -> bool {
        self.families.is_some()
    }

    /// Takes note of a line with `name`, which DNS knows in any case and with or without a dot behind it.
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

    /// Lets a bad line wait; gives it back if nobody else does.
    pub(super) fn add_bad(&mut self, bad: BadLine) -> Option<BadLine> {
        if self.waiting.is_empty() {
            return Some(bad);
        }
        self.waiting.push(Waiting::Bad(bad));
        None
    }

    /// Whether it is time to ask.
    pub(super) fn are_many(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// Asks for what has not been asked for, and gives the lines that waited, in their order.
    pub(super) fn settle(&mut self, resolve: &Resolve<'_>) -> Vec<Waiting> {
        let open = std::mem::take(&mut self.open);
        if let (Some(families), false) = (self.families, open.is_empty()) {
            let names: Vec<&str> = open.iter().map(AsRef::as_ref).collect();
            self.answers.extend(resolve.resolve(&names, families));
        }
        // Whatever a resolver does, each question has its answer.
        let lost = Answer::failed(Unresolved::Other("the resolver gave no answer".to_owned()));
        self.answers.resize(self.known.len(), lost);
        std::mem::take(&mut self.waiting)
    }

    /// What to probe for a line: the name's lowest address, or all of them in rising order; and what went wrong, if anything
    /// did. Without an address something did.
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
            // The other family can be asked for only where it is probed, and is not asked for already.
            Unresolved::NoAddress(one) if !self.all && self.probed == Families::Both => {
                Unresolved::NoAddressOfOne(one)
            }
            why => why,
        });
        (addresses, failure)
    }
}
