//! Keys: what a clause asks about. Which words name something other than an attribute is decided here alone.

/// What a clause asks about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The service: `service` or `service.name`.
    Service,
    /// The span's name: `operation`.
    Operation,
    /// The span's id, in the original's words: `lightstep.span_id`.
    LightstepSpanId,
    /// The trace's id, in the original's words: `lightstep.trace_id`.
    LightstepTraceId,
    /// The service instance, in the original's words: `lightstep.tracer_id`.
    LightstepTracerId,
    /// The span's id: `span_id`.
    SpanId,
    /// The trace's id: `trace_id`.
    TraceId,
    /// The span's duration: `duration`.
    Duration,
    /// The span's kind: `kind`.
    Kind,
    /// The span's status: `status`.
    Status,
    /// Whether the status is an error: `error`.
    Error,
    /// Whether the span has no parent: `root`.
    Root,
    /// Any other key: an attribute of the span, its scope or its resource.
    Attribute(String),
}

impl Key {
    /// The attributes that tell the service instance, first answer wins: what Lightstep's tracers call it, then
    /// OpenTelemetry.
    pub(super) const TRACER_ID_ATTRIBUTES: [&'static str; 3] = [
        "lightstep.tracer_id",
        "lightstep.guid",
        "service.instance.id",
    ];

    /// The key that a word names. The original's keys are known with quotes too; our own only without, so that every
    /// attribute can be named.
    pub(super) fn from_text(text: String, quoted: bool) -> Self {
        match text.as_str() {
            "service" | "service.name" => return Self::Service,
            "operation" => return Self::Operation,
            "lightstep.span_id" => return Self::LightstepSpanId,
            "lightstep.trace_id" => return Self::LightstepTraceId,
            "lightstep.tracer_id" => return Self::LightstepTracerId,
            _ => {}
        }
        match text.as_str() {
            "span_id" if !quoted => Self::SpanId,
            "trace_id" if !quoted => Self::TraceId,
            "duration" if !quoted => Self::Duration,
            "kind" if !quoted => Self::Kind,
            "status" if !quoted => Self::Status,
            "error" if !quoted => Self::Error,
            "root" if !quoted => Self::Root,
            _ => Self::Attribute(text),
        }
    }

    /// The key without quotes.
    pub fn name(&self) -> &str {
        match self {
            Self::Service => "service",
            Self::Operation => "operation",
            Self::LightstepSpanId => "lightstep.span_id",
            Self::LightstepTraceId => "lightstep.trace_id",
            Self::LightstepTracerId => "lightstep.tracer_id",
            Self::SpanId => "span_id",
            Self::TraceId => "trace_id",
            Self::Duration => "duration",
            Self::Kind => "kind",
            Self::Status => "status",
            Self::Error => "error",
            Self::Root => "root",
            Self::Attribute(name) => name,
        }
    }

    /// For the words that are ours and were an attribute's name in the original: that name. With the original's
    /// operators such an attribute, where a span has it, answers before the span itself, so that old queries keep
    /// their meaning.
    pub(super) fn original_attribute(&self) -> Option<&str> {
        matches!(
            self,
            Self::SpanId
                | Self::TraceId
                | Self::Duration
                | Self::Kind
                | Self::Status
                | Self::Error
                | Self::Root
        )
        .then(|| self.name())
    }
}

/// A span's kind, with OpenTelemetry's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanKind {
    /// Not told.
    Unspecified = 0,
    /// Inside a service.
    Internal = 1,
    /// Answers a request.
    Server = 2,
    /// Makes a request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Handles a message.
    Consumer = 5,
}

impl SpanKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Internal,
        Self::Server,
        Self::Client,
        Self::Producer,
        Self::Consumer,
    ];
    /// All names, as an error shows them.
    pub(super) const NAMES: &'static str =
        "internal, server, client, producer, consumer or unspecified";

    /// The name in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// The kind of a name, in any case and also as protobuf spells it (`SPAN_KIND_SERVER`).
    pub(super) fn from_name(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("span_kind_").unwrap_or(&text);
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A span's status, with OpenTelemetry's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanStatus {
    /// Not told.
    Unset = 0,
    /// Declared a success.
    Ok = 1,
    /// Failed.
    Error = 2,
}

impl SpanStatus {
    /// Every status, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Unset, Self::Ok, Self::Error];
    /// All names, as an error shows them.
    pub(super) const NAMES: &'static str = "error, ok or unset";

    /// The name in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }

    /// The status of a name, in any case and also as protobuf spells it (`STATUS_CODE_OK`).
    pub(super) fn from_name(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("status_code_").unwrap_or(&text);
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}
