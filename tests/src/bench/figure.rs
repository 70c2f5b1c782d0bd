//! One measured number.

use serde_json::{Number, Value, json};

/// A number with its name, its unit and, if it has one, the budget that it is not to exceed.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub key: String,
    pub unit: &'static str,
    value: f64,
    decimals: usize,
    budget: Option<f64>,
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
        }
    }

    /// The same with a budget.
    #[must_use]
    pub fn within(mut self, budget: f64) -> Self {
        self.budget = Some(budget);
        self
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

    /// As JSON. The numbers are those of the table.
    pub fn to_json(&self) -> Value {
        let number = |value| self.written(value).parse::<Number>().ok();
        json!({
            "figure": number(self.value),
            "unit": self.unit,
            "budget": self.budget.and_then(number),
            "ok": !self.is_over(),
        })
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

    #[test]
    fn a_figure_is_over_only_above_its_budget() {
        let figure = |value| Figure::new("x", value, "ms", 1).within(50.0);
        assert_eq!(figure(50.0).verdict(), "ok");
        assert_eq!(figure(50.1).verdict(), "over");
        assert_eq!(Figure::new("x", 1e9, "ms", 1).verdict(), "-");
    }

    #[test]
    fn the_kernels_kilobytes_become_kilobytes() {
        let figure = Figure::memory("rss_kb", 1954).within(2000.0);
        assert_eq!(figure.text(), "2001");
        assert!(figure.is_over());
        assert!(!Figure::memory("rss_kb", 1953).within(2000.0).is_over());
    }

    #[test]
    fn json_has_the_numbers_of_the_table() {
        let figure = Figure::new("x", 19.0449, "us", 2).within(57.0);
        let json = r#"{"budget":57.00,"figure":19.04,"ok":true,"unit":"us"}"#;
        assert_eq!(
            figure.to_json(),
            serde_json::from_str::<Value>(json).unwrap()
        );
        let whole = Figure::new("x", 2.0, "", 0).to_json();
        assert_eq!(whole["figure"], json!(2));
        assert_eq!(whole["budget"], Value::Null);
    }
}
