//! One outage with and without the spread of delays, and what is allowed of it.

use super::counts::{Counts, Permille};
use super::fleet::{Fault, Plan};

/// The most that a second after a large fleet's return may bring, handshakes included.
const ALLOWED: Permille = Permille(1500);

/// What is simulated when nothing else is asked for: the fault and the outage in seconds. The last
/// of them is the longest.
pub const CASES: [(Fault, u64); 6] = [
    (Fault::Refused, 60),
    (Fault::Refused, 300),
    (Fault::Silent, 300),
    (Fault::Errors, 300),
    (Fault::NoAddress, 300),
    (Fault::Refused, 1800),
];

/// An outage as it was lived through.
#[derive(Debug)]
pub struct Case {
    pub plan: Plan,
    pub with_jitter: Counts,
    pub without_jitter: Option<Counts>,
}

/// The loudest second of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    pub requests: u32,
    pub handshakes: u32,
    /// Both together, held against a good day.
    pub load: Permille,
    /// Seconds after the return, or after the fleet's beginning for what was before it.
    pub at_s: usize,
}

impl Case {
    /// Lives it through, and once more without jitter if that is to be seen.
    pub fn new(plan: Plan, compare: bool) -> Self {
        Self {
            plan,
            with_jitter: plan.run(),
            without_jitter: compare.then(|| plan.without_jitter().run()),
        }
    }

    /// Before the outage: from when every agent has its connection.
    pub fn before(&self, counts: &Counts) -> Peak {
        let from = self.plan.interval_ms.div_ceil(1000);
        self.peak(counts, from, self.plan.down_ms / 1000, 0)
    }

    /// After the return.
    pub fn after(&self, counts: &Counts) -> Peak {
        let back = self.plan.back_ms / 1000;
        self.peak(counts, back, self.plan.end_ms / 1000, back)
    }

    /// Whether the return is as quiet as it must be.
    pub fn is_good(&self) -> bool {
        self.after(&self.with_jitter).load <= allowed(&self.plan)
    }

    fn peak(&self, counts: &Counts, from: u64, to: u64, zero: u64) -> Peak {
        let as_index = |second| usize::try_from(second).unwrap_or(usize::MAX);
        let (load, at) = counts.peak(as_index(from), as_index(to), 1);
        Peak {
            requests: counts.requests[at],
            handshakes: counts.handshakes[at],
            load: self.plan.of_steady(u64::from(load), 1),
            at_s: at - as_index(zero),
        }
    }
}

/// The most that a second after the return may bring, handshakes included.
///
/// Chance brings a small fleet's seconds further from their mean than a policy could. So it is
/// allowed four standard deviations (those of a Poisson distribution) above what the policy brings
/// on average: each sample as it is taken, and the backlog at its pace.
pub fn allowed(plan: &Plan) -> Permille {
    let usual = 1_000 + 1_000 * plan.interval_ms / plan.policy.backfill_every_ms;
    let chance = (16 * usual * plan.interval_ms / u64::from(plan.agents)).isqrt();
    ALLOWED.max(Permille(usual + chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a fleet this small the chance of a single second is larger than what is looked for; an
    /// interval has each agent's sample exactly once.
    fn peak_of_an_interval(fault: Fault, outage_s: u64, jitter: bool) -> Permille {
        let plan = Plan::new(2_000, 10_000, fault, outage_s * 1000, 0x666c_6565);
        let plan = if jitter { plan } else { plan.without_jitter() };
        let counts = plan.run();
        let (from, to) = (plan.back_ms / 1000, plan.end_ms / 1000);
        let (load, _) = counts.peak(from as usize, to as usize, 10);
        plan.of_steady(load.into(), 10)
    }

    #[test]
    fn n7_a_small_fleet_returns_within_half_as_much_again() {
        for (fault, outage_s) in CASES {
            let peak = peak_of_an_interval(fault, outage_s, true);
            assert!(peak <= ALLOWED, "{fault:?} {outage_s} s: {peak}");
            assert!(
                peak > Permille(1350),
                "the backlog: {fault:?} {outage_s} s: {peak}"
            );
        }
    }

    #[test]
    fn n7_a_small_fleet_is_not_judged_by_chance_and_a_large_one_as_before() {
        let plan = |agents| Plan::new(agents, 10_000, Fault::Refused, 300_000, 1);
        // 280 a second, and four times their root; a good day's are 200.
        assert_eq!(allowed(&plan(2_000)), Permille(1_734));
        assert_eq!(allowed(&plan(100_000)), ALLOWED);
        let small = Case::new(plan(2_000), true);
        let after = small.after(&small.with_jitter).load;
        assert!(after > ALLOWED && small.is_good(), "{after}");
        // What it is there to find, it finds.
        let all_at_once = small.without_jitter.as_ref().unwrap();
        assert!(small.after(all_at_once).load > allowed(&small.plan));
    }

    #[test]
    fn without_jitter_a_small_fleet_returns_all_at_once() {
        let peak = peak_of_an_interval(Fault::Refused, 300, false);
        assert!(peak > Permille(2000), "{peak}");
    }

    #[test]
    fn equal_seeds_give_equal_counts_and_others_do_not() {
        let plan = Plan::new(50, 10_000, Fault::Silent, 60_000, 7);
        assert_eq!(plan.run(), plan.run());
        assert_ne!(plan.run(), Plan { seed: 8, ..plan }.run());
    }

    #[test]
    fn every_sample_is_sent_once_and_a_kept_connection_is_opened_once() {
        let mut plan = Plan::new(100, 10_000, Fault::Refused, 120_000, 9);
        plan.end_ms = plan.end_ms.next_multiple_of(plan.interval_ms);
        let counts = plan.run();
        let sum = |numbers: &[u32]| numbers.iter().map(|n| u64::from(*n)).sum::<u64>();
        assert_eq!(sum(&counts.requests), 100 * plan.end_ms / 10_000);
        assert_eq!(
            sum(&counts.handshakes),
            200,
            "at the start and at the return"
        );
        assert!(sum(&counts.in_vain) >= 400);
    }

    #[test]
    fn a_server_that_answers_errors_may_keep_connections_that_are_used_again_soon() {
        let counts = Plan::new(100, 10_000, Fault::Errors, 30_000, 9).run();
        assert_eq!(counts.handshakes.iter().sum::<u32>(), 100);
        assert_eq!(counts.in_vain.iter().sum::<u32>(), 0);
    }
}
