//! The shim against a program that changes files in every way.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use enlace_tests::power::{Chance, Disk, Entry, Image, Omit, Record, Shim, Tear, Trace};
use tempfile::TempDir;

struct Stage {
    home: TempDir,
    shim: Shim,
    probe: PathBuf,
}

impl Stage {
    fn or_skip() -> Option<Self> {
        let shim = Shim::or_skip()?;
        let home = tempfile::tempdir().unwrap();
        let probe = home.path().join("probe");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power_shim/probe.c");
        let compiled = Command::new("cc").args(["-O1", "-w", "-o"]).arg(&probe).arg(source).status().unwrap();
        assert!(compiled.success());
        Some(Self { home, shim, probe })
    }

    fn root(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap().join("root")
    }

    /// Runs the program on a directory with one old file, and returns the disk as it remembers it.
    fn run(&self, omit: Option<Omit>, refused: &str) -> (Disk, Output, Trace) {
        let (root, trace, boot_id) = (self.root(), self.home.path().join("trace"), self.home.path().join("boot-id"));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("old"), b"old").unwrap();
        std::fs::write(&trace, b"").unwrap();
        std::fs::write(&boot_id, b"another boot").unwrap();
        let mut disk = Disk::read(&root).unwrap();
        let mut command = Command::new(&self.probe);
        self.shim.preload(&mut command, &root, &trace, &boot_id, omit);
        let output = command.arg(&root).arg(refused).output().unwrap();
        let bytes = std::fs::read(&trace).unwrap();
        Trace::parse(&bytes).unwrap().0.into_iter().for_each(|record| disk.apply(record).unwrap());
        (disk, output, Trace::parse(&bytes).unwrap())
    }
}

fn strict(disk: &Disk) -> Image {
    disk.after_power_cut(Tear::Strict, &mut Chance::new(1))
}

fn file<'a>(image: &'a Image, path: &str) -> Option<(u32, &'a [u8])> {
    match image.0.get(Path::new(path))? {
        Entry::File(mode, bytes) => Some((*mode, bytes)),
        Entry::Directory(_) => None,
    }
}

#[test]
fn everything_that_a_program_changes_is_recorded() {
    let Some(stage) = Stage::or_skip() else { return };
    let (disk, output, _) = stage.run(None, "nothing");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"another boot");
    let (written, found) = (disk.written(), Image::read(&stage.root()).unwrap().0);
    assert_eq!(written.differences(&found), [""; 0]);
    assert_eq!(file(&written, "renamed"), Some((0o600, &[0; 77][..])));
    assert_eq!(file(&written, "direct").unwrap().1.len(), 601);
    let lost = strict(&disk);
    let names: Vec<_> = lost.0.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(names, ["", "a", "d", "d/b", "old"]);
    assert_eq!(file(&lost, "d/b"), Some((0o600, &b"bytes"[..])));
    let (_, a) = file(&lost, "a").unwrap();
    assert_eq!((a.len(), &a[..19]), (400, &b"Start,one,two,more,"[..]));
    assert_eq!((&a[100..108], &a[200..214]), (&b"one,two,"[..], &b"one,two,endend"[..]));
}

#[test]
fn left_out_synchronizations_are_not_recorded() {
    let Some(stage) = Stage::or_skip() else { return };
    for (omit, names, ends) in [
        (Omit::All, &["", "old"][..], 0),
        (Omit::Directories, &["", "old"], 2),
        (Omit::Files, &["", "a", "d", "d/b", "old"], 2),
    ] {
        let (disk, output, trace) = stage.run(Some(omit), "nothing");
        assert!(output.status.success());
        let lost = strict(&disk);
        assert_eq!(lost.0.keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), names, "{omit:?}");
        assert!(omit != Omit::Files || file(&lost, "a").unwrap().1.is_empty());
        let found = trace.0.iter().filter(|record| matches!(record, Record::SyncEnd { .. })).count();
        assert_eq!(found, ends, "{omit:?}");
    }
}

#[test]
fn what_cannot_be_recorded_ends_the_program() {
    let Some(stage) = Stage::or_skip() else { return };
    for refused in ["mapping", "symlink", "punch", "exchange"] {
        let (_, output, _) = stage.run(None, refused);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && talk.contains("power-cut shim: unsupported"), "{refused}: {talk}");
    }
}
