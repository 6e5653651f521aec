CREATE TABLE deployments (
    id TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    details TEXT NOT NULL -- JSON
);
INSERT INTO "deployments" VALUES('01989c00000870008000000000000007','cart','1.5',1767607200000000005,1767607200000000006,'{"by":"ci"}');
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
INSERT INTO "diffs" VALUES('01989c00000670008000000000000005','01989c0000007000800000000000000a','checkout','service = "checkout"','01989c00000370008000000000000003','01989c00000170008000000000000001',1767607841000000000,'regressed','checkout''s p95 went up','{"findings":2}','diffs/1');
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
INSERT INTO "queries" VALUES('01989c0000007000800000000000000a','checkout','service = "checkout"','["service","http.route"]','{"schedule":{"every":"10m"}}',1767607200000000000,1767607200000000001,1767607800000000000);
CREATE TABLE schema_version (version BIGINT NOT NULL PRIMARY KEY);
INSERT INTO "schema_version" VALUES(1);
CREATE TABLE seen (
    seen_key TEXT NOT NULL PRIMARY KEY, -- SHA-256 of kind and name: names are too long for an index
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    details TEXT NOT NULL, -- JSON
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL
);
INSERT INTO "seen" VALUES('0df01c34b6e0b9d24451c896b114fca9107156d819de283394d12ddb4e042e25','service','cart','{}',1767607200000000000,1767607200000000009);
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
INSERT INTO "snapshots" VALUES('01989c00000170008000000000000001','8c0ee46b97aca94644675bbba798c6e6a3fc46f27e833bc755575b331ec3e993','01989c0000007000800000000000000a','checkout','service = "checkout"','["service"]','{}',1767607200000000000,1767607800000000000,1767607830000000000,'ready',NULL,'schedule',1,1767607800000000000,1767607840000000000,1000000,'{"spans":12}','done','snapshots/1',1,NULL,NULL);
INSERT INTO "snapshots" VALUES('01989c00000270008000000000000002','a457f7c189804ecaebb4df337fd2183dcf888d28b6b6cfcc0680510f69165010','01989c0000007000800000000000000a','checkout','service = "checkout"','["service"]','{}',1767607800000000000,1767608400000000000,1767608430000000000,'collecting',NULL,'schedule',0,1767608400000000000,NULL,250000,'{}','due',NULL,2,'01989c000005700080000000000000ff',1767608500000000000);
INSERT INTO "snapshots" VALUES('01989c00000370008000000000000003','caa24a950b2960bb7700adb905ab44705a7d2b5046e104185d87ee76e4788075',NULL,'checkout','service = "checkout"','["service"]','{}',1767607200000000000,1767607260000000000,1767607290000000000,'failed','the source does not answer','request',0,1767607260000000000,1767607290000000000,0,'{}','none',NULL,3,NULL,NULL);
INSERT INTO "snapshots" VALUES('01989c00000470008000000000000004','263ef78ab7b01d7e8e2c0601d47acc173fcc15f0f0cb708634109788d4161587','01989c0000007000800000000000000a','checkout','service = "checkout"','["service"]','{}',1767608400000000000,1767609000000000000,1767609030000000000,'pending',NULL,'schedule',0,1767609000000000000,NULL,0,'{}','due',NULL,0,NULL,NULL);
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_ns BIGINT NOT NULL
);
INSERT INTO "tokens" VALUES('01989c00000770008000000000000006','ci','read','5e884898da28047151d0e56f8dc62927',1767607200000000000);
CREATE INDEX snapshots_of_query ON snapshots (query_id, id);
CREATE INDEX snapshots_in_state ON snapshots (state, id);
CREATE INDEX snapshots_by_end ON snapshots (query_id, state, to_ns);
CREATE INDEX snapshots_to_collect ON snapshots (due_ns, id) WHERE state IN ('pending', 'collecting');
CREATE INDEX snapshots_to_compare ON snapshots (to_ns, id) WHERE state = 'ready' AND diff_state = 'due';
CREATE INDEX diffs_of_query ON diffs (query_id, id);
CREATE INDEX diffs_with_verdict ON diffs (verdict, id);
CREATE INDEX seen_last ON seen (last_ns);
