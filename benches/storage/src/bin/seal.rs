//! Seals a file into a blob of format v2, or opens one, on all processors and without a network: what the format takes, to be
//! compared with other programs for encrypting files.
//!
//! ```text
//! seal seal plain.bin sealed.bin           # prints the root
//! seal open sealed.bin plain.bin ROOT
//! ```
//!
//! The key is the same each time: nothing that is sealed by this program is secret.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use enlace_benches::Result;
use transport::content::{
    CHUNK_LENGTH, ContentKey, HEADER_LENGTH, Layout, Opener, Root, TreeBuilder, Verifier, chunk_buffer,
};
use transport::crypto::SecretKey;

/// Seals a file into a blob of format v2, or opens one. For measurements only: the key is known.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Seal a file, and print the root of its blob.
    Seal {
        /// File to read.
        plain: PathBuf,
        /// Blob to write.
        sealed: PathBuf,
    },
    /// Open a blob.
    Open {
        /// Blob to read.
        sealed: PathBuf,
        /// File to write.
        plain: PathBuf,
        /// The root that was printed.
        root: Root,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Seal { plain, sealed } => seal(&File::open(plain)?, &create(&sealed)?),
        What::Open { sealed, plain, root } => open(&File::open(sealed)?, &create(&plain)?, &root),
    }
}

fn create(path: &Path) -> Result<File> {
    Ok(File::create(path)?)
}

fn key() -> SecretKey {
    SecretKey::from_bytes([7; 32])
}

fn seal(plain: &File, sealed: &File) -> Result<()> {
    let (key, layout) = (ContentKey::new(&key()), Layout::of(plain.metadata()?.len())?);
    let hashes = for_each_chunk(&layout, |index, buffer| {
        let content = layout.content_of(index);
        buffer.resize((content.end - content.start) as usize, 0);
        plain.read_exact_at(buffer, content.start)?;
        let hash = key.seal_chunk(layout.place(index)?, buffer)?;
        sealed.write_all_at(buffer, layout.sealed_chunk(index)?.start)?;
        Ok(hash)
    })?;
    let mut builder = TreeBuilder::new();
    hashes.iter().for_each(|hash| builder.push(hash));
    let tree = builder.finish(key.header(), &layout)?;
    sealed.write_all_at(key.header().as_bytes(), 0)?;
    sealed.write_all_at(tree.as_bytes(), layout.tree().start)?;
    println!("{}", tree.root());
    Ok(())
}

fn open(sealed: &File, plain: &File, root: &Root) -> Result<()> {
    let layout = Layout::of_blob(sealed.metadata()?.len())?;
    let part = |range: Range<u64>| -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        sealed.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    };
    let verifier = Verifier::new(root, layout, &part(0..HEADER_LENGTH as u64)?, &part(layout.top())?)?;
    let mut opener = Opener::new(&key(), verifier)?;
    for missing in opener.verifier().missing(&(0..layout.chunk_count()))? {
        opener.verifier_mut().add(&missing, &part(missing.blob.clone())?)?;
    }
    for_each_chunk(&layout, |index, buffer| {
        let range = layout.sealed_chunk(index)?;
        buffer.resize((range.end - range.start) as usize, 0);
        sealed.read_exact_at(buffer, range.start)?;
        opener.open_chunk(index, buffer)?;
        plain.write_all_at(buffer, index * CHUNK_LENGTH)?;
        Ok(())
    })?;
    Ok(())
}

/// Calls `work` with the number of each chunk and a buffer, on all processors, and returns what it returned in the chunks' order.
fn for_each_chunk<T: Send>(layout: &Layout, work: impl Fn(u64, &mut Vec<u8>) -> Result<T> + Sync) -> Result<Vec<T>> {
    let (threads, count) = (std::thread::available_parallelism()?.get(), layout.chunk_count());
    let mine = |first: usize| -> Result<Vec<(u64, T)>> {
        let mut buffer = chunk_buffer();
        (first as u64..count).step_by(threads).map(|index| Ok((index, work(index, &mut buffer)?))).collect()
    };
    let mut all = std::thread::scope(|scope| -> Result<Vec<(u64, T)>> {
        let mine = &mine;
        let started: Vec<_> = (0..threads).map(|first| scope.spawn(move || mine(first))).collect();
        let mut all = Vec::new();
        for thread in started {
            all.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(all)
    })?;
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for length in [0, 1, 1 << 20, (3 << 20) + 5] {
            let content: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            std::fs::write(at("plain"), &content).unwrap();
            seal(&File::open(at("plain")).unwrap(), &create(&at("sealed")).unwrap()).unwrap();
            let sealed = std::fs::read(at("sealed")).unwrap();
            let (mut expected, key) = (Vec::new(), key());
            let mut sealer = transport::content::Sealer::new(&key, &mut expected);
            sealer.push(&content, &mut expected).unwrap();
            let root = *sealer.finish(&mut expected).unwrap().root();
            assert!(sealed == expected, "{length}");
            open(&File::open(at("sealed")).unwrap(), &create(&at("opened")).unwrap(), &root).unwrap();
            assert!(std::fs::read(at("opened")).unwrap() == content, "{length}");
        }
    }
}
