//! Who called whom how often, from a profile of callgrind (its manual, "Callgrind Format
//! Specification"), and from there the order in which functions are best laid out.

use std::collections::{BTreeMap, BTreeSet};

/// Functions by name. One that called itself, which has `'2` and so on behind its name in the
/// profile, is one.
#[derive(Debug, Default)]
pub struct CallGraph {
    functions: Vec<Function>,
    by_name: BTreeMap<String, usize>,
}

#[derive(Debug, Default)]
struct Function {
    name: String,
    /// How often it was called.
    calls: u64,
    /// Whom it called, in the order of the places of the calls.
    callees: Vec<usize>,
}

impl CallGraph {
    /// Reads a profile. A name stands where it comes for the first time, behind its number.
    ///
    /// # Errors
    /// If a number comes without its name ever having come.
    pub fn read(profile: &str) -> Result<Self, String> {
        let mut graph = Self::default();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut from, mut to) = (None, None);
        for line in profile.lines() {
            if let Some(rest) = line.strip_prefix("fn=") {
                from = Some(graph.numbered(&mut numbers, rest)?);
            } else if let Some(rest) = line.strip_prefix("cfn=") {
                to = Some(graph.numbered(&mut numbers, rest)?);
            } else if let Some(rest) = line.strip_prefix("calls=")
                && let (Some(from), Some(to)) = (from, to)
            {
                let times = rest.split(' ').next().and_then(|it| it.parse().ok());
                graph.functions[to].calls += times.unwrap_or(1_u64);
                graph.functions[from].callees.push(to);
            }
        }
        Ok(graph)
    }

    /// The function of `(NUMBER) NAME`, or of a `(NUMBER)` that had its name before.
    fn numbered<'a>(
        &mut self,
        numbers: &mut BTreeMap<&'a str, usize>,
        words: &'a str,
    ) -> Result<usize, String> {
        if let Some((number, name)) = words.split_once(' ') {
            numbers.insert(number, self.named(name));
        }
        let number = words.split(' ').next().unwrap_or_default();
        let known = numbers.get(number).copied();
        known.ok_or_else(|| format!("function {words} has no name"))
    }

    fn named(&mut self, name: &str) -> usize {
        let name = name.split('\'').next().unwrap_or(name);
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        let at = self.functions.len();
        self.by_name.insert(name.to_owned(), at);
        self.functions.push(Function {
            name: name.to_owned(),
            ..Function::default()
        });
        at
    }

    /// All functions: those that were called at least `often` times before the others, and within
    /// both as execution comes by them, as near as the places of calls tell.
    pub fn order(&self, often: u64) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        // A function that nobody called first, then whoever is not reached from one.
        let (called, roots): (Vec<_>, Vec<_>) =
            (0..self.functions.len()).partition(|at| self.functions[*at].calls > 0);
        for root in roots.into_iter().chain(called) {
            let mut open = vec![root];
            while let Some(at) = open.pop() {
                if seen.insert(at) {
                    order.push(&self.functions[at]);
                    open.extend(self.functions[at].callees.iter().rev());
                }
            }
        }
        let (often, seldom): (Vec<&Function>, Vec<_>) =
            order.into_iter().partition(|it| it.calls >= often);
        let all = often.into_iter().chain(seldom);
        all.map(|it| it.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
events: Ir
fn=(1) main
0x10 16 5
cfn=(2) start
calls=1 0x20
0x14 16 100
cfn=(3) turn
calls=9 0x30
0x18 17 900

fn=(3)
0x30 1 10
cfn=(4) read
calls=18 0x40
0x34 1 10
cfn=(5) turn'2
calls=1 0x30
0x38 1 10

fn=(2)
0x20 1 10
cfn=(4)
calls=1 0x40
0x24 1 10
";

    #[test]
    fn what_is_called_often_comes_first_in_the_order_of_execution() {
        let graph = CallGraph::read(PROFILE).unwrap();
        assert_eq!(graph.order(1_000), ["main", "start", "read", "turn"]);
        assert_eq!(graph.order(10), ["read", "turn", "main", "start"]);
        assert_eq!(graph.order(19), ["read", "main", "start", "turn"]);
        assert_eq!(graph.order(20), graph.order(1_000));
    }

    #[test]
    fn a_number_without_a_name_is_refused() {
        assert!(
            CallGraph::read("fn=(7)\n0x10 1 1\n")
                .unwrap_err()
                .contains("(7)")
        );
        assert!(CallGraph::read("").unwrap().order(0).is_empty());
    }
}
