//! What a list asks for: of tokens of both kinds, or of those on files in buckets in the words of `/v1`.

use query::{Direction, Filter, List, NullBesideCursor, Order, Paging};
use transport::wire::Timestamp;

use super::Scope;
use super::labels::Labelled;
use super::row::{Attribute, Row, RowId, file_token_schema, schema};
use crate::storage;
use crate::store::MAX_NAMES;

/// Most file tokens that are deleted before the rest is listed again. Each changes up to four values that rows are made of; as many names
/// are left to what others change meanwhile, so that not all tokens are read for each list.
pub(crate) const MAX_DELETED: u64 = (MAX_NAMES / 8) as u64;

/// What a list asks for.
#[derive(Debug)]
pub(crate) struct Search {
    pub(super) list: List<Attribute>,
    pub(super) paging: Paging,
    /// The time at which rows are seen.
    pub(super) now: Timestamp,
    of: Of,
}

/// Which tokens are on a list.
#[derive(Debug)]
enum Of {
    /// Both kinds.
    All,
    /// Those on files in buckets.
    BucketFiles {
        /// The numbers of a bucket and of a file in it, unless they are those of all files.
        file: Option<(u64, u64)>,
        /// Words of their ids and labels.
        words: storage::Search,
    },
}

/// Queries of a list of file tokens, in the language of `support/query`. Attributes have the names that `/v1` has for them.
#[derive(Debug, Clone)]
pub struct FileTokenQueries(List<Attribute>);

impl FileTokenQueries {
    /// Names of the attributes that file tokens can be filtered and ordered by.
    #[must_use]
    pub fn attributes() -> Vec<&'static str> {
        file_token_schema().attributes().iter().map(query::Attribute::name).collect()
    }

    /// Reads the texts of queries: each is the JSON of one.
    ///
    /// # Errors
    /// If there are too many, or one of them is not a query of this list.
    pub fn parse<T: AsRef<str>>(queries: &[T]) -> Result<Self, query::Error> {
        List::parse(queries, file_token_schema()).map(Self)
    }

    /// The same for as many tokens as are deleted before the rest is listed again: so few that lists stay in memory.
    #[must_use]
    pub fn for_deletion(mut self) -> Self {
        self.0.limit = MAX_DELETED;
        self
    }
}

impl Search {
    /// Reads the texts of queries over both kinds of tokens. `seed` decides what a random order looks like.
    ///
    /// # Errors
    /// If they are not queries of this list.
    pub(crate) fn parse<T: AsRef<str>>(
        queries: &[T],
        is_counted: bool,
        now: Timestamp,
        seed: u64,
    ) -> Result<Self, query::Error> {
        let list = List::parse(queries, schema())?;
        let list = List { orders: complete(list.orders), ..list };
        let default = Paging::default();
        let paging = Paging { ceiling: default.ceiling.filter(|_| is_counted), seed, ..default };
        Ok(Self { list, paging, now, of: Of::All })
    }

    /// A search for tokens on files in buckets, or on one of them with the numbers of its bucket and of itself. Up to `ceiling` matches
    /// are counted.
    pub(crate) fn of_bucket_files(
        queries: FileTokenQueries,
        file: Option<(u64, u64)>,
        words: storage::Search,
        ceiling: Option<u64>,
        now: Timestamp,
        seed: u64,
    ) -> Self {
        let paging = Paging { ceiling, null_beside_cursor: NullBesideCursor::Refuse, seed };
        Self { list: queries.0, paging, now, of: Of::BucketFiles { file, words } }
    }

    /// The rows that the cursor may name.
    pub(super) fn cursors(&self) -> Vec<RowId> {
        let Some(cursor) = &self.list.cursor else { return Vec::new() };
        match self.of {
            Of::All => RowId::either(&cursor.id).into(),
            Of::BucketFiles { .. } => vec![RowId::Node(cursor.id.as_str().into())],
        }
    }

    /// The numbers of the bucket and of the file in it that all rows are for.
    pub(super) fn bucket_file(&self) -> Option<(u64, u64)> {
        match &self.of {
            Of::All => None,
            Of::BucketFiles { file, .. } => *file,
        }
    }

    /// The rows that may be on the list.
    pub(super) fn scope(&self) -> Scope {
        match self.of {
            Of::All => Scope::All,
            Of::BucketFiles { file: None, .. } => Scope::BucketFiles,
            Of::BucketFiles { file: Some((bucket, file)), .. } => Scope::BucketFile(bucket, file),
        }
    }

    /// Whether an attribute alone decides which rows are on the list, among those of its kind.
    pub(super) fn is_decided_by(&self, attribute: Attribute) -> bool {
        let has_words = match &self.of {
            Of::All => false,
            Of::BucketFiles { words, .. } => !words.is_empty(),
        };
        !has_words && self.list.filter.is_about(attribute)
    }

    /// Whether rows have to be looked at to know which are on the list.
    pub(super) fn has_filter(&self) -> bool {
        !matches!(&self.list.filter, Filter::All(filters) if filters.is_empty())
    }

    /// Whether the list has only tokens on files in buckets, in the order of their numbers.
    pub(super) fn is_in_order_of_numbers(&self) -> bool {
        let is_first = matches!(self.list.orders.first(), None | Some(Order::Creation(Direction::Ascending)));
        is_first && self.scope() != Scope::All
    }

    /// The same of a row that is found by its label, for a list that is not one of a single file.
    pub(super) fn has(&self, labelled: &Labelled) -> bool {
        matches!(self.of, Of::All) || labelled.is_in_bucket()
    }

    /// Whether a row is on the list if its filter matches and its words are found.
    pub(super) fn is_of_list(&self, row: &Row) -> bool {
        match (&self.of, row.bucket_file) {
            (Of::All, _) => true,
            (Of::BucketFiles { .. }, None) => false,
            (Of::BucketFiles { file, .. }, Some(of)) => file.is_none_or(|file| file == (of.bucket, of.file)),
        }
    }

    /// Whether a row is on the list if its filter matches.
    pub(super) fn admits(&self, row: &Row) -> bool {
        let are_found = match &self.of {
            Of::All => true,
            Of::BucketFiles { words, .. } => words.finds([row.id.as_str(), row.label.as_deref().unwrap_or_default()]),
        };
        are_found && self.is_of_list(row)
    }
}

/// The order of creation is that of a time and an id, and it comes last.
fn complete(orders: Vec<Order<Attribute>>) -> Vec<Order<Attribute>> {
    let by = |attribute, name, direction| Order::By { attribute, name, is_nullable: false, direction };
    let creation =
        |direction| [by(Attribute::CreatedAt, "createdAt", direction), by(Attribute::Id, "id", direction)].map(Some);
    let given = orders.into_iter().flat_map(|order| match order {
        Order::Creation(direction) => creation(direction),
        other => [Some(other), None],
    });
    let mut complete: Vec<Order<Attribute>> = Vec::new();
    for order in given.chain(creation(Direction::Ascending)).flatten() {
        let is_same = |other: &Order<Attribute>| attribute_of(*other) == attribute_of(order);
        if !complete.iter().any(is_same) {
            complete.push(order);
        }
    }
    complete
}

fn attribute_of(order: Order<Attribute>) -> Option<Attribute> {
    match order {
        Order::By { attribute, .. } => Some(attribute),
        Order::Creation(_) | Order::Random => None,
    }
}
