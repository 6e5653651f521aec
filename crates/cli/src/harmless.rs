//! Text from outside that is shown to a person: nothing in it may steer the terminal or turn the direction of text.

/// The text with U+FFFD for control characters and for those that change the direction of text.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if is_harmful(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Control characters (C0, DEL, C1), bidirectional controls, line and paragraph separators.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
