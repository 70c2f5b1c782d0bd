//! One measured number.

use serde_json::{Number, Value};

/// A number with its name, its unit and, if it has one, the budget that it is not to exceed.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub key: String,
    pub unit: &'static str,
    value: f64,
    decimals: usize,
    budget: Option<f64>,
    /// It says nothing while anything else runs on the machine.
    alone: bool,
}

impl Figure {
    /// A figure of which so many decimals mean something.
    pub fn new(key: impl Into<String>, value: f64, unit: &'static str, decimals: usize) -> Self {
        Self {
            key: key.into(),
            unit,
            value,
            decimals,
            budget: None,
            alone: false,
        }
    }

    /// The same with a budget.
    #[must_use]
    pub fn within(mut self, budget: f64) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The same with a budget for a machine that does nothing else: of time, wake-ups, or pages that
    /// others share.
    #[must_use]
    pub fn within_alone(self, budget: f64) -> Self {
        Self {
            alone: true,
            ..self.within(budget)
        }
    }

    /// Takes the budget away if it is for a machine that does nothing else.
    pub(super) fn beside_others(&mut self) {
        if self.alone {
            self.budget = None;
        }
    }

    /// Memory that the kernel counts in units of 1024 bytes, in kB of 1000 bytes.
    pub fn memory(key: &str, kib: u64) -> Self {
        Self::new(key, count(kib) * 1.024, "kB", 0)
    }

    pub fn is_over(&self) -> bool {
        self.budget.is_some_and(|budget| self.value > budget)
    }

    /// The number as people read it.
    pub fn text(&self) -> String {
        self.written(self.value)
    }

    /// The budget in the same form; empty if there is none.
    pub fn budget_text(&self) -> String {
        self.budget.map(|it| self.written(it)).unwrap_or_default()
    }

    /// What the table says of it.
    pub fn verdict(&self) -> &'static str {
        match (self.budget, self.is_over()) {
            (None, _) => "-",
            (_, false) => "ok",
            (_, true) => "over",
        }
    }

    /// The number for programs, the same as in the table.
    pub fn number(&self) -> Value {
        self.as_number(self.value)
    }

    /// The budget likewise.
    pub fn budget(&self) -> Option<Value> {
        self.budget.map(|budget| self.as_number(budget))
    }

    /// Null for what is no number.
    fn as_number(&self, value: f64) -> Value {
        let number = self.written(value).parse::<Number>();
        number.map_or(Value::Null, Value::Number)
    }

    fn written(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}

/// A count as a number to calculate with. No count here comes near what an `f64` cannot hold.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, and counts here end far below"
)]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_figure_is_over_only_above_its_budget() {
        let figure = |value| Figure::new("x", value, "ms", 1).within(50.0);
        assert_eq!(figure(50.0).verdict(), "ok");
        assert_eq!(figure(50.1).verdict(), "over");
        assert_eq!(Figure::new("x", 1e9, "ms", 1).verdict(), "-");
    }

    #[test]
    fn beside_others_only_what_they_do_not_disturb_has_a_budget() {
        let mut late = Figure::new("late_ms", 60.0, "ms", 1).within_alone(50.0);
        let mut rss = Figure::new("rss_kb", 3000.0, "kB", 0).within(2000.0);
        assert!(late.is_over() && rss.is_over());
        late.beside_others();
        rss.beside_others();
        assert_eq!((late.verdict(), rss.verdict()), ("-", "over"));
    }

    #[test]
    fn the_kernels_kilobytes_become_kilobytes() {
        let figure = Figure::memory("rss_kb", 1954).within(2000.0);
        assert_eq!(figure.text(), "2001");
        assert!(figure.is_over());
        assert!(!Figure::memory("rss_kb", 1953).within(2000.0).is_over());
    }

    #[test]
    fn programs_get_the_numbers_of_the_table() {
        let figure = Figure::new("x", 19.0449, "us", 2).within(57.0);
        assert_eq!(figure.number(), json!(19.04));
        assert_eq!(figure.budget(), Some(json!(57.0)));
        let whole = Figure::new("x", 2.0, "", 0);
        assert_eq!(whole.number(), json!(2));
        assert_eq!(whole.budget(), None);
        assert_eq!(Figure::new("x", f64::NAN, "", 0).number(), Value::Null);
    }
}
