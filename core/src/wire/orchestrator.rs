//! What a sensor or action agent and its orchestrator say to each other.

/// Longest id of an agent, an instruction or a plugin, in bytes.
pub const ID_BYTES: usize = 64;

/// Whether `text` can be an id: 1 to 64 letters, digits, dots, dashes and underscores, and not of
/// dots alone. It is a part of paths and URLs and so may have nothing that means something there.
pub fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=ID_BYTES).contains(&text.len())
        && text.bytes().all(is_plain)
        && text.bytes().any(|byte| byte != b'.')
}
