//! The messages of an OTLP trace request: their fields, and the path by which errors name them.
//!
//! Source: opentelemetry-proto 1.9, `collector/trace/v1`, `trace/v1`, `resource/v1` and `common/v1`. `TracesData` has
//! the same bytes as `ExportTraceServiceRequest`.

/// Wire types of protobuf.
pub(super) mod wire_type {
    pub(in super::super) const VARINT: u32 = 0;
    pub(in super::super) const FIXED64: u32 = 1;
    pub(in super::super) const LEN: u32 = 2;
    pub(in super::super) const START_GROUP: u32 = 3;
    pub(in super::super) const END_GROUP: u32 = 4;
    pub(in super::super) const FIXED32: u32 = 5;
}

const fn varint(field: u32) -> u32 {
    field << 3 | wire_type::VARINT
}

const fn fixed64(field: u32) -> u32 {
    field << 3 | wire_type::FIXED64
}

const fn len(field: u32) -> u32 {
    field << 3 | wire_type::LEN
}

const fn fixed32(field: u32) -> u32 {
    field << 3 | wire_type::FIXED32
}

/// Declares the tags (field number and wire type) of a message, and the table that gives their names.
macro_rules! message {
    ($module:ident, $table:ident: $($tag:ident = $kind:ident($number:literal), $name:literal;)*) => {
        pub(super) mod $module {
            $(pub(in super::super) const $tag: u32 = super::$kind($number);)*
        }
        static $table: &[(u32, &str)] = &[$(($module::$tag, $name)),*];
    };
}

message!(request, REQUEST_FIELDS:
    RESOURCE_SPANS = len(1), "resource_spans";
);
message!(resource_spans, RESOURCE_SPANS_FIELDS:
    RESOURCE = len(1), "resource";
    SCOPE_SPANS = len(2), "scope_spans";
    SCHEMA_URL = len(3), "schema_url";
);
message!(resource, RESOURCE_FIELDS:
    ATTRIBUTES = len(1), "attributes";
    DROPPED_ATTRIBUTES_COUNT = varint(2), "dropped_attributes_count";
);
message!(scope_spans, SCOPE_SPANS_FIELDS:
    SCOPE = len(1), "scope";
    SPANS = len(2), "spans";
    SCHEMA_URL = len(3), "schema_url";
);
message!(scope, SCOPE_FIELDS:
    NAME = len(1), "name";
    VERSION = len(2), "version";
    ATTRIBUTES = len(3), "attributes";
    DROPPED_ATTRIBUTES_COUNT = varint(4), "dropped_attributes_count";
);
message!(span, SPAN_FIELDS:
    TRACE_ID = len(1), "trace_id";
    SPAN_ID = len(2), "span_id";
    TRACE_STATE = len(3), "trace_state";
    PARENT_SPAN_ID = len(4), "parent_span_id";
    NAME = len(5), "name";
    KIND = varint(6), "kind";
    START_TIME = fixed64(7), "start_time_unix_nano";
    END_TIME = fixed64(8), "end_time_unix_nano";
    ATTRIBUTES = len(9), "attributes";
    DROPPED_ATTRIBUTES_COUNT = varint(10), "dropped_attributes_count";
    EVENTS = len(11), "events";
    DROPPED_EVENTS_COUNT = varint(12), "dropped_events_count";
    LINKS = len(13), "links";
    DROPPED_LINKS_COUNT = varint(14), "dropped_links_count";
    STATUS = len(15), "status";
    FLAGS = fixed32(16), "flags";
);
message!(event, EVENT_FIELDS:
    TIME = fixed64(1), "time_unix_nano";
    NAME = len(2), "name";
    ATTRIBUTES = len(3), "attributes";
    DROPPED_ATTRIBUTES_COUNT = varint(4), "dropped_attributes_count";
);
message!(link, LINK_FIELDS:
    TRACE_ID = len(1), "trace_id";
    SPAN_ID = len(2), "span_id";
    TRACE_STATE = len(3), "trace_state";
    ATTRIBUTES = len(4), "attributes";
    DROPPED_ATTRIBUTES_COUNT = varint(5), "dropped_attributes_count";
    FLAGS = fixed32(6), "flags";
);
message!(status, STATUS_FIELDS:
    MESSAGE = len(2), "message";
    CODE = varint(3), "code";
);
message!(key_value, KEY_VALUE_FIELDS:
    KEY = len(1), "key";
    VALUE = len(2), "value";
);
message!(any_value, ANY_VALUE_FIELDS:
    STRING = len(1), "string_value";
    BOOL = varint(2), "bool_value";
    INT = varint(3), "int_value";
    DOUBLE = fixed64(4), "double_value";
    ARRAY = len(5), "array_value";
    MAP = len(6), "kvlist_value";
    BYTES = len(7), "bytes_value";
);
// `ArrayValue` and `KeyValueList` differ only in what their elements are.
message!(list, LIST_FIELDS:
    VALUES = len(1), "values";
);

/// What the walk knows of a message: its fields, and where it stands, so that an error can name the place.
#[derive(Debug)]
pub(super) struct Shape {
    name: &'static str,
    parent: Option<&'static Shape>,
    /// Tags and names of the fields. Fields that are not here are unknown, and skipped.
    fields: &'static [(u32, &'static str)],
}

impl Shape {
    const fn inside(
        parent: &'static Shape,
        name: &'static str,
        fields: &'static [(u32, &'static str)],
    ) -> Self {
        Self {
            name,
            parent: Some(parent),
            fields,
        }
    }

    /// Tag and name of the field with the number that `tag` has, whatever wire type `tag` has.
    pub(super) fn field(&self, tag: u32) -> Option<(u32, &'static str)> {
        self.fields
            .iter()
            .copied()
            .find(|(known, _)| known >> 3 == tag >> 3)
    }

    /// The names from the request down to the field of `tag`, e.g. `resource_spans.scope_spans.spans.trace_id`.
    pub(super) fn path(&self, tag: u32) -> String {
        let mut names = match self.field(tag) {
            Some((_, name)) => vec![name.to_owned()],
            None if tag == 0 => vec![],
            None => vec![format!("field {}", tag >> 3)],
        };
        let mut shape = Some(self);
        while let Some(level) = shape {
            names.push(level.name.to_owned());
            shape = level.parent;
        }
        names.retain(|name| !name.is_empty());
        names.reverse();
        if names.is_empty() {
            "request".to_owned()
        } else {
            names.join(".")
        }
    }
}

pub(super) static REQUEST: Shape = Shape {
    name: "",
    parent: None,
    fields: REQUEST_FIELDS,
};
pub(super) static RESOURCE_SPANS: Shape =
    Shape::inside(&REQUEST, "resource_spans", RESOURCE_SPANS_FIELDS);
pub(super) static RESOURCE: Shape = Shape::inside(&RESOURCE_SPANS, "resource", RESOURCE_FIELDS);
pub(super) static SCOPE_SPANS: Shape =
    Shape::inside(&RESOURCE_SPANS, "scope_spans", SCOPE_SPANS_FIELDS);
pub(super) static SCOPE: Shape = Shape::inside(&SCOPE_SPANS, "scope", SCOPE_FIELDS);
pub(super) static SPAN: Shape = Shape::inside(&SCOPE_SPANS, "spans", SPAN_FIELDS);
pub(super) static EVENT: Shape = Shape::inside(&SPAN, "events", EVENT_FIELDS);
pub(super) static LINK: Shape = Shape::inside(&SPAN, "links", LINK_FIELDS);
pub(super) static STATUS: Shape = Shape::inside(&SPAN, "status", STATUS_FIELDS);

/// An attribute: the shape of its `KeyValue` and of the `AnyValue` in it.
#[derive(Debug)]
pub(super) struct AttributeShape {
    pub(super) pair: Shape,
    pub(super) value: Shape,
}

macro_rules! attribute {
    ($name:ident, $parent:ident, $field:literal) => {
        pub(super) static $name: AttributeShape = AttributeShape {
            pair: Shape::inside(&$parent, $field, KEY_VALUE_FIELDS),
            value: Shape::inside(&$name.pair, "value", ANY_VALUE_FIELDS),
        };
    };
}

attribute!(RESOURCE_ATTRIBUTE, RESOURCE, "attributes");
attribute!(SCOPE_ATTRIBUTE, SCOPE, "attributes");
attribute!(SPAN_ATTRIBUTE, SPAN, "attributes");
attribute!(EVENT_ATTRIBUTE, EVENT, "attributes");
attribute!(LINK_ATTRIBUTE, LINK, "attributes");

/// A list inside a value. The path of an error in it starts here, because values nest without end.
pub(super) static LIST: Shape = Shape {
    name: "(nested value)",
    parent: None,
    fields: LIST_FIELDS,
};
attribute!(LIST_PAIR, LIST, "values");
pub(super) static LIST_ELEMENT: Shape = Shape::inside(&LIST, "values", ANY_VALUE_FIELDS);
