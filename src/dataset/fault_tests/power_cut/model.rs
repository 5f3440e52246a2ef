//! A file system that loses what was not synced.
//!
//! | what | is durable after |
//! |---|---|
//! | the content of a file | fsync of the file |
//! | a name that was added, replaced or removed | fsync of its directory |
//!
//! A rename changes two directories, and either change may survive alone. This is harsher than real file systems are.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dataset::files::Change;

/// Which changes that were not synced survive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Survivors {
    /// No change.
    Nothing,
    /// All names, and no content.
    Names,
    /// A random subset, by a seed.
    Some(u64),
}

/// The files and directories below a directory, as after a restart. `None` is a directory.
pub(super) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

enum Node {
    File {
        content: Vec<u8>,
        durable: Vec<u8>,
    },
    Directory {
        durable: BTreeMap<OsString, usize>,
        /// Names since the last sync, in order. `None`: the name was removed.
        pending: Vec<(OsString, Option<usize>)>,
    },
}

/// The file system below one directory.
pub(super) struct Model {
    base: PathBuf,
    /// The first is the directory itself.
    nodes: Vec<Node>,
    inodes: HashMap<u64, usize>,
}

impl Model {
    /// An empty directory.
    pub fn empty(base: &Path) -> Self {
        Model {
            base: base.to_owned(),
            nodes: vec![directory()],
            inodes: HashMap::new(),
        }
    }

    /// Everything below `base`, and all of it durable.
    pub fn of(base: &Path) -> Self {
        let mut model = Model::empty(base);
        model.read(base, 0);
        model
    }

    fn read(&mut self, path: &Path, at: usize) {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let below = self.nodes.len();
            if entry.path().is_dir() {
                self.nodes.push(directory());
                self.read(&entry.path(), below);
            } else {
                let durable = fs::read(entry.path()).unwrap();
                let content = durable.clone();
                self.nodes.push(Node::File { content, durable });
            }
            self.set(at, entry.file_name(), Some(below));
        }
        self.sync(at);
    }

    /// Applies a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::MakeDirectory(path) => {
                self.nodes.push(directory());
                self.name(path, Some(self.nodes.len() - 1));
            }
            Change::Create(path, inode) => self.create(path, *inode),
            Change::Open(path, inode) => match self.find(path) {
                Some(there) => {
                    self.inodes.insert(*inode, there);
                }
                None => self.create(path, *inode),
            },
            Change::Write(inode, bytes) => self.content(*inode).extend_from_slice(bytes),
            Change::Truncate(inode, length) => self.content(*inode).truncate(*length as usize),
            Change::Sync(inode) => self.sync(self.inodes[inode]),
            Change::SyncDirectory(path) => {
                let found = self.find(path).expect("a directory that is there");
                self.sync(found);
            }
            Change::Rename(from, to) => {
                let node = self.find(from).expect("a file that is there");
                self.name(to, Some(node));
                self.name(from, None);
            }
            Change::Remove(path) => self.name(path, None),
        }
    }

    fn create(&mut self, path: &Path, inode: u64) {
        let (content, durable) = (Vec::new(), Vec::new());
        self.nodes.push(Node::File { content, durable });
        let at = self.nodes.len() - 1;
        self.inodes.insert(inode, at);
        self.name(path, Some(at));
    }

    fn content(&mut self, inode: u64) -> &mut Vec<u8> {
        match &mut self.nodes[self.inodes[&inode]] {
            Node::File { content, .. } => content,
            Node::Directory { .. } => panic!("a directory is written to"),
        }
    }

    fn sync(&mut self, at: usize) {
        match &mut self.nodes[at] {
            Node::File { content, durable } => durable.clone_from(content),
            Node::Directory { durable, pending } => {
                for (name, node) in pending.drain(..) {
                    set(durable, name, node);
                }
            }
        }
    }

    /// The node at a path, with all changes.
    fn find(&self, path: &Path) -> Option<usize> {
        let relative = path
            .strip_prefix(&self.base)
            .expect("a path below the base");
        relative.iter().try_fold(0, |at, name| {
            let Node::Directory { durable, pending } = &self.nodes[at] else {
                return None;
            };
            let last = pending.iter().rev().find(|(pending, _)| pending == name);
            last.map_or_else(|| durable.get(name).copied(), |(_, node)| *node)
        })
    }

    fn name(&mut self, path: &Path, node: Option<usize>) {
        let parent = path.parent().and_then(|parent| self.find(parent));
        let name = path.file_name().expect("a name").to_owned();
        self.set(parent.expect("a directory that is there"), name, node);
    }

    fn set(&mut self, at: usize, name: OsString, node: Option<usize>) {
        match &mut self.nodes[at] {
            Node::Directory { pending, .. } => pending.push((name, node)),
            Node::File { .. } => panic!("a file has no names"),
        }
    }

    /// What is there after a power cut.
    pub fn after_a_cut(&self, survivors: Survivors) -> Tree {
        let mut tree = Tree::new();
        let mut random = match survivors {
            Survivors::Some(seed) => Some(Random(seed)),
            Survivors::Nothing | Survivors::Names => None,
        };
        let names = matches!(survivors, Survivors::Names);
        self.collect(0, Path::new(""), names, &mut random, &mut tree);
        tree
    }

    fn collect(
        &self,
        at: usize,
        path: &Path,
        names: bool,
        random: &mut Option<Random>,
        tree: &mut Tree,
    ) {
        match &self.nodes[at] {
            Node::File { content, durable } => {
                let survives = match random {
                    Some(random) => torn(content, durable, random),
                    None => durable.clone(),
                };
                tree.insert(path.to_owned(), Some(survives));
            }
            Node::Directory { durable, pending } => {
                tree.insert(path.to_owned(), None);
                let mut there = durable.clone();
                for (name, node) in pending {
                    let survives = random.as_mut().map_or(names, |random| random.below(2) == 1);
                    if survives {
                        set(&mut there, name.clone(), *node);
                    }
                }
                for (name, node) in there {
                    self.collect(node, &path.join(name), names, random, tree);
                }
            }
        }
    }
}

/// Reproducible random numbers: splitmix64.
struct Random(u64);

impl Random {
    /// A number from 0 to `below`, without `below`.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// What is left of a file: its durable content, or some of what was written later, or zeros instead of that.
fn torn(content: &[u8], durable: &[u8], random: &mut Random) -> Vec<u8> {
    if content == durable {
        return durable.to_owned();
    }
    match random.below(4) {
        0 => durable.to_owned(),
        1 => content[..random.below(content.len() + 1)].to_owned(),
        2 => content.to_owned(),
        _ => {
            let mut zeros = durable.to_owned();
            zeros.resize(content.len(), 0);
            zeros
        }
    }
}

fn directory() -> Node {
    let (durable, pending) = (BTreeMap::new(), Vec::new());
    Node::Directory { durable, pending }
}

fn set(names: &mut BTreeMap<OsString, usize>, name: OsString, node: Option<usize>) {
    match node {
        Some(node) => names.insert(name, node),
        None => names.remove(&name),
    };
}

/// Writes a tree into an empty directory.
pub(super) fn write(tree: &Tree, base: &Path) {
    for (path, content) in tree {
        match content {
            Some(content) => fs::write(base.join(path), content).unwrap(),
            None => fs::create_dir_all(base.join(path)).unwrap(),
        }
    }
}
