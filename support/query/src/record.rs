//! What a list is made of.

use crate::value::Value;

/// A record of a list.
///
/// The values of one record stay the same while a list is made.
pub trait Record {
    /// What it knows attributes by: the `K` of its [`crate::Schema`].
    type Key: Copy;

    /// Its id, which cursors name.
    fn id(&self) -> &str;

    /// Its place in the order of creation, which no other record of the list has.
    fn sequence(&self) -> u64;

    /// Its value for an attribute; none if that is null. A value of another type than the attribute's counts as null.
    fn value(&self, attribute: Self::Key) -> Option<Value<'_>>;
}

impl<R: Record + ?Sized> Record for &R {
    type Key = R::Key;

    fn id(&self) -> &str {
        (**self).id()
    }

    fn sequence(&self) -> u64 {
        (**self).sequence()
    }

    fn value(&self, attribute: R::Key) -> Option<Value<'_>> {
        (**self).value(attribute)
    }
}
