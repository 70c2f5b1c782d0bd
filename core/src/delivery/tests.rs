//! A day of outage in a millisecond: the clock is a number.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::outbox::Marks;
use crate::sample::{Sample, Tenths};

const INTERVAL_MS: u64 = 10_000;

const GOOD: Outcome = Outcome::Answer {
    status: 202,
    retry_after_ms: None,
    filing: Filing::OwnTime,
};

/// A server, a device that takes samples, and a clock.
struct World {
    now_ms: u64,
    taken: u32,
    outbox: Outbox<Vec<Packed>>,
    delivery: Delivery,
    /// Numbers of the samples that arrived, in order.
    arrived: Vec<u32>,
    /// When a request was made.
    asked_ms: Vec<u64>,
}

impl World {
    fn new(backfill: Backfill) -> Self {
        let policy = Policy {
            jitter_permille: 200,
            backfill,
            ..Policy::usual(INTERVAL_MS)
        };
        Self {
            now_ms: 0,
            taken: 0,
            outbox: Outbox::new(vec![[0; 6]; 8_640]).unwrap(),
            delivery: Delivery::new(policy, 7),
            arrived: Vec::new(),
            asked_ms: Vec::new(),
        }
    }

    fn take_sample(&mut self) {
        self.taken += 1;
        self.outbox.overwrite(&Sample {
            number: self.taken,
            boot_ms: self.now_ms,
            wall_ms: None,
            with_info: false,
            cpu: Tenths::ABSENT,
            memory: Tenths::ABSENT,
            disk: Tenths::ABSENT,
            network: None,
            uptime_s: None,
        });
    }

    fn answer(&mut self, outcome: Outcome) -> Settled {
        let Next::Send(cursor) = self.delivery.next(&self.outbox, self.now_ms) else {
            panic!("nothing to send at {} ms", self.now_ms)
        };
        let number = self.outbox.get(cursor).unwrap().number;
        self.asked_ms.push(self.now_ms);
        let settled = self
            .delivery
            .settle(&mut self.outbox, cursor, outcome, self.now_ms);
        if matches!(settled, Settled::Delivered { .. }) {
            self.arrived.push(number);
        }
        settled
    }

    /// Lets time pass in steps of 100 ms, with a server that answers `outcome` at once.
    fn pass(&mut self, for_ms: u64, outcome: Outcome) {
        self.pass_with(for_ms, |_| outcome);
    }

    /// The same with a server that answers the request of this number, counted from 0, so.
    fn pass_with(&mut self, for_ms: u64, outcome: impl Fn(usize) -> Outcome) {
        for _ in 0..for_ms / 100 {
            if self.now_ms.is_multiple_of(INTERVAL_MS) {
                self.take_sample();
            }
            while matches!(self.delivery.next(&self.outbox, self.now_ms), Next::Send(_)) {
                self.answer(outcome(self.asked_ms.len()));
            }
            self.now_ms += 100;
        }
    }
}

fn status(status: u16) -> Outcome {
    Outcome::Answer {
        status,
        retry_after_ms: None,
        filing: Filing::Arrival,
    }
}

#[test]
fn a_good_day_is_one_request_a_sample() {
    let mut world = World::new(Backfill::Auto);
    world.pass(86_400_000, GOOD);
    assert_eq!(world.asked_ms.len(), 8_640);
    assert!(world.arrived.is_sorted());
    assert!(world.outbox.is_empty());
}

#[test]
fn a_server_that_fails_every_few_requests_still_gets_the_backlog() {
    let mut world = World::new(Backfill::Auto);
    world.pass(60_000, GOOD);
    world.pass(3_600_000, Outcome::NoAnswer);
    let held = world.outbox.len();
    assert_eq!(held, 360);
    // Each return comes sooner after the last one than the backlog's turn after that.
    let one_in_three = |number: usize| {
        if number.is_multiple_of(3) {
            Outcome::NoAnswer
        } else {
            GOOD
        }
    };
    world.pass_with(3_600_000, one_in_three);
    assert!(world.outbox.len() < held - 20, "{}", world.outbox.len());
}

#[test]
fn a_moment_of_a_longer_period_does_not_outlive_it() {
    let mut world = World::new(Backfill::Auto);
    let usual = world.delivery.policy;
    world.delivery.change_policy(Policy {
        backfill_every_ms: 9_000_000,
        ..usual
    });
    world.pass(60_000, GOOD);
    world.pass(60_000, Outcome::NoAnswer);
    world.pass(60_000, GOOD);
    let held = world.outbox.len();
    assert!(held > 0);
    world.delivery.change_policy(usual);
    world.pass(60_000, Outcome::NoAnswer);
    world.pass(600_000, GOOD);
    assert!(world.outbox.is_empty(), "{}", world.outbox.len());
}

#[test]
fn after_an_outage_the_newest_goes_first_and_the_rest_follows_gently_and_whole() {
    let mut world = World::new(Backfill::Auto);
    world.pass(60_000, GOOD);
    world.pass(3_600_000, Outcome::NoAnswer);
    let (held, arrived) = (world.outbox.len(), world.arrived.len());
    assert_eq!(held, 360);
    let back_ms = world.now_ms;
    world.pass(3 * 3_600_000, GOOD);
    assert!(world.outbox.is_empty());

    let later = &world.arrived[arrived..];
    assert!(
        later[0] > 360,
        "the newest of the outage goes first: {}",
        later[0]
    );
    let backlog: Vec<u32> = later.iter().copied().filter(|n| *n <= 366).collect();
    assert!(backlog[1..].is_sorted(), "then the oldest first");
    let mut all = world.arrived.clone();
    all.sort_unstable();
    assert_eq!(
        all,
        (1..=world.taken).collect::<Vec<_>>(),
        "none lost, none twice"
    );

    // 1.5 times the steady rate, in any window of four intervals after the return.
    let after: Vec<u64> = world
        .asked_ms
        .iter()
        .copied()
        .filter(|ms| *ms >= back_ms)
        .collect();
    for window in after.windows(7) {
        assert!(window[6] - window[0] >= 4 * INTERVAL_MS, "{window:?}");
    }
}

#[test]
fn while_the_server_is_away_the_newest_is_tried_at_a_growing_and_capped_pace() {
    let mut world = World::new(Backfill::Auto);
    let mut delays = Vec::new();
    for _ in 0..12 {
        world.take_sample();
        let Settled::Retry {
            in_ms,
            attempt,
            holding,
        } = world.answer(Outcome::NoAnswer)
        else {
            panic!("a failure is to be tried again")
        };
        assert_eq!(attempt as usize, delays.len() + 1);
        assert_eq!(holding, attempt > 3);
        assert_eq!(
            world.delivery.next(&world.outbox, world.now_ms),
            Next::Wait {
                until_ms: world.now_ms + in_ms
            }
        );
        delays.push(in_ms);
        world.now_ms += in_ms;
        let Next::Send(cursor) = world.delivery.next(&world.outbox, world.now_ms) else {
            panic!("it is time")
        };
        assert_eq!(world.outbox.get(cursor).unwrap().number, world.taken);
    }
    for (at, delay) in delays.iter().enumerate() {
        let middle = (5_000 << at).min(300_000);
        assert!(
            *delay >= middle * 4 / 5 && *delay <= middle * 6 / 5,
            "{delays:?}"
        );
    }
    assert_eq!(world.delivery.standing(), Standing::Away);
    assert_eq!(world.delivery.failures(), 12);
}

#[test]
fn a_server_that_files_by_arrival_gets_no_old_samples() {
    for (backfill, filing, dropped) in [
        (Backfill::Auto, Filing::Arrival, 9),
        (Backfill::Auto, Filing::OwnTime, 0),
        (Backfill::Auto, Filing::Unknown, 0),
        (Backfill::On, Filing::Arrival, 0),
        (Backfill::Off, Filing::OwnTime, 9),
        (Backfill::Off, Filing::Unknown, 9),
    ] {
        let mut world = World::new(backfill);
        (0..10).for_each(|_| world.take_sample());
        let outcome = Outcome::Answer {
            status: 202,
            retry_after_ms: None,
            filing,
        };
        let settled = world.answer(outcome);
        assert_eq!(
            settled,
            Settled::Delivered {
                after_failures: 0,
                back: false,
                dropped
            },
            "{backfill:?}"
        );
        assert_eq!(world.outbox.len(), 9 - dropped as usize);
    }
}

#[test]
fn a_page_that_answers_for_the_server_takes_no_backlog_with_it() {
    let mut world = World::new(Backfill::Auto);
    world.take_sample();
    world.answer(GOOD);
    (0..100).for_each(|_| world.take_sample());
    let page = Outcome::Answer {
        status: 200,
        retry_after_ms: None,
        filing: Filing::Unknown,
    };
    world.pass(60 * INTERVAL_MS, page);
    assert_eq!(world.outbox.len(), 100, "none is dropped, and none is sent");
    assert!(world.delivery.is_at_a_loss());
    world.pass(600 * INTERVAL_MS, GOOD);
    assert!(world.outbox.is_empty() && !world.delivery.is_at_a_loss());
}

#[test]
fn a_refused_sample_goes_and_five_in_a_row_hold_the_rest() {
    let mut world = World::new(Backfill::On);
    for n in 1..=4 {
        world.take_sample();
        assert_eq!(
            world.answer(status(400)),
            Settled::Refused { hold_ms: None },
            "{n}"
        );
    }
    world.take_sample();
    let Settled::Refused {
        hold_ms: Some(hold_ms),
    } = world.answer(status(422))
    else {
        panic!("the fifth holds")
    };
    world.take_sample();
    let until_ms = world.now_ms + hold_ms;
    assert_eq!(
        world.delivery.next(&world.outbox, world.now_ms),
        Next::Wait { until_ms }
    );
    world.now_ms = until_ms;
    assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    world.take_sample();
    assert_eq!(
        world.answer(status(413)),
        Settled::Refused { hold_ms: None },
        "counted anew"
    );
}

#[test]
fn a_server_that_refuses_gets_no_old_samples_unless_it_is_known_to_file_them_right() {
    for (backfill, filing, sends) in [
        (Backfill::On, None, true),
        (Backfill::Off, None, false),
        (Backfill::Auto, None, false),
        (Backfill::Auto, Some(Filing::Arrival), false),
        (Backfill::Auto, Some(Filing::Unknown), false),
        (Backfill::Auto, Some(Filing::OwnTime), true),
    ] {
        let mut world = World::new(backfill);
        if let Some(filing) = filing {
            world.take_sample();
            world.answer(Outcome::Answer {
                status: 202,
                retry_after_ms: None,
                filing,
            });
        }
        (0..10).for_each(|_| world.take_sample());
        world.answer(status(400));
        world.now_ms += 10 * INTERVAL_MS;
        let next = world.delivery.next(&world.outbox, world.now_ms);
        assert_eq!(
            matches!(next, Next::Send(_)),
            sends,
            "{backfill:?} {filing:?}"
        );
        assert_eq!(world.outbox.len(), 9, "they are held");
    }
}

#[test]
fn a_refused_backlog_is_still_sent_gently() {
    let mut world = World::new(Backfill::On);
    (0..10).for_each(|_| world.take_sample());
    world.answer(GOOD);
    world.now_ms += 2 * backfill_every_ms(INTERVAL_MS);
    world.answer(status(400));
    assert!(matches!(
        world.delivery.next(&world.outbox, world.now_ms),
        Next::Wait { .. }
    ));
}

#[test]
fn a_refused_key_and_a_wrong_address_lose_nothing_and_are_said_once() {
    for (code, is_key) in [
        (401, true),
        (403, true),
        (404, false),
        (302, false),
        (511, false),
    ] {
        let mut world = World::new(Backfill::Auto);
        for n in 0..3 {
            world.take_sample();
            let (in_ms, first) = match world.answer(status(code)) {
                Settled::KeyRefused { in_ms, first } if is_key => (in_ms, first),
                Settled::NotThere { in_ms, first } if !is_key => (in_ms, first),
                other => panic!("{code}: {other:?}"),
            };
            assert_eq!(first, n == 0);
            assert!((240_000..=360_000).contains(&in_ms), "{in_ms}");
            world.now_ms += in_ms;
        }
        assert_eq!(world.outbox.len(), 3);
        world.delivery.retry_now();
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    }
}

#[test]
fn the_backlogs_of_a_fleet_do_not_begin_in_step() {
    let every_ms = backfill_every_ms(INTERVAL_MS);
    // The server came back for all, or their power did.
    for was_away in [true, false] {
        let mut begins = Vec::new();
        for seed in 0..100 {
            let mut world = World::new(Backfill::On);
            world.delivery = Delivery::new(world.delivery.policy, seed);
            (0..3).for_each(|_| world.take_sample());
            if was_away {
                world.answer(Outcome::NoAnswer);
                world.delivery.retry_now();
            }
            world.answer(GOOD);
            let Next::Wait { until_ms } = world.delivery.next(&world.outbox, 0) else {
                panic!("not at once")
            };
            assert!((every_ms..2 * every_ms).contains(&until_ms), "{until_ms}");
            begins.push(until_ms);
        }
        begins.sort_unstable();
        let widest_ms = begins.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest_ms < Some(every_ms / 5), "{begins:?}");
    }
}

#[test]
fn retry_after_is_a_floor_that_a_fleet_does_not_meet_in_step() {
    let mut world = World::new(Backfill::Auto);
    world.take_sample();
    for asked_ms in [1_000, 60_000, 3_600_000] {
        let outcome = Outcome::Answer {
            status: 503,
            retry_after_ms: Some(asked_ms),
            filing: Filing::Unknown,
        };
        let Settled::Retry { in_ms, .. } = world.answer(outcome) else {
            panic!("held")
        };
        assert!(
            in_ms >= asked_ms && in_ms <= asked_ms * 6 / 5,
            "{asked_ms}: {in_ms}"
        );
        world.now_ms += in_ms;
    }
}

#[test]
fn an_answer_for_a_sample_that_is_gone_changes_no_other() {
    let mut world = World::new(Backfill::On);
    world.outbox = Outbox::new(vec![[0; 6]; 1]).unwrap();
    world.take_sample();
    let Next::Send(in_flight) = world.delivery.next(&world.outbox, 0) else {
        panic!("due")
    };
    world.take_sample();
    world.delivery.settle(&mut world.outbox, in_flight, GOOD, 0);
    assert_eq!(world.outbox.len(), 1);
    assert!(matches!(
        world.delivery.next(&world.outbox, 0),
        Next::Send(_)
    ));
}

#[test]
fn a_held_sample_that_is_the_trouble_starves_no_other() {
    for code in [409, 404, 500] {
        let mut world = World::new(Backfill::On);
        (0..3).for_each(|_| world.take_sample());
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
        for tries in 1..=3 {
            world.now_ms += 2 * backfill_every_ms(INTERVAL_MS);
            let dropped = tries == 3;
            assert_eq!(
                world.answer(status(code)),
                Settled::Troubled { tries, dropped },
                "{code}"
            );
            assert_eq!(world.delivery.next(&world.outbox, world.now_ms), Next::Idle);
            world.take_sample();
            assert!(
                matches!(world.answer(GOOD), Settled::Delivered { .. }),
                "{code}"
            );
        }
        world.now_ms += 3 * INTERVAL_MS;
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
        assert!(world.outbox.is_empty(), "{code}");
    }
}

#[test]
fn a_held_sample_that_breaks_every_connection_goes_at_last_and_the_others_follow() {
    let mut world = World::new(Backfill::On);
    (0..3).for_each(|_| world.take_sample());
    world.answer(GOOD);
    for tries in 1..=20 {
        world.now_ms += 6 * INTERVAL_MS;
        let settled = world.answer(Outcome::Broken);
        if tries == 20 {
            let dropped = true;
            assert_eq!(settled, Settled::Troubled { tries, dropped });
            assert_eq!(world.outbox.len(), 1);
        } else {
            assert!(matches!(settled, Settled::Retry { .. }), "{tries}");
            assert_eq!(world.outbox.len(), 2, "{tries}");
        }
        world.now_ms += INTERVAL_MS;
        world.take_sample();
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    }
    world.now_ms += 6 * INTERVAL_MS;
    assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    assert!(world.outbox.is_empty());
}

#[test]
fn a_held_sample_that_fails_in_two_ways_goes_too() {
    let mut world = World::new(Backfill::On);
    (0..3).for_each(|_| world.take_sample());
    world.answer(GOOD);
    let mut tries = 0;
    while world.outbox.len() == 2 {
        world.now_ms += 6 * INTERVAL_MS;
        tries += 1;
        world.answer(if tries % 2 == 0 {
            status(502)
        } else {
            Outcome::Broken
        });
        world.take_sample();
        world.delivery.retry_now();
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    }
    assert_eq!(tries, 6);
}

#[test]
fn a_link_that_breaks_fresh_samples_too_takes_no_held_one_with_it() {
    let mut world = World::new(Backfill::On);
    (0..3).for_each(|_| world.take_sample());
    world.answer(GOOD);
    for nth in 0..100 {
        world.now_ms += 6 * INTERVAL_MS;
        assert!(matches!(
            world.answer(Outcome::Broken),
            Settled::Retry { .. }
        ));
        world.now_ms += INTERVAL_MS;
        world.take_sample();
        if nth % 19 == 18 {
            world.answer(Outcome::Broken);
            world.delivery.retry_now();
        }
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    }
    assert_eq!(world.outbox.len(), 2);
}

#[test]
fn a_server_that_goes_down_amid_the_backlog_is_found_out_by_the_next_fresh_sample() {
    let mut world = World::new(Backfill::On);
    (0..3).for_each(|_| world.take_sample());
    world.answer(GOOD);
    world.now_ms += 2 * backfill_every_ms(INTERVAL_MS);
    assert!(matches!(
        world.answer(status(404)),
        Settled::Troubled { dropped: false, .. }
    ));
    world.take_sample();
    assert!(matches!(
        world.answer(status(404)),
        Settled::NotThere { first: true, .. }
    ));
    assert_eq!(world.outbox.len(), 3);
}

#[test]
fn a_quick_backlog_outlives_a_server_that_goes_down_between_two_fresh_samples() {
    for code in [404, 500, 502, 504] {
        let mut world = World::new(Backfill::On);
        world.delivery.change_policy(Policy {
            backfill_every_ms: 100,
            ..Policy::usual(INTERVAL_MS)
        });
        (0..100).for_each(|_| world.take_sample());
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
        // Just after a fresh sample was taken, and until just before the next.
        world.now_ms += 100;
        world.pass(INTERVAL_MS - 200, status(code));
        assert_eq!(world.outbox.len(), 99, "{code}");
        world.pass(6 * INTERVAL_MS, GOOD);
        assert!(world.outbox.is_empty(), "{code}");
        assert_eq!(world.arrived.len(), world.taken as usize, "{code}");
    }
}

#[test]
fn a_held_sample_that_meets_three_outages_is_not_the_trouble() {
    let mut world = World::new(Backfill::On);
    (0..3).for_each(|_| world.take_sample());
    world.answer(GOOD);
    for _ in 0..6 {
        world.now_ms += 6 * INTERVAL_MS;
        assert!(matches!(
            world.answer(status(500)),
            Settled::Troubled { dropped: false, .. }
        ));
        world.take_sample();
        assert!(matches!(world.answer(status(500)), Settled::Retry { .. }));
        world.delivery.retry_now();
        assert!(matches!(world.answer(GOOD), Settled::Delivered { .. }));
    }
    assert_eq!(world.outbox.len(), 2);
}

#[test]
fn a_return_is_told_whatever_held_the_samples() {
    for code in [500, 401, 404] {
        let mut world = World::new(Backfill::Auto);
        world.take_sample();
        world.answer(status(code));
        world.delivery.retry_now();
        world.take_sample();
        let Settled::Delivered { back, dropped, .. } = world.answer(status(202)) else {
            panic!("delivered")
        };
        assert!(back && dropped == 1, "{code}");
    }
}

#[test]
fn another_policy_keeps_what_the_server_asked_for() {
    let mut world = World::new(Backfill::On);
    world.take_sample();
    let outcome = Outcome::Answer {
        status: 429,
        retry_after_ms: Some(60_000),
        filing: Filing::Unknown,
    };
    world.answer(outcome);
    world.delivery.change_policy(Policy {
        max_retries: 9,
        ..world.delivery.policy
    });
    assert!(matches!(
        world.delivery.next(&world.outbox, world.now_ms),
        Next::Wait { until_ms } if until_ms >= 60_000
    ));
    assert_eq!(world.delivery.failures(), 1);
}

#[test]
fn a_hint_brings_the_next_attempt_forward_by_a_moment_of_the_devices_own() {
    let within_ms = 10_000;
    let mut moments = Vec::new();
    for seed in 0..200 {
        let mut world = World::new(Backfill::On);
        world.delivery = Delivery::new(world.delivery.policy, seed);
        world.take_sample();
        for _ in 0..10 {
            world.answer(Outcome::NoAnswer);
            let Next::Wait { until_ms } = world.delivery.next(&world.outbox, world.now_ms) else {
                panic!("no backoff");
            };
            world.now_ms = until_ms;
        }
        world.answer(Outcome::NoAnswer);
        world.delivery.retry_within(world.now_ms, within_ms);
        let Next::Wait { until_ms } = world.delivery.next(&world.outbox, world.now_ms) else {
            panic!("it came at once");
        };
        assert!(until_ms <= world.now_ms + within_ms);
        moments.push(until_ms - world.now_ms);
        // A second one never makes it later.
        world.delivery.retry_within(world.now_ms, 1_000_000);
        let again = world.delivery.next(&world.outbox, world.now_ms);
        assert!(matches!(again, Next::Wait { until_ms: other } if other <= until_ms));
    }
    // A fleet comes back over the whole time, about as many in each half of it.
    let early = moments.iter().filter(|&&ms| ms < within_ms / 2).count();
    assert!((60..140).contains(&early), "{early} of 200");
}

#[test]
fn n2_a_loose_cable_never_brings_a_busy_loop() {
    let mut world = World::new(Backfill::On);
    world.take_sample();
    let minutes = 30;
    let attempts_before = loop {
        match world.delivery.next(&world.outbox, world.now_ms) {
            Next::Send(_) => drop(world.answer(Outcome::NoAnswer)),
            Next::Wait { until_ms } if world.asked_ms.len() < 10 => world.now_ms = until_ms,
            _ => break world.asked_ms.len(),
        }
    };
    let end_ms = world.now_ms + minutes * 60_000;
    while world.now_ms < end_ms {
        world.delivery.retry_within(world.now_ms, INTERVAL_MS);
        while matches!(
            world.delivery.next(&world.outbox, world.now_ms),
            Next::Send(_)
        ) {
            world.answer(Outcome::NoAnswer);
        }
        world.now_ms += 100;
    }
    let attempts = (world.asked_ms.len() - attempts_before) as u64;
    // Each minute a hint, and after it the delays of 5, 10 and 20 s: fewer than one in ten seconds.
    assert!(
        (minutes..=(minutes + HINTS) * 6).contains(&attempts),
        "{attempts}"
    );
}

/// Puts samples of an earlier start in front of all others.
fn restore(world: &mut World, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let sample = Sample {
            number,
            boot_ms: 0,
            wall_ms: Some(1),
            with_info: false,
            cpu: Tenths::ABSENT,
            memory: Tenths::ABSENT,
            disk: Tenths::ABSENT,
            network: None,
            uptime_s: None,
        };
        world.outbox.restore(&sample, 1, Marks::default());
    }
}

#[test]
fn samples_of_an_earlier_start_wait_for_the_first_of_this_one_and_then_go_oldest_first() {
    let mut world = World::new(Backfill::Auto);
    restore(&mut world, 7..=9);
    assert_eq!(world.delivery.next(&world.outbox, 0), Next::Idle);
    world.pass(20 * INTERVAL_MS, GOOD);
    let restored: Vec<u32> = world.arrived.iter().copied().skip(1).collect();
    assert_eq!(world.arrived[0], 1, "{:?}", world.arrived);
    let positions = [7, 8, 9].map(|number| restored.iter().position(|n| *n == number));
    assert!(positions.iter().all(Option::is_some), "{:?}", world.arrived);
    assert!(positions.is_sorted(), "{:?}", world.arrived);
    assert!(world.outbox.is_empty());
}

#[test]
fn samples_of_an_earlier_start_are_dropped_for_a_server_that_files_by_arrival() {
    let mut world = World::new(Backfill::Auto);
    restore(&mut world, 7..=9);
    world.take_sample();
    let silent = Outcome::Answer {
        status: 202,
        retry_after_ms: None,
        filing: Filing::Arrival,
    };
    let Settled::Delivered { dropped, .. } = world.answer(silent) else {
        panic!("not delivered")
    };
    assert_eq!((dropped, world.outbox.len()), (3, 0));
}
