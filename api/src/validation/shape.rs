//! What a body may look like.

/// The pattern of addresses, as it is printed in errors.
pub(crate) const ADDRESS_PATTERN: &str =
    r"did:e:((([A-Za-z0-9]+(-[A-Za-z0-9]+)*)\.)+[a-z]{2,}|localhost):dids:[0-9a-f]{22}";

/// The pattern of ids with this prefix, as it is printed in errors.
pub(crate) fn id_pattern(prefix: &str) -> String {
    format!("{prefix}[A-Za-z0-9]{{17}}")
}

/// An object: its properties in the order in which they are checked.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) properties: Vec<Property>,
    pub(crate) ignores_unknown: bool,
    /// Said instead of any violation.
    pub(crate) replacement: Option<&'static str>,
}

/// One property of an object.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) rule: ValueRule,
    pub(crate) description: &'static str,
}

/// What a value must be.
#[derive(Debug, Clone)]
pub(crate) enum ValueRule {
    /// Any JSON.
    Any,
    /// A JSON object. The code that works with it checks that it is one, so that the failure is the one of its content.
    AnyObject,
    /// A text with at least so many characters.
    Text(usize),
    /// A text; what it may be beyond this pattern, its type says.
    Pattern(&'static str),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A boolean.
    Flag,
    /// A boolean; null counts as absent.
    NullableFlag,
    /// `true` and nothing else.
    OnlyTrue,
    /// An ISO 8601 date or date-time.
    DateTime,
    /// An address of an identity.
    Address,
    /// An id with this prefix.
    Id(&'static str),
    /// A whole number that is not negative.
    Number,
    /// A list of texts.
    Texts,
    /// A list of texts, each of them once.
    Tags,
    /// A reference, truncated or as a URL, to one of the kinds with these prefixes.
    Reference(&'static [&'static str]),
    /// What this rule says, or null, which means that there is to be none.
    Nullable(&'static Self),
    /// An object of its own.
    Object(Object),
}

impl Object {
    /// An object without properties.
    pub(crate) fn new() -> Self {
        Self { properties: Vec::new(), ignores_unknown: false, replacement: None }
    }

    /// One more property that must be there.
    pub(crate) fn required(self, name: &'static str, rule: ValueRule, description: &'static str) -> Self {
        self.with(Property { name, required: true, rule, description })
    }

    /// One more property that may be there.
    pub(crate) fn optional(self, name: &'static str, rule: ValueRule, description: &'static str) -> Self {
        self.with(Property { name, required: false, rule, description })
    }

    /// Unknown properties are no violation.
    pub(crate) fn ignoring_unknown(mut self) -> Self {
        self.ignores_unknown = true;
        self
    }

    /// Says this instead of naming the violation.
    pub(crate) fn saying(mut self, text: &'static str) -> Self {
        self.replacement = Some(text);
        self
    }

    fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }
}
