//! In which format a file is sent.

use clap::{Args, ValueEnum};
use runtime::facade::ContentFormat;

use crate::failure::{Failure, SHARE_ARCHIVE};

/// Options for the format of a file.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormatOptions {
    /// Format of the encrypted file: v1, which every enmeshed client reads, v2 for files of any size, which only enlace
    /// reads, or auto for v1 up to its limit and v2 above
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Choice::Auto)]
    format: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    V1,
    V2,
    Auto,
}

/// The chosen format, with the limit of format v1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    choice: Choice,
    /// Bytes of the largest file in format v1.
    limit: u64,
}

impl FormatOptions {
    /// The format for a node with this limit for files in format v1.
    pub(crate) fn with_limit(self, limit: u64) -> Format {
        Format { choice: self.format, limit }
    }
}

impl Format {
    /// Bytes that a source may have.
    pub(crate) fn limit(self) -> u64 {
        if self.choice == Choice::V1 { self.limit } else { u64::MAX }
    }

    /// Whether a file that was uploaded before in format v1 will do.
    pub(crate) fn accepts_v1(self) -> bool {
        self.choice != Choice::V2
    }

    /// Checks that several files can have this format.
    ///
    /// # Errors
    /// A failure if format v1 was asked for.
    pub(crate) fn check_several(self) -> Result<(), Failure> {
        match self.choice {
            Choice::V1 => Err(Failure::usage("format v1 is for one file, not for folders or several files")
                .hint(format!("omit --format v1, or {SHARE_ARCHIVE}"))),
            Choice::V2 | Choice::Auto => Ok(()),
        }
    }

    /// Whether a file with so many bytes is sent in chunks.
    pub(crate) fn is_in_chunks(self, length: u64) -> bool {
        match self.choice {
            Choice::V1 => false,
            Choice::V2 => true,
            Choice::Auto => length > self.limit,
        }
    }

    /// The same for a file that has to be in chunks.
    ///
    /// # Errors
    /// A failure if format v1 was asked for.
    pub(crate) fn in_chunks(self) -> Result<Self, Failure> {
        match self.choice {
            Choice::V1 => Err(Failure::usage("a file in format v1 cannot be shared before it is uploaded")
                .hint("omit --format v1 or --early")),
            Choice::V2 | Choice::Auto => Ok(Self { choice: Choice::V2, ..self }),
        }
    }

    /// Checks that a file can be shared without a backbone in this format.
    ///
    /// # Errors
    /// A failure if format v1 was asked for.
    pub(crate) fn check_direct(self) -> Result<(), Failure> {
        match self.choice {
            Choice::V1 => Err(Failure::usage("a file in format v1 cannot be shared without a backbone")
                .hint("omit --format v1 or --direct-only")),
            Choice::V2 | Choice::Auto => Ok(()),
        }
    }

    /// For the facade.
    pub(crate) fn content(self) -> ContentFormat {
        match self.choice {
            Choice::V1 => ContentFormat::V1,
            Choice::V2 => ContentFormat::V2,
            Choice::Auto => ContentFormat::Auto,
        }
    }
}
