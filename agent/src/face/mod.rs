//! What the agent shows to those who ask it.

pub mod node;
