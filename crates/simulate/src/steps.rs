//! What an operation does: the steps it takes, how long they take, and how they fail.

/// A log-normal time: exp(ln median + sigma z), z standard normal. Its mean is median · exp(sigma²/2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The median, in microseconds, at least 0.
    pub median_us: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
}

impl Latency {
    /// A time with that median in microseconds and that standard deviation of its logarithm.
    pub const fn new(median_us: f64, sigma: f64) -> Self {
        Self { median_us, sigma }
    }

    /// No time at all.
    pub const ZERO: Self = Self::new(0.0, 0.0);

    /// One way between two hosts of the system. Load does not move it.
    pub const NETWORK: Self = Self::new(300.0, 0.35);
}

/// One thing that an operation does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Work of its own, without a span. Load moves it.
    Work(Latency),
    /// Steps under an internal span.
    Internal {
        /// The span's name.
        name: String,
        /// What happens inside.
        steps: Vec<Step>,
    },
    /// A call of another operation: a client span here and a server span there.
    Call(Call),
    /// A call of something that sends no spans: a client span only.
    Query(Query),
    /// A message: a producer span here and, later, a consumer span there. Nobody waits for it.
    Produce(Produce),
    /// All at once; it takes as long as the longest, and fails as the first of them that fails.
    Parallel(Vec<Step>),
    /// One after the other, as one branch of [`Step::Parallel`] or one body of [`Step::Maybe`].
    Sequence(Vec<Step>),
    /// With some probability.
    Maybe {
        /// The probability.
        probability: f64,
        /// What then happens.
        step: Box<Step>,
    },
    /// Several times, one after the other.
    Repeat {
        /// The least number of times.
        least: u32,
        /// The largest number of times; all between are equally likely.
        most: u32,
        /// What happens each time.
        step: Box<Step>,
    },
}

/// A call of another operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The service called.
    pub service: String,
    /// Its operation.
    pub operation: String,
    /// One way over the network; drawn for the request and again for the response.
    pub network: Latency,
    /// How often a failed call is made again, where another try can help.
    pub retries: u32,
    /// The wait before each retry.
    pub backoff: Latency,
    /// Whether the caller goes on after a failure as if nothing had happened.
    pub absorbed: bool,
}

/// A call of something that sends no spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The dependency called.
    pub dependency: String,
    /// `SELECT` of a data store, `POST /v2/charges` of a third party.
    pub operation: String,
    /// `db.collection.name`; empty for none.
    pub collection: String,
    /// How long it takes. Load moves it as it moves the caller's own work.
    pub latency: Latency,
    /// How it fails.
    pub failures: Vec<Failure>,
}

/// A message to a consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Produce {
    /// The service that consumes it.
    pub service: String,
    /// Its operation, whose name ends in the destination.
    pub operation: String,
    /// How long sending takes.
    pub latency: Latency,
    /// How long the message waits.
    pub delay: Latency,
    /// Whether the consumer starts a trace of its own, linked to the producer, or goes on with the producer's. Either
    /// way its span links to the producer's.
    pub new_trace: bool,
}

/// A way to fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// How often it happens.
    pub probability: f64,
    /// What the caller is told.
    pub kind: FailureKind,
    /// `exception.type` of the exception event, and `error.type`; no event where it is empty.
    pub exception_type: String,
    /// The exception's message and the span's status message.
    pub message: String,
    /// How long it takes to show. An operation fails after its first work and this wait; its other steps are left out.
    pub wait: Latency,
}

/// What a caller is told of a failure. It passes on up the calls until somebody absorbs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// There is no such thing: HTTP 404, gRPC NOT_FOUND (5). No error on the server's side.
    NotFound,
    /// A rule forbids it: HTTP 422, gRPC FAILED_PRECONDITION (9). No error on the server's side.
    Rejected,
    /// Something broke: HTTP 500, gRPC INTERNAL (13).
    Internal,
    /// Nobody answers: HTTP 503, gRPC UNAVAILABLE (14).
    Unavailable,
    /// It took too long: HTTP 504, gRPC DEADLINE_EXCEEDED (4).
    Timeout,
}

impl FailureKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 5] = [
        Self::NotFound,
        Self::Rejected,
        Self::Internal,
        Self::Unavailable,
        Self::Timeout,
    ];

    /// Its HTTP status code.
    pub fn http_status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Rejected => 422,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// Its gRPC status code.
    pub fn grpc_status(self) -> u16 {
        match self {
            Self::NotFound => 5,
            Self::Rejected => 9,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Timeout => 4,
        }
    }

    /// Whether it is the server's fault: then its span has the error status, and another try can help.
    pub fn is_server_error(self) -> bool {
        !matches!(self, Self::NotFound | Self::Rejected)
    }
}

impl Failure {
    /// A failure that shows at once.
    pub fn new(probability: f64, kind: FailureKind, exception_type: &str, message: &str) -> Self {
        Self {
            probability,
            kind,
            exception_type: exception_type.to_owned(),
            message: message.to_owned(),
            wait: Latency::ZERO,
        }
    }

    /// That takes this long to show.
    pub fn after(mut self, median_us: f64, sigma: f64) -> Self {
        self.wait = Latency::new(median_us, sigma);
        self
    }
}

impl Step {
    /// Work of its own.
    pub fn work(median_us: f64, sigma: f64) -> Self {
        Self::Work(Latency::new(median_us, sigma))
    }

    /// Steps under an internal span.
    pub fn internal(name: &str, steps: Vec<Step>) -> Self {
        Self::Internal {
            name: name.to_owned(),
            steps,
        }
    }

    /// A step with some probability.
    pub fn maybe(probability: f64, step: Step) -> Self {
        Self::Maybe {
            probability,
            step: Box::new(step),
        }
    }

    /// A step several times.
    pub fn repeat(least: u32, most: u32, step: Step) -> Self {
        Self::Repeat {
            least,
            most,
            step: Box::new(step),
        }
    }

    /// A call that is made once and whose failure is the caller's.
    pub fn call(service: &str, operation: &str) -> Self {
        Self::Call(Call::new(service, operation))
    }

    /// A query of a data store or third party.
    pub fn query(
        dependency: &str,
        operation: &str,
        collection: &str,
        median_us: f64,
        sigma: f64,
    ) -> Self {
        Self::Query(Query {
            dependency: dependency.to_owned(),
            operation: operation.to_owned(),
            collection: collection.to_owned(),
            latency: Latency::new(median_us, sigma),
            failures: Vec::new(),
        })
    }
}

impl Call {
    /// A call that is made once and whose failure is the caller's.
    pub fn new(service: &str, operation: &str) -> Self {
        Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            network: Latency::NETWORK,
            retries: 0,
            backoff: Latency::new(20_000.0, 0.2),
            absorbed: false,
        }
    }

    /// That is made again up to that many times.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Whose failure the caller survives.
    pub fn absorbed(mut self) -> Self {
        self.absorbed = true;
        self
    }
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}
