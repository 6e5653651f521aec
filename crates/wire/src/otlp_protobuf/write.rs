//! Protobuf's wire format, written.

use super::shape::wire_type;

/// Bytes of a message under construction. Tags come from [`shape`](super::shape), with the wire type in them.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn varint_field(&mut self, tag: u32, value: u64) {
        debug_assert_eq!(tag & 7, wire_type::VARINT);
        self.varint(u64::from(tag));
        self.varint(value);
    }

    pub(super) fn fixed64_field(&mut self, tag: u32, value: u64) {
        debug_assert_eq!(tag & 7, wire_type::FIXED64);
        self.varint(u64::from(tag));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes_field(&mut self, tag: u32, value: &[u8]) {
        debug_assert_eq!(tag & 7, wire_type::LEN);
        self.varint(u64::from(tag));
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A text, left out where it is empty, as proto3 does.
    pub(super) fn text_field(&mut self, tag: u32, value: &str) {
        if !value.is_empty() {
            self.bytes_field(tag, value.as_bytes());
        }
    }

    /// A message that `content` writes. Its length is known only afterwards: one byte is kept free for it, and where
    /// it takes more, the content moves up.
    pub(super) fn message_field<T>(&mut self, tag: u32, content: impl FnOnce(&mut Self) -> T) -> T {
        debug_assert_eq!(tag & 7, wire_type::LEN);
        self.varint(u64::from(tag));
        self.length_prefixed(content)
    }

    /// A varint length and what `content` writes behind it.
    pub(super) fn length_prefixed<T>(&mut self, content: impl FnOnce(&mut Self) -> T) -> T {
        let at = self.0.len();
        self.0.push(0);
        let value = content(self);
        let end = self.0.len();
        self.varint((end - at - 1) as u64);
        // The length stands behind the content now: its last bytes go to where the content moves up.
        let length_bytes = self.0.len() - end;
        let mut length = [0; 10];
        length[..length_bytes].copy_from_slice(&self.0[end..]);
        self.0.truncate(end + length_bytes - 1);
        self.0.copy_within(at + 1..end, at + length_bytes);
        self.0[at..at + length_bytes].copy_from_slice(&length[..length_bytes]);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_any_size_stand_before_their_content() {
        let check = |size: usize, prefix: &[u8]| {
            let mut writer = Writer(b"before".to_vec());
            writer.length_prefixed(|w| w.0.resize(6 + 1 + size, 7));
            let expected = [b"before", prefix, &vec![7; size]].concat();
            assert!(writer.0 == expected, "{size}");
        };
        check(0, &[0]);
        check(127, &[127]);
        check(128, &[0x80, 1]);
        check(300, &[0xac, 2]);
        check(20_000, &[0xa0, 0x9c, 1]);
    }
}
