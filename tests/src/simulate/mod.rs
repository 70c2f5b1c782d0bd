//! A whole fleet that loses its server and gets it back, simulated with core's own policy.
//!
//! [`Plan`] says what is to be lived through and lives it through in virtual time ([`fleet`]);
//! [`Counts`] is what each second brought; [`report`] holds it against what is allowed, and draws
//! it. There is no real agent here: what decides when something is sent is core's code, the same
//! that the agent runs, and everything around it is a few lines.

mod counts;
mod drawing;
mod fleet;
mod report;

pub use counts::{Counts, Permille};
pub use drawing::draw;
pub use fleet::{Fault, Plan};
pub use report::{CASES, Case, allowed};
