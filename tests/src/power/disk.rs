//! A model of a disk: which changes are durable, and which a power cut may lose.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Chance;
use super::image::{Entry, Image};
use super::trace::Record;

/// Number of bytes that a disk writes atomically.
const SECTOR: u64 = 512;
/// Permission bits of `st_mode`.
const PERMISSIONS: u32 = 0o7777;
/// File type bits of `st_mode`, and their value for directories.
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;

/// What happens to unflushed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// They are all lost.
    Strict,
    /// Some survive, completely or in some sectors.
    Random,
    /// They all survive, as if only the program were killed; for a positive control.
    Nothing,
}

/// Index into `Disk::nodes`. Unlike an inode number it is never used twice.
type NodeId = usize;
const ROOT: NodeId = 0;

/// The state of a directory before a program runs, and the changes by the program.
pub struct Disk {
    nodes: Vec<Node>,
    by_inode: HashMap<u64, NodeId>,
    /// The initial names, all durable.
    names: Names,
    /// Changes of names since then.
    name_changes: Vec<NameChange>,
    /// Flushes in progress.
    running: HashMap<u64, Flush>,
}

struct Flush {
    node: NodeId,
    /// Number of changes of the node that it covers.
    changes: usize,
    /// Number of changes of names that it covers, if the node is a directory.
    names: usize,
}

type Names = BTreeMap<(NodeId, OsString), NodeId>;

/// A file or directory.
struct Node {
    is_directory: bool,
    mode: u32,
    bytes: Vec<u8>,
    changes: Vec<Change>,
    /// Number of `changes` that are durable.
    durable: usize,
}

/// A change of a file's content, or of a node's mode.
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
    Mode(u32),
}

struct NameChange {
    /// The directory whose flush makes it durable.
    directory: NodeId,
    is_durable: bool,
    what: What,
}

enum What {
    Appears(NodeId, OsString, NodeId),
    Vanishes(NodeId, OsString),
    Moves { from: (NodeId, OsString), to: (NodeId, OsString), node: NodeId },
}

impl Disk {
    /// Reads a directory, and takes everything in it as durable.
    ///
    /// # Errors
    /// The system's.
    pub fn read(root: &Path) -> std::io::Result<Self> {
        let (image, inodes) = Image::read(root)?;
        Ok(Self::new(image, &inodes))
    }

    fn new(image: Image, inodes: &BTreeMap<PathBuf, u64>) -> Self {
        let mut disk = Self {
            nodes: vec![],
            by_inode: HashMap::new(),
            names: Names::new(),
            name_changes: vec![],
            running: HashMap::new(),
        };
        let mut by_path = HashMap::new();
        for (path, entry) in image.0 {
            let (is_directory, mode, bytes) = match entry {
                Entry::Directory(mode) => (true, mode, Vec::new()),
                Entry::File(mode, bytes) => (false, mode, bytes),
            };
            let inode = inodes[&path];
            let id = match disk.by_inode.get(&inode) {
                Some(id) => *id,
                None => disk.add(inode, Node { is_directory, mode, bytes, changes: vec![], durable: 0 }),
            };
            // Paths are sorted, so the root comes first, and every directory before its entries.
            if let (Some(name), Some(parent)) = (path.file_name(), path.parent()) {
                disk.names.insert((by_path[parent], name.to_owned()), id);
            }
            by_path.insert(path, id);
        }
        disk
    }

    fn add(&mut self, inode: u64, node: Node) -> NodeId {
        self.nodes.push(node);
        self.by_inode.insert(inode, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn node(&self, inode: u64) -> Result<NodeId, String> {
        self.by_inode.get(&inode).copied().ok_or_else(|| format!("the trace has no creation of inode {inode}"))
    }

    /// Applies a recorded change.
    ///
    /// # Errors
    /// If it changes a file whose creation was not recorded.
    pub fn apply(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Create { node, parent, name, mode } => {
                let is_directory = mode & TYPE == DIRECTORY;
                let mode = mode & PERMISSIONS;
                let parent = self.node(parent)?;
                let id = self.add(node, Node { is_directory, mode, bytes: vec![], changes: vec![], durable: 0 });
                self.change_name(parent, What::Appears(parent, name, id));
            }
            Record::Link { node, parent, name } => {
                let (node, parent) = (self.node(node)?, self.node(parent)?);
                self.change_name(parent, What::Appears(parent, name, node));
            }
            Record::Unlink { parent, name } => {
                let parent = self.node(parent)?;
                self.change_name(parent, What::Vanishes(parent, name));
            }
            Record::Rename { node, parent, name, new_parent, new_name } => {
                let (node, from, to) = (self.node(node)?, self.node(parent)?, self.node(new_parent)?);
                self.change_name(to, What::Moves { from: (from, name), to: (to, new_name), node });
            }
            Record::Write { node, offset, bytes } => self.change_content(node, Change::Write { offset, bytes })?,
            Record::Truncate { node, length } => self.change_content(node, Change::Length(length))?,
            Record::Mode { node, mode } => self.change_content(node, Change::Mode(mode & PERMISSIONS))?,
            Record::SyncBegin { node, number, .. } => {
                let node = self.node(node)?;
                let (changes, names) = (self.nodes[node].changes.len(), self.name_changes.len());
                self.running.insert(number, Flush { node, changes, names });
            }
            Record::SyncEnd { number, .. } => {
                if let Some(done) = self.running.remove(&number) {
                    self.becomes_durable(&done);
                }
            }
        }
        Ok(())
    }

    fn change_name(&mut self, directory: NodeId, what: What) {
        self.name_changes.push(NameChange { directory, is_durable: false, what });
    }

    fn change_content(&mut self, inode: u64, change: Change) -> Result<(), String> {
        let id = self.node(inode)?;
        self.nodes[id].changes.push(change);
        Ok(())
    }

    fn becomes_durable(&mut self, done: &Flush) {
        let node = &mut self.nodes[done.node];
        node.durable = node.durable.max(done.changes);
        let covered = self.name_changes[..done.names].iter_mut();
        covered.filter(|change| change.directory == done.node).for_each(|change| change.is_durable = true);
    }

    /// The contents while the power is on: all changes.
    #[must_use]
    pub fn written(&self) -> Image {
        self.image(|_| true, |node| node.survivor(&Survival::Whole(node.pending())))
    }

    /// The contents after a power cut now.
    pub fn after_power_cut(&self, tear: Tear, chance: &mut Chance) -> Image {
        match tear {
            Tear::Nothing => self.written(),
            Tear::Strict => self.image(|_| false, |node| node.survivor(&Survival::Whole(0))),
            Tear::Random => {
                let unflushed = self.name_changes.iter().filter(|change| !change.is_durable).count();
                let mut left = chance.index(unflushed + 1);
                let survives = |_: &NameChange| {
                    let survives = left > 0;
                    left = left.saturating_sub(1);
                    survives
                };
                self.image(survives, |node| node.survivor(&Survival::random(node, chance)))
            }
        }
    }

    /// `survives` is called for each change of a name that is not durable, in order.
    fn image(
        &self,
        mut survives: impl FnMut(&NameChange) -> bool,
        mut content: impl FnMut(&Node) -> (u32, Vec<u8>),
    ) -> Image {
        let mut names = self.names.clone();
        for change in &self.name_changes {
            if change.is_durable || survives(change) {
                change.what.apply(&mut names);
            }
        }
        let mut image = Image::default();
        let mut contents: HashMap<NodeId, (u32, Vec<u8>)> = HashMap::new();
        let mut left = vec![(ROOT, PathBuf::new())];
        while let Some((id, path)) = left.pop() {
            let node = &self.nodes[id];
            // Two names of one file show the same content.
            let (mode, bytes) = contents.entry(id).or_insert_with(|| content(node)).clone();
            if node.is_directory {
                let inside = names.range((id, OsString::new())..).take_while(|((parent, _), _)| *parent == id);
                left.extend(inside.map(|((_, name), child)| (*child, path.join(name))));
                image.0.insert(path, Entry::Directory(mode));
            } else {
                image.0.insert(path, Entry::File(mode, bytes));
            }
        }
        image
    }
}

impl What {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Appears(parent, name, node) => {
                names.insert((*parent, name.clone()), *node);
            }
            Self::Vanishes(parent, name) => {
                names.remove(&(*parent, name.clone()));
            }
            Self::Moves { from, to, node } => {
                // The creation of the old name may be lost, although the new name is durable.
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// Which of a file's unflushed changes survive, as the number of first changes that do.
enum Survival {
    /// The first ones, in all sectors.
    Whole(usize),
    /// The first ones, and in some sectors one more.
    Torn { count: usize, sectors: Vec<bool>, length: bool },
    /// A count for each sector, and one for the length. Sectors beyond the list have the last count.
    Scattered { sectors: Vec<usize>, length: usize },
}

impl Survival {
    fn random(node: &Node, chance: &mut Chance) -> Self {
        let pending = node.pending();
        if pending == 0 {
            return Self::Whole(0);
        }
        match chance.below(5) {
            0 => Self::Whole(0),
            1 => Self::Whole(pending),
            2 | 3 => Self::torn(node, chance.index(pending), chance),
            _ => {
                let sectors = node.extent().div_ceil(SECTOR) as usize;
                let sectors = (0..=sectors).map(|_| chance.index(pending + 1)).collect();
                Self::Scattered { sectors, length: chance.index(pending + 1) }
            }
        }
    }

    /// The change after the first `count` is torn: a prefix of its sectors, a suffix, or any of them.
    fn torn(node: &Node, count: usize, chance: &mut Chance) -> Self {
        let sectors = node.extent().div_ceil(SECTOR) as usize;
        let range = match &node.changes[node.durable + count] {
            Change::Write { offset, bytes } => {
                (*offset / SECTOR) as usize..(offset + bytes.len() as u64).div_ceil(SECTOR) as usize
            }
            Change::Length(_) | Change::Mode(_) => 0..sectors,
        };
        let edge = range.start + chance.index(range.len() + 1);
        let kind = chance.below(3);
        let survives = |sector: usize, chance: &mut Chance| match kind {
            0 => sector < edge,
            1 => sector >= edge,
            _ => chance.once_in(2),
        };
        let sectors = (0..sectors).map(|sector| range.contains(&sector) && survives(sector, chance)).collect();
        Self::Torn { count, sectors, length: chance.once_in(2) }
    }

    fn in_sector(&self, sector: usize) -> usize {
        match self {
            Self::Whole(count) => *count,
            Self::Torn { count, sectors, .. } => count + usize::from(sectors.get(sector).is_some_and(|more| *more)),
            Self::Scattered { sectors, .. } => sectors.get(sector).or(sectors.last()).copied().unwrap_or(0),
        }
    }

    fn of_length(&self) -> usize {
        match self {
            Self::Whole(count) => *count,
            Self::Torn { count, length, .. } => count + usize::from(*length),
            Self::Scattered { length, .. } => *length,
        }
    }
}

impl Node {
    /// Number of changes that are not durable.
    fn pending(&self) -> usize {
        self.changes.len() - self.durable
    }

    /// The maximum length of all its states.
    fn extent(&self) -> u64 {
        let reach = self.changes.iter().map(|change| match change {
            Change::Write { offset, bytes } => offset + bytes.len() as u64,
            Change::Length(length) => *length,
            Change::Mode(_) => 0,
        });
        reach.max().unwrap_or(0).max(self.bytes.len() as u64)
    }

    /// Mode and bytes if these changes survive.
    fn survivor(&self, survival: &Survival) -> (u32, Vec<u8>) {
        if self.changes.is_empty() {
            return (self.mode, self.bytes.clone());
        }
        let mut bytes = self.bytes.clone();
        bytes.resize(self.extent() as usize, 0);
        let mut length = self.bytes.len() as u64;
        let mut mode = self.mode;
        for (index, change) in self.changes.iter().enumerate() {
            let survives = |count: usize| index < self.durable + count;
            change.write(&mut bytes, |sector| survives(survival.in_sector(sector)));
            if survives(survival.of_length()) {
                length = change.length_after(length);
                if let Change::Mode(changed) = change {
                    mode = *changed;
                }
            }
        }
        bytes.truncate(length as usize);
        (mode, bytes)
    }
}

impl Change {
    /// Applies the change in the sectors in which it survives.
    fn write(&self, bytes: &mut [u8], survives: impl Fn(usize) -> bool) {
        let (start, end, source) = match self {
            Self::Write { offset, bytes } => (*offset, offset + bytes.len() as u64, Some(bytes)),
            // Truncated bytes read as zeros if the file grows again.
            Self::Length(length) => (*length, bytes.len() as u64, None),
            Self::Mode(_) => return,
        };
        let mut at = start;
        while at < end {
            let next = ((at / SECTOR + 1) * SECTOR).min(end);
            if survives((at / SECTOR) as usize) {
                let target = &mut bytes[at as usize..next as usize];
                match source {
                    Some(source) => target.copy_from_slice(&source[(at - start) as usize..(next - start) as usize]),
                    None => target.fill(0),
                }
            }
            at = next;
        }
    }

    fn length_after(&self, before: u64) -> u64 {
        match self {
            Self::Write { offset, bytes } => before.max(offset + bytes.len() as u64),
            Self::Length(length) => *length,
            Self::Mode(_) => before,
        }
    }
}

#[cfg(test)]
mod tests;
