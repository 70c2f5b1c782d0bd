//! Fields of a JSON object, put together from a few kinds: most are words or numbers.

use mote_core::wire::pieces::Json;

use super::health::some;

/// The longest object that is made so.
const MOST: usize = 24;

/// Fields, in their order.
pub(super) type Fields<'a> = heapless::Vec<(&'a str, Json<'a>), MOST>;

/// Words first, then numbers. Empty words and numbers that are not known are null.
pub(super) fn fields<'a>(
    words: &[(&'a str, &'a str)],
    numbers: &[(&'a str, Option<u64>)],
) -> Fields<'a> {
    let words = words.iter().map(|(name, words)| (*name, some(words)));
    let numbers = numbers
        .iter()
        .map(|(name, number)| (*name, Json::uint(*number)));
    words.chain(numbers).take(MOST).collect()
}
