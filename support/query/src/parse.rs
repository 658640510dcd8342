//! From queries to what they ask for, by a schema.

use std::ops::Bound;

use regex::RegexBuilder;
use serde_json::Value as Json;

use crate::bounds::{MAX_CONDITIONS, MAX_ID_LENGTH, MAX_PATTERN_SIZE, MAX_PATTERNS};
use crate::error::{Error, JsonKind, Problem, quoted};
use crate::filter::{Condition, Filter, Pattern, Test};
use crate::list::{Cursor, List, Side};
use crate::method::Method;
use crate::order::{Direction, Order};
use crate::query::{Query, Values};
use crate::schema::{Attribute, Schema};
use crate::value::{Kind, Operand};
use crate::words::Words;

/// Reads one query after another.
pub(crate) struct Reader<'s, K> {
    schema: &'s Schema<K>,
    filters: Vec<Filter<K>>,
    orders: Vec<Order<K>>,
    limit: Option<u64>,
    offset: Option<u64>,
    cursor: Option<Cursor>,
    /// Of all `select` together.
    select: Option<Selected<K>>,
    conditions: usize,
    patterns: usize,
}

enum Selected<K> {
    All,
    Some(Vec<K>),
}

impl<'s, K: Copy + PartialEq> Reader<'s, K> {
    pub(crate) fn new(schema: &'s Schema<K>) -> Self {
        Self {
            schema,
            filters: Vec::new(),
            orders: Vec::new(),
            limit: None,
            offset: None,
            cursor: None,
            select: None,
            conditions: 0,
            patterns: 0,
        }
    }

    /// Of several limits, offsets or cursors the first one counts, but all of them are checked.
    pub(crate) fn add(&mut self, query: Query) -> Result<(), Problem> {
        match (query.method, query.values) {
            (Method::OrderAsc, _) => self.order(query.attribute.as_deref(), Direction::Ascending),
            (Method::OrderDesc, _) => self.order(query.attribute.as_deref(), Direction::Descending),
            (Method::OrderRandom, _) => {
                self.add_order(Order::Random);
                Ok(())
            }
            (Method::Limit, Values::Plain(values)) => {
                let max = self.schema.max_limit();
                let limit = number(&values).filter(|limit| (1..=max).contains(limit)).ok_or(Problem::Limit { max })?;
                self.limit.get_or_insert(limit);
                Ok(())
            }
            (Method::Offset, Values::Plain(values)) => {
                let offset = number(&values).ok_or(Problem::Offset)?;
                self.offset.get_or_insert(offset);
                Ok(())
            }
            (Method::CursorAfter, Values::Plain(values)) => self.cursor(&values, Side::After),
            (Method::CursorBefore, Values::Plain(values)) => self.cursor(&values, Side::Before),
            (Method::Select, Values::Plain(values)) => self.select(&values),
            (_, values) => {
                let filter = self.filter(Query { values, ..query })?;
                self.filters.push(filter);
                Ok(())
            }
        }
    }

    pub(crate) fn finish(self) -> Result<List<K>, Error> {
        if self.cursor.is_some() && self.orders.contains(&Order::Random) {
            return Err(Error::CursorInRandomOrder);
        }
        Ok(List {
            filter: Filter::All(self.filters),
            orders: self.orders,
            limit: self.limit.unwrap_or(self.schema.default_limit()),
            offset: self.offset.unwrap_or(0),
            cursor: self.cursor,
            select: match self.select {
                None | Some(Selected::All) => None,
                Some(Selected::Some(keys)) => Some(keys),
            },
        })
    }

    fn order(&mut self, name: Option<&str>, direction: Direction) -> Result<(), Problem> {
        // Without an attribute: the order of creation.
        let Some(name) = name else {
            self.add_order(Order::Creation(direction));
            return Ok(());
        };
        let attribute = self.attribute(name, Attribute::is_orderable)?;
        if !attribute.is_orderable() {
            return Err(Problem::NotOrderable { attribute: attribute.name() });
        }
        let (name, is_nullable) = (attribute.name(), attribute.is_nullable());
        self.add_order(Order::By { attribute: attribute.key(), name, is_nullable, direction });
        Ok(())
    }

    /// A second order by the same attribute decides nothing.
    fn add_order(&mut self, order: Order<K>) {
        let is_same = |other: &Order<K>| match (other, &order) {
            (Order::By { attribute: one, .. }, Order::By { attribute: other, .. }) => one == other,
            (Order::Creation(_), Order::Creation(_)) | (Order::Random, Order::Random) => true,
            _ => false,
        };
        if !self.orders.iter().any(is_same) {
            self.orders.push(order);
        }
    }

    fn cursor(&mut self, values: &[Json], side: Side) -> Result<(), Problem> {
        let id = values.first().and_then(Json::as_str).filter(|id| is_id(id)).ok_or(Problem::Cursor)?;
        self.cursor.get_or_insert_with(|| Cursor { id: id.to_owned(), side });
        Ok(())
    }

    fn select(&mut self, values: &[Json]) -> Result<(), Problem> {
        let method = Method::Select;
        if !self.schema.allows_select() {
            return Err(Problem::UnknownMethod { method: method.name().to_owned() });
        }
        for value in values {
            let name = value.as_str().ok_or(Problem::ValueNotAName { method, found: JsonKind::of(value) })?;
            let key = if name == "*" { None } else { Some(self.attribute(name, |_| true)?.key()) };
            match (self.select.get_or_insert(Selected::Some(Vec::new())), key) {
                (Selected::Some(keys), Some(key)) if !keys.contains(&key) => keys.push(key),
                (Selected::Some(_) | Selected::All, Some(_)) => {}
                (selected, None) => *selected = Selected::All,
            }
        }
        Ok(())
    }

    /// Nested as deeply as reading a [`Query`] allows.
    fn filter(&mut self, query: Query) -> Result<Filter<K>, Problem> {
        let Query { method, attribute, values } = query;
        if !method.is_filter() {
            return Err(Problem::NotAFilter { method });
        }
        match values {
            Values::Queries(queries) => {
                let filters = queries.into_iter().map(|query| self.filter(query));
                let filters = filters.collect::<Result<_, _>>()?;
                Ok(if method == Method::And { Filter::All(filters) } else { Filter::Any(filters) })
            }
            Values::Plain(values) if matches!(method, Method::Exists | Method::NotExists) => {
                self.presence(method, &values)
            }
            Values::Plain(values) => {
                let name = attribute.ok_or(Problem::NoAttribute { method })?;
                self.condition(method, &name, &values).map(Filter::Condition)
            }
        }
    }

    /// `exists` and `notExists`: all of the named attributes are set, or none is.
    fn presence(&mut self, method: Method, names: &[Json]) -> Result<Filter<K>, Problem> {
        self.count_conditions(names.len())?;
        let conditions = names.iter().map(|name| {
            let name = name.as_str().ok_or(Problem::ValueNotAName { method, found: JsonKind::of(name) })?;
            let attribute = self.filterable(name)?.key();
            Ok(Filter::Condition(Condition { attribute, is_negated: method == Method::Exists, test: Test::Null }))
        });
        Ok(Filter::All(conditions.collect::<Result<_, _>>()?))
    }

    fn condition(&mut self, method: Method, name: &str, values: &[Json]) -> Result<Condition<K>, Problem> {
        let attribute = self.filterable(name)?;
        if !applies(method, attribute.kind()) {
            let (attribute, kind) = (attribute.name(), attribute.kind());
            return Err(Problem::MethodNotForType { method, attribute, kind });
        }
        self.count_conditions(cost(method, values))?;
        let operands = values.iter().map(|value| self.operand(method, attribute, value));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let (is_negated, test) = self.test(method, operands)?;
        Ok(Condition { attribute: attribute.key(), is_negated, test })
    }

    /// The test of a method, and whether it is negated. There are as many operands as it takes.
    fn test(&mut self, method: Method, operands: Vec<Operand>) -> Result<(bool, Test), Problem> {
        use Bound::{Excluded, Included, Unbounded};
        let given = operands.len();
        let mut each = operands.iter().cloned();
        let mut next = || each.next().ok_or(Problem::ValueCount { method, given });
        Ok(match method {
            Method::IsNull => (false, Test::Null),
            Method::IsNotNull => (true, Test::Null),
            Method::Equal => (false, one_of(operands)),
            Method::NotEqual => (true, one_of(operands)),
            Method::LessThan => (false, Test::Within(Unbounded, Excluded(next()?))),
            Method::LessThanEqual => (false, Test::Within(Unbounded, Included(next()?))),
            Method::GreaterThan => (false, Test::Within(Excluded(next()?), Unbounded)),
            Method::GreaterThanEqual => (false, Test::Within(Included(next()?), Unbounded)),
            Method::Between => (false, Test::Within(Included(next()?), Included(next()?))),
            Method::NotBetween => (true, Test::Within(Included(next()?), Included(next()?))),
            Method::Contains | Method::ContainsAny => (false, Test::ContainsAny(texts(operands))),
            Method::NotContains => (true, Test::ContainsAny(texts(operands))),
            Method::ContainsAll => (false, Test::ContainsAll(texts(operands))),
            Method::StartsWith => (false, Test::StartsWith(text(next()?))),
            Method::NotStartsWith => (true, Test::StartsWith(text(next()?))),
            Method::EndsWith => (false, Test::EndsWith(text(next()?))),
            Method::NotEndsWith => (true, Test::EndsWith(text(next()?))),
            Method::Search => (false, Test::Words(Words::new(&text(next()?)))),
            Method::NotSearch => (true, Test::Words(Words::new(&text(next()?)))),
            Method::Regex => (false, self.pattern(&text(next()?))?),
            // Those have no operands and were handled before.
            _ => return Err(Problem::NotAFilter { method }),
        })
    }

    fn pattern(&mut self, text: &str) -> Result<Test, Problem> {
        if self.patterns == MAX_PATTERNS {
            return Err(Problem::TooManyPatterns);
        }
        self.patterns += 1;
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(MAX_PATTERN_SIZE).dfa_size_limit(MAX_PATTERN_SIZE);
        Ok(Test::Pattern(Pattern(builder.build().map_err(|_| Problem::Pattern)?)))
    }

    fn count_conditions(&mut self, count: usize) -> Result<(), Problem> {
        self.conditions += count;
        if self.conditions > MAX_CONDITIONS { Err(Problem::TooManyConditions) } else { Ok(()) }
    }

    fn operand(&self, method: Method, attribute: &Attribute<K>, value: &Json) -> Result<Operand, Problem> {
        let operand = match (attribute.kind(), value) {
            (Kind::Text | Kind::Texts, Json::String(text)) => {
                check_choice(method, attribute, text)?;
                Some(Operand::Text(text.clone()))
            }
            (Kind::Integer, Json::Number(number)) => integer(number).map(Operand::Integer),
            (Kind::Time, Json::String(text)) => self.schema.read_time(text).map(Operand::Time),
            (Kind::Boolean, Json::Bool(boolean)) => Some(Operand::Boolean(*boolean)),
            _ => None,
        };
        let (attribute, kind) = (attribute.name(), attribute.kind());
        operand.ok_or_else(|| Problem::ValueType { method, attribute, kind, found: JsonKind::of(value) })
    }

    /// The attribute with this name; if there is none, those that can be used are named.
    fn attribute(&self, name: &str, is_usable: fn(&Attribute<K>) -> bool) -> Result<&'s Attribute<K>, Problem> {
        self.schema.attribute(name).ok_or_else(|| {
            let usable = self.schema.attributes().iter().filter(|attribute| is_usable(attribute));
            Problem::UnknownAttribute { attribute: quoted(name), known: usable.map(Attribute::name).collect() }
        })
    }

    fn filterable(&self, name: &str) -> Result<&'s Attribute<K>, Problem> {
        let attribute = self.attribute(name, Attribute::is_filterable)?;
        if attribute.is_filterable() {
            Ok(attribute)
        } else {
            Err(Problem::NotFilterable { attribute: attribute.name() })
        }
    }
}

/// Refuses a text that no record has, where a whole text is compared. Its parts can be anything.
fn check_choice<K>(method: Method, attribute: &Attribute<K>, text: &str) -> Result<(), Problem> {
    let (known, is_whole) = (attribute.choices(), matches!(method, Method::Equal | Method::NotEqual));
    if known.is_empty() || !is_whole || known.contains(&text) {
        return Ok(());
    }
    Err(Problem::UnknownValue { attribute: attribute.name(), value: quoted(text), known })
}

/// Whether a filter can be used on attributes of a type.
fn applies(method: Method, kind: Kind) -> bool {
    match method {
        Method::IsNull | Method::IsNotNull => true,
        Method::Contains | Method::NotContains | Method::ContainsAny | Method::ContainsAll => {
            matches!(kind, Kind::Text | Kind::Texts)
        }
        Method::StartsWith
        | Method::NotStartsWith
        | Method::EndsWith
        | Method::NotEndsWith
        | Method::Search
        | Method::NotSearch
        | Method::Regex => kind == Kind::Text,
        _ => kind != Kind::Texts,
    }
}

/// As how many conditions a comparison counts: how often it looks for something in a record.
fn cost(method: Method, values: &[Json]) -> usize {
    match method {
        Method::Contains | Method::NotContains | Method::ContainsAny | Method::ContainsAll => values.len(),
        Method::Search | Method::NotSearch => {
            let words = values.iter().filter_map(Json::as_str).map(|text| Words::new(text).count());
            words.sum::<usize>().max(1)
        }
        _ => 1,
    }
}

fn one_of(mut operands: Vec<Operand>) -> Test {
    operands.sort_unstable();
    operands.dedup();
    Test::OneOf(operands)
}

fn texts(operands: Vec<Operand>) -> Vec<String> {
    operands.into_iter().map(text).collect()
}

/// The text of an operand. The methods that ask for it apply to texts only.
fn text(operand: Operand) -> String {
    match operand {
        Operand::Text(text) => text,
        Operand::Integer(_) | Operand::Time(_) | Operand::Boolean(_) => String::new(),
    }
}

/// A whole number, also if it is written as `10.0`, as some clients do.
fn integer(number: &serde_json::Number) -> Option<i64> {
    /// Up to here, a floating-point number is the whole number that was written.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: f64| number.fract() == 0.0 && number.abs() <= EXACT;
    // The cast is exact in this range.
    number.as_i64().or_else(|| number.as_f64().filter(|&number| whole(number)).map(|number| number as i64))
}

/// The one value as a whole number from 0 on.
fn number(values: &[Json]) -> Option<u64> {
    let Some(Json::Number(number)) = values.first() else { return None };
    u64::try_from(integer(number)?).ok()
}

fn is_id(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= MAX_ID_LENGTH
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(is_inner)
}
