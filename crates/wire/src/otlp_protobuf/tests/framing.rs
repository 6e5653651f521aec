//! Where messages begin and end.

use proptest::prelude::*;
use prost::Message as _;

use super::requests::{any_request, request, span};
use crate::otlp_protobuf::{Frame, Framing, detect_protobuf_framing, next_message};

fn delimited(messages: &[Vec<u8>], framing: Framing) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        match framing {
            Framing::Single => {}
            Framing::VarintDelimited => {
                prost::encoding::encode_varint(message.len() as u64, &mut bytes);
            }
            Framing::BigEndianDelimited => bytes.extend((message.len() as u32).to_be_bytes()),
        }
        bytes.extend(message);
    }
    bytes
}

const ALL: [Framing; 3] = [
    Framing::Single,
    Framing::VarintDelimited,
    Framing::BigEndianDelimited,
];

#[test]
fn each_framing_is_recognised_from_any_part_of_its_beginning() {
    let messages = [request(vec![span(1), span(2)]), request(vec![span(3)])];
    let messages = messages.map(|message| message.encode_to_vec());
    for framing in ALL {
        let messages = if framing == Framing::Single {
            &messages[..1]
        } else {
            &messages[..]
        };
        let bytes = delimited(messages, framing);
        let whole = bytes.len() as u64;
        assert_eq!(detect_protobuf_framing(&bytes, Some(whole)), Some(framing));
        for prefix in 16..bytes.len() {
            for whole in [Some(whole), None] {
                let found = detect_protobuf_framing(&bytes[..prefix], whole);
                assert_eq!(found, Some(framing), "{prefix} bytes of {whole:?}");
            }
            // The input was cut there.
            let found = detect_protobuf_framing(&bytes[..prefix], Some(prefix as u64));
            assert_eq!(found, Some(framing), "cut at {prefix}");
        }
    }
}

/// A message of ten bytes has a length that looks like the tag of `resource_spans`.
#[test]
fn a_length_of_ten_is_not_taken_for_a_tag() {
    // A resource with the attribute `ab`, which has no value.
    let message = vec![0x0a, 8, 0x0a, 6, 0x0a, 4, 0x0a, 2, b'a', b'b'];
    assert!(super::decode(&message).is_ok());
    let long = request(vec![span(1)]).encode_to_vec();
    for messages in [
        vec![message.clone()],
        vec![message.clone(), long],
        vec![message; 3],
    ] {
        let bytes = delimited(&messages, Framing::VarintDelimited);
        assert_eq!(bytes[0], 0x0a);
        let found = detect_protobuf_framing(&bytes, Some(bytes.len() as u64));
        assert_eq!(found, Some(Framing::VarintDelimited));
    }
}

#[test]
fn other_files_are_no_requests() {
    for other in [
        &b""[..],
        b"{\"resourceSpans\":[]}",
        b"{\n  \"resourceSpans\": [\n  ]\n}\n",
        b"[{\"traceId\":\"5b8aa5a2d2c872e8321cf37308d69df2\"}]",
        b"\n\n{\"data\":[]}",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        b"PK\x03\x04 and so on",
        &[0; 64],
    ] {
        let found = detect_protobuf_framing(other, Some(other.len() as u64));
        assert_eq!(found, None, "{other:?}");
    }
}

#[test]
fn a_message_is_found_once_its_length_is_there() {
    let check = |buffer: &[u8], framing, expected: Option<(usize, usize)>| {
        let expected = expected.map(|(header_bytes, message_bytes)| Frame {
            header_bytes,
            message_bytes,
        });
        assert_eq!(next_message(buffer, framing, 0), Ok(expected));
    };
    check(&[1, 2, 3], Framing::Single, Some((0, 3)));
    check(&[], Framing::VarintDelimited, None);
    check(&[0xac], Framing::VarintDelimited, None);
    check(&[0xac, 2], Framing::VarintDelimited, Some((2, 300)));
    check(&[0, 9, 9], Framing::VarintDelimited, Some((1, 0)));
    check(&[0, 0, 1], Framing::BigEndianDelimited, None);
    check(
        &[0, 0, 1, 2, 9],
        Framing::BigEndianDelimited,
        Some((4, 258)),
    );
}

#[test]
fn a_length_that_cannot_be_is_an_error() {
    let check = |buffer: &[u8], framing, expected: &str| {
        let error = next_message(buffer, framing, 70).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        &[0xff; 10],
        Framing::VarintDelimited,
        "byte 70: length of the next message: expected a varint, found one of more than 64 bits",
    );
    check(
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        Framing::VarintDelimited,
        "byte 70: length of the next message: expected at most 1073741824 bytes, found 4294967295",
    );
    check(
        &[0x7b, 0x22, 0, 0],
        Framing::BigEndianDelimited,
        "byte 70: length of the next message: expected at most 1073741824 bytes, found 2065825792",
    );
}

proptest! {
    #[test]
    fn any_delimited_requests_are_split_again(
        requests in prop::collection::vec(any_request(), 1..4),
        framing in prop::sample::select(&ALL[1..]),
    ) {
        let messages: Vec<_> = requests.iter().map(|request| request.encode_to_vec()).collect();
        let bytes = delimited(&messages, framing);
        let mut rest = &bytes[..];
        let mut found = Vec::new();
        while let Some(frame) = next_message(rest, framing, 0).unwrap() {
            let end = frame.header_bytes + frame.message_bytes;
            found.push(rest[frame.header_bytes..end].to_vec());
            rest = &rest[end..];
        }
        prop_assert_eq!(&found, &messages);
    }

    #[test]
    fn detection_takes_any_bytes(bytes in prop::collection::vec(prop_oneof![0..32_u8, any::<u8>()], 0..100)) {
        let _ = detect_protobuf_framing(&bytes, None);
        let _ = detect_protobuf_framing(&bytes, Some(bytes.len() as u64));
        for framing in ALL {
            let _ = next_message(&bytes, framing, 0);
        }
    }
}

#[test]
fn the_length_of_a_large_message_is_no_other_framing() {
    // Of 2 MiB and more, a varint has four bytes, as the other framing has.
    let message = request((0..40_000).map(|n| span((n % 200 + 1) as u8)).collect()).encode_to_vec();
    assert!(message.len() >= 2 << 20, "{}", message.len());
    let bytes = delimited(&[message], Framing::VarintDelimited);
    for whole_len in [None, Some(bytes.len() as u64)] {
        let found = detect_protobuf_framing(&bytes[..1 << 16], whole_len);
        assert_eq!(found, Some(Framing::VarintDelimited));
    }
}

#[test]
fn a_length_that_no_input_can_have_is_no_framing() {
    // A varint of nearly 2⁶⁴: header and message together are longer than a number can say.
    let bytes = [&[0xff; 9][..], &[0x01, 0x00, 0x29, 0xe9]].concat();
    assert_eq!(detect_protobuf_framing(&bytes, None), None);
    assert_eq!(
        detect_protobuf_framing(&bytes, Some(bytes.len() as u64)),
        None
    );
}
