//! What a person should look at although everything goes on: what ends soon, and actions that
//! cannot run. The log and the heartbeat say the same.

use mote_core::Full;
use mote_core::wire::pieces::{Json, Pieces};

use super::fields::fields;
use super::routes::Desk;
use crate::board::Board;
use crate::clock;
use crate::expiry::Expiry;
use crate::service::orchestrator::UNWRITABLE;

/// Three credentials, and the ledger.
const MOST: usize = 4;

type Warnings = heapless::Vec<(String, Option<Expiry>), MOST>;

/// Writes all of them, as `warnings`.
pub fn write(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let wall_ms = clock::trusted_ms();
    let warnings = warnings(desk.board, wall_ms);
    out.array("warnings")?;
    for place in 0..MOST {
        let fields = warnings.get(place).map(|(words, end)| {
            let days_left = end.and_then(|end| end.days_left(wall_ms));
            let ends_ms = end.map(|end| end.ends_ms);
            let numbers = [("days_left", days_left), ("ends_ms", ends_ms)];
            fields(&[("text", words)], &numbers)
        });
        let item = fields.as_ref().map(|fields| Json::Object(fields));
        out.place(item.as_ref())?;
    }
    out.end_array()
}

fn warnings(board: &Board, wall_ms: u64) -> Warnings {
    let mut warnings = Warnings::new();
    // There is a place for each.
    let mut add = |words, end| drop(warnings.push((words, end)));
    for expiry in board.expiries().into_iter().flatten() {
        if let Some(words) = expiry.words(wall_ms) {
            add(words, Some(expiry));
        }
    }
    if let Some(other) = &board.orchestrator
        && other.is_unwritable
    {
        add(UNWRITABLE.to_owned(), None);
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Orchestrator;
    use crate::expiry::WARN_MS;

    #[test]
    fn all_that_can_be_warned_of_at_once_has_its_place() {
        let ends = |what| {
            Some(Expiry {
                what,
                ends_ms: WARN_MS,
                before_ms: WARN_MS,
            })
        };
        let mut board = Board {
            certificate: ends("a"),
            orchestrator: Some(Orchestrator {
                token: ends("b"),
                certificate: ends("c"),
                is_unwritable: true,
                ..Orchestrator::default()
            }),
            ..Board::default()
        };
        let words = |board: &Board| -> Vec<String> {
            let found = warnings(board, WARN_MS / 10 * 9);
            found.into_iter().map(|(words, _)| words).collect()
        };
        assert_eq!(
            words(&board),
            [
                "a ends in 3 days: renew it",
                "b ends in 3 days: renew it",
                "c ends in 3 days: renew it",
                UNWRITABLE,
            ]
        );
        board.certificate = None;
        board.orchestrator = None;
        assert!(words(&board).is_empty());
    }
}
