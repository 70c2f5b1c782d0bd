//! Plugins as real processes, driven as the reactor drives them: good ones, and ones that do all
//! that a plugin can do wrong. After each test no process of it is left.
//!
//! Children are the whole process's: one test runs at a time.

#![expect(
    clippy::unwrap_used,
    reason = "what the bench needs and does not get fails the test that uses it"
)]

mod bench;

mod actions;
mod heap;
mod hostile;
mod standing;
mod walls;
