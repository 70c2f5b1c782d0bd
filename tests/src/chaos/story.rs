//! What happens to an agent and when: told beforehand, from a seed.
//!
//! A story is a row of rounds. Each is a good time and then an outage, and in some of them the
//! agent is killed or asked to stop, and started again, in the good time or in the outage. Times
//! are wall time.

use std::time::Duration;

use mote_core::rng::Rng;

use crate::hub::Misbehaviour;

/// How much is to happen.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Samples, about: while the agent is not running it takes none.
    pub samples: u64,
    pub interval: Duration,
    pub outages: u64,
    pub kills: u64,
    /// Stops as by a service manager, each followed by a start.
    pub restarts: u64,
    pub seed: u64,
}

/// An end of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
}

/// A good time and an outage.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) good: Duration,
    pub(super) outage: Duration,
    pub(super) misbehaviour: Misbehaviour,
    /// The agent ends at the end of the good time, and starts again.
    pub(super) end_in_good: Option<End>,
    /// The same at the end of the outage.
    pub(super) end_in_outage: Option<End>,
}

/// The ways in which the server is away. None of them says that a sample is bad: that would drop
/// it rightly.
fn misbehaviours() -> [Misbehaviour; 6] {
    [
        Misbehaviour::RefuseConnections,
        Misbehaviour::Silent,
        Misbehaviour::ResetMidBody,
        Misbehaviour::CutBody,
        Misbehaviour::status(500),
        Misbehaviour::status(503),
    ]
}

/// The rounds. Equal measures give equal stories.
pub(super) fn tell(measure: &Measure) -> Vec<Round> {
    let mut rng = Rng::new(measure.seed);
    let total = measure.interval * u32::try_from(measure.samples).unwrap_or(u32::MAX);
    let mean = total / u32::try_from(measure.outages.max(1)).unwrap_or(u32::MAX);
    let mut rounds: Vec<Round> = (0..measure.outages)
        .map(|_| {
            // From a tenth to nine tenths of a round; two rounds in three are mostly good.
            let away_percent = 10 + (rng.below(81) * rng.below(101) / 100);
            let length = mean * (50 + rng.below(101) as u32) / 100;
            let outage = length * away_percent as u32 / 100;
            let ways = misbehaviours();
            Round {
                good: length.saturating_sub(outage),
                outage,
                misbehaviour: ways[rng.below(ways.len() as u64) as usize].clone(),
                end_in_good: None,
                end_in_outage: None,
            }
        })
        .collect();
    let ends = measure.kills + measure.restarts;
    for nth in 0..ends {
        // Taken in turn, so that an agent that has just been killed is not killed again before it
        // began: it would wait, as it should, and take no samples.
        let end = if nth % 2 == 1 && nth / 2 < measure.restarts || nth / 2 >= measure.kills {
            End::Stop
        } else {
            End::Kill
        };
        let Some(round) = rounds.get_mut((nth * measure.outages / ends) as usize) else {
            break;
        };
        if rng.below(2) == 0 {
            round.end_in_good = Some(end);
        } else {
            round.end_in_outage = Some(end);
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: Measure = Measure {
        samples: 10_000,
        interval: Duration::from_millis(20),
        outages: 200,
        kills: 20,
        restarts: 20,
        seed: 5,
    };

    #[test]
    fn a_story_has_what_was_asked_for() {
        for measure in [
            MEASURE,
            Measure {
                kills: 3,
                restarts: 9,
                ..MEASURE
            },
        ] {
            let rounds = tell(&measure);
            let ends = |end| {
                let all = rounds.iter().flat_map(|r| [r.end_in_good, r.end_in_outage]);
                all.filter(|it| *it == Some(end)).count() as u64
            };
            assert_eq!(rounds.len() as u64, measure.outages);
            assert_eq!(ends(End::Kill), measure.kills);
            assert_eq!(ends(End::Stop), measure.restarts);
            let length: Duration = rounds.iter().map(|round| round.good + round.outage).sum();
            let samples = length.as_millis() / measure.interval.as_millis();
            assert!((9_000..11_000).contains(&samples), "{samples}");
        }
    }

    #[test]
    fn every_way_of_being_away_comes_up() {
        let rounds = tell(&MEASURE);
        for way in misbehaviours() {
            assert!(rounds.iter().any(|round| round.misbehaviour == way));
        }
    }
}
