//! Builds a network from a parsed file: looks up names and checks values. The result needs no further checks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;
use toml::Spanned;

use super::values::{
    Problem, address_v4, address_v6, prefix, problem, quote_bytes, rate_limit, wrapping,
};
use super::{LineFile, LinkFile, NetworkFile, TargetFile, UnroutedFile};
use crate::lab::generated::addresses::{VANTAGE_V4, VANTAGE_V6};
use crate::lab::network::{LabNetwork, NetworkKind, Properties};
use crate::lab::topology::declared::{Action, Declared, DeclaredHost};
use crate::lab::topology::{Host, NodeId, Quoting, RateLimit};

/// What a link's `from` calls the vantage point.
const VANTAGE: &str = "vantage";

/// Builds the network that `parsed` describes. If `parsed` has no name, the file name is used.
pub(in crate::lab) fn build(parsed: NetworkFile, file: &str) -> Result<LabNetwork, Problem> {
    let stem = Path::new(file)
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned());
    let name = parsed.name.clone().or(stem).unwrap_or_default();
    if let Some(options) = &parsed.generated {
        if !parsed.router.is_empty()
            || !parsed.target.is_empty()
            || parsed.vantage.is_some()
            || parsed.vantage6.is_some()
        {
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
    let facts = Properties {
        name,
        vantage_v4: builder.vantage_v4,
        vantage_v6: builder.vantage_v6,
        seed: parsed.seed,
        targets,
        description: parsed.description.clone(),
    };
    Ok(LabNetwork::new(facts, NetworkKind::Declared(declared)))
}

/// The file, with its names looked up.
pub(in crate::lab) struct Builder<'a> {
    pub(in crate::lab) file: &'a NetworkFile,
    pub(in crate::lab) vantage_v4: Ipv4Addr,
    pub(in crate::lab) vantage_v6: Option<Ipv6Addr>,
    names: HashMap<&'a str, usize>,
    pub(in crate::lab) links: HashMap<(&'a str, &'a str), &'a LinkFile>,
    pub(in crate::lab) default_line: LineFile,
}

impl<'a> Builder<'a> {
    fn new(file: &'a NetworkFile) -> Result<Self, Problem> {
        let vantage_v4 = match &file.vantage {
            Some(text) => address_v4(text)?,
            None => VANTAGE_V4,
        };
        let vantage_v6 = match &file.vantage6 {
            Some(text) => Some(address_v6(text)?),
            None => speaks_ipv6(file)?.then_some(VANTAGE_V6),
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
            vantage_v4,
            vantage_v6,
            names,
            links: HashMap::new(),
            default_line: LineFile::default(),
        };
        if let Some(line) = &file.line {
            // Building a line checks the default. All other lines start from it.
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

    fn host(&self, target: &TargetFile) -> Result<(IpNet, DeclaredHost), Problem> {
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
            answers_from: answers_from(target)?,
            silent: target.silent,
            code: target.answer as u8,
            udp_services: &[],
            echo: target.echo,
            tcp_open: &[],
            tcp: target.tcp,
            limit,
            initial_ttl: target.initial_ttl.unwrap_or(64),
            quoting: Quoting {
                bytes: quote_bytes(target.quote_bytes.as_ref())?,
                length: target.quote_length,
                ..Quoting::default()
            },
            wrapping: wrapping(&target.answer_headers, target.answer_fragments.as_ref())?,
        };
        let declared = DeclaredHost {
            udp_services: target.udp_services.clone(),
            tcp_open: target.tcp_open.clone(),
            host,
        };
        Ok((prefix(&target.prefix)?, declared))
    }

    pub(in crate::lab) fn node(&self, name: &Spanned<String>) -> Result<usize, Problem> {
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
}

/// The address that a target answers from. It must belong to the target's family.
fn answers_from(target: &TargetFile) -> Result<Option<IpAddr>, Problem> {
    let Some(text) = &target.answers_from else {
        return Ok(None);
    };
    let probed = prefix(&target.prefix)?.addr();
    let answering = match probed {
        IpAddr::V4(_) => IpAddr::from(address_v4(text)?),
        IpAddr::V6(_) => IpAddr::from(address_v6(text)?),
    };
    Ok(Some(answering))
}

/// Whether any router or target has an IPv6 address.
fn speaks_ipv6(file: &NetworkFile) -> Result<bool, Problem> {
    let routers = file.router.iter().any(|router| router.address6.is_some());
    for target in &file.target {
        if prefix(&target.prefix)?.addr().is_ipv6() {
            return Ok(true);
        }
    }
    Ok(routers)
}

fn unreachable(code: u8) -> Action {
    Action::Unreachable {
        code,
        mtu: 0,
        before_ttl_check: false,
    }
}
