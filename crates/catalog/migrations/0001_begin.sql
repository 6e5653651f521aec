-- Both databases read this file: columns are TEXT or BIGINT, times are nanoseconds since the Unix epoch, flags are 0 or 1.

CREATE TABLE queries (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    group_by_keys TEXT NOT NULL, -- JSON: a list of texts
    settings TEXT NOT NULL, -- JSON
    created_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    scheduled_to_ns BIGINT
);

-- query_id names no row that must be there: snapshots and diffs outlive their query, diffs their snapshots.
CREATE TABLE snapshots (
    id TEXT NOT NULL PRIMARY KEY,
    window_key TEXT NOT NULL UNIQUE, -- SHA-256 of query_id, query, group_by_keys, from_ns and to_ns: texts are too long for an index
    query_id TEXT,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    group_by_keys TEXT NOT NULL, -- JSON: a list of texts
    settings TEXT NOT NULL, -- JSON
    from_ns BIGINT NOT NULL,
    to_ns BIGINT NOT NULL,
    due_ns BIGINT NOT NULL,
    state TEXT NOT NULL, -- pending, collecting, ready, failed, cancelled
    reason TEXT,
    origin TEXT NOT NULL,
    is_pinned BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    completed_ns BIGINT,
    progress_ppm BIGINT NOT NULL,
    summary TEXT NOT NULL, -- JSON
    diff_state TEXT NOT NULL, -- none, due, done
    object TEXT,
    attempts BIGINT NOT NULL,
    lease_owner TEXT, -- who works on it: collects it, or computes its diff once it is ready
    lease_until_ns BIGINT
);

CREATE INDEX snapshots_of_query ON snapshots (query_id, id);
CREATE INDEX snapshots_in_state ON snapshots (state, id);
CREATE INDEX snapshots_by_end ON snapshots (query_id, state, to_ns);
CREATE INDEX snapshots_to_collect ON snapshots (due_ns, id) WHERE state IN ('pending', 'collecting');
CREATE INDEX snapshots_to_compare ON snapshots (to_ns, id) WHERE state = 'ready' AND diff_state = 'due';

CREATE TABLE diffs (
    id TEXT NOT NULL PRIMARY KEY,
    query_id TEXT,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    baseline_id TEXT NOT NULL,
    candidate_id TEXT NOT NULL,
    calculated_ns BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    sentence TEXT NOT NULL,
    summary TEXT NOT NULL, -- JSON
    object TEXT NOT NULL,
    UNIQUE (baseline_id, candidate_id)
);

CREATE INDEX diffs_of_query ON diffs (query_id, id);
CREATE INDEX diffs_with_verdict ON diffs (verdict, id);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_ns BIGINT NOT NULL
);

CREATE TABLE deployments (
    id TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    details TEXT NOT NULL -- JSON
);

CREATE TABLE seen (
    seen_key TEXT NOT NULL PRIMARY KEY, -- SHA-256 of kind and name: names are too long for an index
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    details TEXT NOT NULL, -- JSON
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL
);

CREATE INDEX seen_last ON seen (last_ns);
