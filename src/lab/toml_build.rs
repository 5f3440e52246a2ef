//! From what a file says to a network: names are looked up and values checked, so that nothing can be wrong afterwards.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;

use ipnet::Ipv4Net;
use toml::Spanned;

use super::declared::{Action, Declared, DeclaredRouter, Tunnel};
use super::hash::mix2;
use super::network::{Facts, Kind, LabNetwork};
use super::toml_file::{
    LineFile, LinkFile, NetworkFile, RouteFile, RouterFile, TargetFile, UnroutedFile,
};
use super::toml_values::{
    Problem, address, checked_share, nanoseconds, prefix, problem, quote_bytes, rate_limit,
};
use super::topology::{
    Answering, Balance, Host, Line, NodeId, Propagation, RateLimit, Side, Translation,
};

const DEFAULT_VANTAGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// What a link's `from` calls the vantage point.
const VANTAGE: &str = "vantage";
/// One way, where the file says nothing.
const DEFAULT_DELAY_MS: f64 = 1.0;
/// Label 0 to 15 are reserved (RFC 3032); 20 bits.
const LABELS: std::ops::RangeInclusive<u32> = 16..=0xf_ffff;

/// Builds the network that `parsed` describes; `file` names it where it has no name.
pub(super) fn build(parsed: NetworkFile, file: &str) -> Result<LabNetwork, Problem> {
    let stem = Path::new(file)
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned());
    let name = parsed.name.clone().or(stem).unwrap_or_default();
    if let Some(options) = &parsed.generated {
        if !parsed.router.is_empty() || !parsed.target.is_empty() || parsed.vantage.is_some() {
            return Err(problem(
                options,
                "a generated network has no routers, targets or vantage point of the file's own",
                "leave out either [generated] or those",
            ));
        }
        options.get_ref().check().map_err(|p| {
            problem(
                options,
                p,
                "give shares from 0 to 1, and a delay_scale from 0 to 1000",
            )
        })?;
        let mut network = LabNetwork::generated_with(parsed.seed, *options.get_ref());
        network.facts.name = name;
        network.facts.description = parsed.description;
        return Ok(network);
    }
    let builder = Builder::new(&parsed)?;
    let targets = parsed
        .target
        .iter()
        .map(|target| prefix(&target.prefix))
        .collect::<Result<_, _>>()?;
    let declared = builder.declared()?;
    let facts = Facts {
        name,
        vantage: builder.vantage,
        seed: parsed.seed,
        targets,
        description: parsed.description.clone(),
    };
    Ok(LabNetwork::new(facts, Kind::Declared(declared)))
}

struct Builder<'a> {
    file: &'a NetworkFile,
    vantage: Ipv4Addr,
    names: HashMap<&'a str, usize>,
    links: HashMap<(&'a str, &'a str), &'a LinkFile>,
    default_line: LineFile,
}

impl<'a> Builder<'a> {
    fn new(file: &'a NetworkFile) -> Result<Self, Problem> {
        let vantage = match &file.vantage {
            Some(text) => address(text)?,
            None => DEFAULT_VANTAGE,
        };
        let mut names = HashMap::new();
        for (index, router) in file.router.iter().enumerate() {
            let name = router.name.get_ref().as_str();
            if name == VANTAGE || names.insert(name, index).is_some() {
                return Err(problem(
                    &router.name,
                    format!("the name `{name}` is taken"),
                    "give each router a name of its own",
                ));
            }
        }
        if names.is_empty() {
            return Err(Problem {
                at: 0,
                problem: "the network has no router".to_owned(),
                remedy: "add a [[router]], or a [generated] table for a generated network"
                    .to_owned(),
            });
        }
        let mut builder = Builder {
            file,
            vantage,
            names,
            links: HashMap::new(),
            default_line: LineFile::default(),
        };
        if let Some(line) = &file.line {
            // Checked once by building a line from it; from then on it stands behind every other line.
            builder.line(&[Some(line)])?;
            builder.default_line = *line.get_ref();
        }
        for link in &file.link {
            if link.from.get_ref() != VANTAGE {
                builder.node(&link.from)?;
            }
            builder.node(&link.to)?;
            let ends = (link.from.get_ref().as_str(), link.to.get_ref().as_str());
            if builder.links.insert(ends, link).is_some() {
                return Err(problem(
                    &link.from,
                    "this link stands here twice",
                    "keep one of them",
                ));
            }
        }
        Ok(builder)
    }

    fn declared(&self) -> Result<Declared, Problem> {
        let hosts = self
            .file
            .target
            .iter()
            .map(|target| self.host(target))
            .collect::<Result<Vec<_>, _>>()?;
        let mut hosts = hosts;
        hosts.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        let routers = self
            .file
            .router
            .iter()
            .enumerate()
            .map(|(index, router)| self.router(index, router))
            .collect::<Result<_, _>>()?;
        Ok(Declared {
            routers,
            hosts,
            first: NodeId(0),
            first_line: self.line_between(VANTAGE, 0)?,
            unrouted: match self.file.unrouted {
                UnroutedFile::NetworkUnreachable => unreachable(0),
                UnroutedFile::HostUnreachable => unreachable(1),
                UnroutedFile::Silence => Action::Discard,
            },
        })
    }

    fn router(&self, index: usize, router: &RouterFile) -> Result<DeclaredRouter, Problem> {
        let name = router.name.get_ref().as_str();
        let own_seed = if self.file.polarised {
            0
        } else {
            index as u64 + 1
        };
        Ok(DeclaredRouter {
            answering: self.answering(router)?,
            zero_ttl_forwarding: router.zero_ttl_forwarding,
            tunnel: tunnel(router)?,
            translation: self.translation(router)?,
            hash_seed: mix2(self.file.seed, own_seed),
            routes: self.routes(name, router)?,
        })
    }

    fn answering(&self, router: &RouterFile) -> Result<Answering, Problem> {
        let own = address(&router.address)?;
        if own == self.vantage {
            return Err(problem(
                &router.address,
                format!("{own} is the vantage point's address"),
                "give the router another",
            ));
        }
        for target in &self.file.target {
            if prefix(&target.prefix)?.contains(&own) {
                return Err(problem(
                    &router.address,
                    format!(
                        "{own} lies among the targets of `{}`",
                        target.prefix.get_ref()
                    ),
                    "give the router an address outside all targets",
                ));
            }
        }
        Ok(Answering {
            address: own,
            silent: router.silent,
            answer_loss: router.answer_loss.as_ref().map_or(Ok(0.0), |share| {
                checked_share(share, "answer_loss", *share.get_ref())
            })?,
            limit: router.rate_limit.as_ref().map(rate_limit).transpose()?,
            delay: router.answer_delay_ms.as_ref().map_or(Ok(0), |ms| {
                nanoseconds(ms, "answer_delay_ms", *ms.get_ref())
            })?,
            initial_ttl: router.initial_ttl.unwrap_or(255),
            quote_bytes: quote_bytes(router.quote_bytes.as_ref())?,
        })
    }

    fn routes(&self, name: &str, router: &RouterFile) -> Result<Vec<(Ipv4Net, Action)>, Problem> {
        let mut routes: Vec<(Ipv4Net, Action)> = Vec::new();
        let mut add = |at: &Spanned<String>, prefix: Ipv4Net, action| {
            if routes.iter().any(|(known, _)| *known == prefix) {
                return Err(problem(
                    at,
                    format!("router `{name}` has two ways to {prefix}"),
                    "keep one of them (a target hangs off one router and needs no route there)",
                ));
            }
            routes.push((prefix, action));
            Ok(())
        };
        for target in self.file.target.iter().filter(|t| t.at.get_ref() == name) {
            let line = self.line(&[target.line.as_ref()])?;
            add(
                &target.prefix,
                prefix(&target.prefix)?,
                Action::Deliver(line),
            )?;
        }
        for route in &router.routes {
            add(&route.to, prefix(&route.to)?, self.action(name, route)?)?;
        }
        if !router.next.is_empty() {
            let everything = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
            let action = self.forward(name, router.balance, &router.next)?;
            add(&router.next[0], everything, action)?;
        }
        routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        Ok(routes)
    }

    fn action(&self, name: &str, route: &RouteFile) -> Result<Action, Problem> {
        match (route.next.is_empty(), route.unreachable, route.discard) {
            (false, None, false) => self.forward(name, route.balance, &route.next),
            (true, Some(code), false) => Ok(Action::Unreachable {
                code: code as u8,
                before_ttl_check: route.before_ttl_check,
            }),
            (true, None, true) => Ok(Action::Discard),
            _ => Err(problem(
                &route.to,
                format!(
                    "the route to {} must do exactly one thing",
                    route.to.get_ref()
                ),
                "give it one of next, unreachable, discard = true",
            )),
        }
    }

    fn forward(
        &self,
        from: &str,
        balance: Balance,
        next: &[Spanned<String>],
    ) -> Result<Action, Problem> {
        let hops = next
            .iter()
            .map(|name| {
                let to = self.node(name)?;
                Ok((NodeId(to as u32), self.line_between(from, to)?))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Action::Forward { balance, hops })
    }

    fn translation(&self, router: &RouterFile) -> Result<Option<Translation>, Problem> {
        match (&router.nat, &router.rewrite) {
            (None, None) => Ok(None),
            (Some(nat), None) => Ok(Some(Translation {
                side: Side::Source,
                from: Ipv4Net::from(self.vantage),
                to: Ipv4Net::from(address(&nat.get_ref().public)?),
                restore: nat.get_ref().restore,
            })),
            (None, Some(rewrite)) => {
                let rewrite = rewrite.get_ref();
                let (from, to) = (prefix(&rewrite.from)?, prefix(&rewrite.to)?);
                if from.prefix_len() != to.prefix_len() {
                    return Err(problem(
                        &rewrite.to,
                        format!("{from} and {to} differ in size"),
                        "rewrite to a prefix of the same length",
                    ));
                }
                Ok(Some(Translation {
                    side: Side::Destination,
                    from,
                    to,
                    restore: rewrite.restore,
                }))
            }
            (Some(nat), Some(_)) => Err(problem(
                nat,
                "a router is either a NAT or a rewriting box",
                "put the second onto a router of its own",
            )),
        }
    }

    fn host(&self, target: &TargetFile) -> Result<(Ipv4Net, Host), Problem> {
        self.node(&target.at)?;
        let limit = match (&target.rate_limit, target.unlimited) {
            (Some(limit), true) => {
                return Err(problem(
                    limit,
                    "a target with a limit cannot be unlimited",
                    "keep one",
                ));
            }
            (Some(limit), false) => Some(rate_limit(limit)?),
            (None, false) => Some(RateLimit::LINUX),
            (None, true) => None,
        };
        let host = Host {
            code: (!target.silent).then_some(target.answer as u8),
            limit,
            initial_ttl: target.initial_ttl.unwrap_or(64),
            quote_bytes: quote_bytes(target.quote_bytes.as_ref())?,
        };
        Ok((prefix(&target.prefix)?, host))
    }

    fn node(&self, name: &Spanned<String>) -> Result<usize, Problem> {
        self.names
            .get(name.get_ref().as_str())
            .copied()
            .ok_or_else(|| {
                let mut known: Vec<_> = self.names.keys().copied().collect();
                known.sort_unstable();
                problem(
                    name,
                    format!("there is no router `{}`", name.get_ref()),
                    format!("name one of {}", known.join(", ")),
                )
            })
    }

    fn line_between(&self, from: &str, to: usize) -> Result<Line, Problem> {
        let router = &self.file.router[to];
        let link = self.links.get(&(from, router.name.get_ref().as_str()));
        self.line(&[link.map(|link| &link.line), router.line.as_ref()])
    }

    /// A line from what is said of it, the most particular first, and the file's default.
    fn line(&self, said: &[Option<&Spanned<LineFile>>]) -> Result<Line, Problem> {
        let share = |name, field: fn(&LineFile) -> Option<f64>| match find(said, field) {
            Some((line, value)) => checked_share(line, name, value),
            None => Ok(field(&self.default_line).unwrap_or(0.0)),
        };
        let span = |name, field: fn(&LineFile) -> Option<f64>, default: f64| match find(said, field)
        {
            Some((line, value)) => nanoseconds(line, name, value),
            None => Ok((field(&self.default_line).unwrap_or(default) * 1e6).round() as u64),
        };
        Ok(Line {
            delay: span("delay_ms", |l| l.delay_ms, DEFAULT_DELAY_MS)?,
            jitter: span("jitter_ms", |l| l.jitter_ms, 0.0)?,
            loss: share("loss", |l| l.loss)?,
            reply_loss: share("reply_loss", |l| l.reply_loss)?,
            duplicate: share("duplicate", |l| l.duplicate)?,
            reorder: share("reorder", |l| l.reorder)?,
            reorder_by: span("reorder_ms", |l| l.reorder_ms, 0.0)?,
        })
    }
}

/// The most particular value given for a field, and where it stands.
fn find<'a>(
    said: &[Option<&'a Spanned<LineFile>>],
    field: fn(&LineFile) -> Option<f64>,
) -> Option<(&'a Spanned<LineFile>, f64)> {
    said.iter()
        .flatten()
        .find_map(|line| Some((*line, field(line.get_ref())?)))
}

fn tunnel(router: &RouterFile) -> Result<Option<Tunnel>, Problem> {
    let Some(mpls) = &router.mpls else {
        return Ok(None);
    };
    let file = mpls.get_ref();
    if file.labels.is_empty()
        || file.labels.len() > 8
        || !file.labels.iter().all(|l| LABELS.contains(l))
    {
        return Err(problem(
            mpls,
            "a label stack is 1 to 8 labels of 16 to 1048575",
            "list the labels from the top, such as labels = [24001]",
        ));
    }
    Ok(Some(Tunnel {
        propagation: if file.propagate_ttl {
            Propagation::Copied
        } else {
            Propagation::Hidden
        },
        shown: file.shown,
        labels: file.labels.clone(),
    }))
}

fn unreachable(code: u8) -> Action {
    Action::Unreachable {
        code,
        before_ttl_check: false,
    }
}
