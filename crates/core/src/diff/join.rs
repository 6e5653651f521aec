//! What two ordered lists have for each key.

use std::iter::Peekable;

/// Every key of either list, in order, with what the lists have for it. Both must be in order of their keys, each key
/// once.
pub(crate) fn joined<K: Ord + Copy, V>(
    lists: [impl Iterator<Item = (K, V)>; 2],
) -> impl Iterator<Item = (K, [Option<V>; 2])> {
    let mut lists = lists.map(Iterator::peekable);
    std::iter::from_fn(move || {
        let first = lists.iter_mut().filter_map(|list| Some(list.peek()?.0));
        let first = first.min()?;
        let value = |list: &mut Peekable<_>| {
            let next: Option<(K, V)> = list.next_if(|(key, _): &(K, V)| *key == first);
            next.map(|(_, value)| value)
        };
        Some((first, lists.each_mut().map(value)))
    })
}
