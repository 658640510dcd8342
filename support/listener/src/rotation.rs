//! Queues in turns: one per key, and each key is served once before any is served twice.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Waiting entries by key. The keys with entries stand in the order in which they are served next.
#[derive(Debug)]
pub(crate) struct Rotation<K, T> {
    order: VecDeque<K>,
    queues: HashMap<K, VecDeque<T>>,
    length: usize,
}

impl<K, T> Default for Rotation<K, T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), queues: HashMap::new(), length: 0 }
    }
}

impl<K: Copy + Eq + Hash, T> Rotation<K, T> {
    /// How many entries wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// How many entries of a key wait.
    pub(crate) fn len_of(&self, key: K) -> usize {
        self.queues.get(&key).map_or(0, VecDeque::len)
    }

    /// Adds an entry behind those of its key.
    pub(crate) fn push(&mut self, key: K, entry: T) {
        let queue = self.queues.entry(key).or_default();
        if queue.is_empty() {
            self.order.push_back(key);
        }
        queue.push_back(entry);
        self.length += 1;
    }

    /// Takes the first entry of the first key for which `may` says yes. Of each key only the first entry is asked about.
    pub(crate) fn pop_if(&mut self, mut may: impl FnMut(K, &T) -> bool) -> Option<(K, T)> {
        let queues = &self.queues;
        let admissible = |key: &K| queues.get(key).and_then(VecDeque::front).is_some_and(|entry| may(*key, entry));
        let place = self.order.iter().position(admissible)?;
        let key = self.order.remove(place)?;
        let queue = self.queues.get_mut(&key)?;
        let entry = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.order.push_back(key);
        }
        self.length -= 1;
        Some((key, entry))
    }

    /// Drops entries for which `keep` says no.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.queues.values_mut().for_each(|queue| queue.retain(&keep));
        self.queues.retain(|_, queue| !queue.is_empty());
        let queues = &self.queues;
        self.order.retain(|key| queues.contains_key(key));
        self.length = self.queues.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(rotation: &mut Rotation<char, u32>) -> Vec<(char, u32)> {
        std::iter::from_fn(|| rotation.pop_if(|_, _| true)).collect()
    }

    #[test]
    fn each_key_is_served_once_before_any_is_served_twice() {
        let mut rotation = Rotation::default();
        for (key, entry) in [('a', 1), ('a', 2), ('a', 3), ('b', 1), ('c', 1), ('b', 2)] {
            rotation.push(key, entry);
        }
        assert_eq!((rotation.len(), rotation.len_of('a')), (6, 3));
        assert_eq!(drain(&mut rotation), [('a', 1), ('b', 1), ('c', 1), ('a', 2), ('b', 2), ('a', 3)]);
        assert_eq!((rotation.len(), rotation.len_of('a')), (0, 0));
    }

    #[test]
    fn a_key_whose_first_entry_may_not_go_is_passed_over() {
        let mut rotation = Rotation::default();
        for (key, entry) in [('a', 9), ('a', 1), ('b', 1)] {
            rotation.push(key, entry);
        }
        assert_eq!(rotation.pop_if(|_, entry| *entry < 5), Some(('b', 1)));
        assert_eq!(rotation.pop_if(|_, entry| *entry < 5), None);
        rotation.retain(|entry| *entry < 5);
        assert_eq!(drain(&mut rotation), [('a', 1)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_order_within_a_key_is_kept(keys in prop::collection::vec(0_u8..5, 0..60)) {
            let mut rotation = Rotation::default();
            for (number, key) in keys.iter().enumerate() {
                rotation.push(*key, number);
            }
            let served: Vec<(u8, usize)> = std::iter::from_fn(|| rotation.pop_if(|_, _| true)).collect();
            prop_assert_eq!(served.len(), keys.len());
            for key in 0..5 {
                let of_key: Vec<usize> = served.iter().filter(|(other, _)| *other == key).map(|(_, n)| *n).collect();
                prop_assert!(of_key.is_sorted());
            }
        }
    }
}
