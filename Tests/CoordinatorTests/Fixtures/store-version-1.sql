-- The job store as texloom 0.1.0 wrote it (version 1).
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Thousands of jobs share a handful of recipes.
CREATE TABLE recipes (id INTEGER PRIMARY KEY, yaml TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE jobs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    result_name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    file_name TEXT NOT NULL,
    submission_key TEXT UNIQUE,
    exemplar_sha256 TEXT NOT NULL,
    exemplar_bytes INTEGER NOT NULL,
    recipe INTEGER NOT NULL REFERENCES recipes (id),
    priority INTEGER NOT NULL,
    queue_order INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    failures INTEGER NOT NULL,
    avoided_worker TEXT,
    generator_sha256 TEXT,
    discriminator_sha256 TEXT,
    iteration INTEGER NOT NULL,
    total_iterations INTEGER NOT NULL,
    seconds_per_iteration REAL NOT NULL,
    submitted_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    training_seconds REAL,
    report_json TEXT
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, sequence);
CREATE INDEX jobs_by_name ON jobs (name, sequence);

CREATE TABLE attempts (
    job INTEGER NOT NULL REFERENCES jobs (sequence),
    number INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    worker_name TEXT NOT NULL,
    session INTEGER NOT NULL,
    start_iteration INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT,
    reason TEXT,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    job INTEGER NOT NULL REFERENCES jobs (sequence),
    kind TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (job, kind, iteration)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifacts_by_digest ON artifacts (sha256);

CREATE TABLE metric_columns (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;
-- "values" is one little-endian float32 per column. An iteration trained again after a resume
-- replaces its row.
CREATE TABLE metrics (
    job INTEGER NOT NULL REFERENCES jobs (sequence),
    iteration INTEGER NOT NULL,
    columns INTEGER NOT NULL REFERENCES metric_columns (id),
    unix_seconds REAL NOT NULL,
    "values" BLOB NOT NULL,
    PRIMARY KEY (job, iteration)
) STRICT, WITHOUT ROWID;

-- request and line are set for a worker's lines: a repeated batch is recognised by them.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES jobs (sequence),
    attempt INTEGER NOT NULL,
    request INTEGER,
    line INTEGER,
    at REAL NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    UNIQUE (job, attempt, request, line)
) STRICT;
CREATE INDEX logs_by_job ON logs (job, id);

CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    software_version TEXT NOT NULL,
    slots INTEGER NOT NULL,
    threads_per_slot INTEGER NOT NULL,
    cpu TEXT NOT NULL,
    session INTEGER NOT NULL,
    is_draining INTEGER NOT NULL,
    is_connected INTEGER NOT NULL,
    first_seen_at REAL NOT NULL,
    last_seen_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
INSERT INTO grdb_migrations (identifier) VALUES ('v1');

INSERT INTO meta (key, value) VALUES ('coordinator_id', 'cluster-of-old');
INSERT INTO recipes (id, yaml) VALUES (1, 'recipe: draft' || char(10));
INSERT INTO jobs (sequence, id, name, result_name, file_name, submission_key, exemplar_sha256, exemplar_bytes, recipe,
    priority, queue_order, state, reason, failures, avoided_worker, generator_sha256, discriminator_sha256, iteration,
    total_iterations, seconds_per_iteration, submitted_at, started_at, finished_at, training_seconds, report_json)
VALUES
    (1, '0000010001', 'wood', 'wood', 'wood.png', 'night-1', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 10, 1, 0, 1, 'finished', NULL, 0, NULL,
        'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 300, 300, 0.5, 1700000000.0, 1700000001.0, 1700000200.0, 150.0, '{}'),
    (2, '0000020002', 'wall', 'wall', 'wall.png', 'night-2', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 10, 1, 3, 2, 'running', NULL, 1, 'w2',
        NULL, NULL, 200, 300, 0.5, 1700000000.0, 1700000002.0, NULL, NULL, NULL),
    (3, '0000030003', 'sand', 'sand', 'sand.png', NULL, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 12, 1, 0, 3, 'held', '3 attempts failed', 3, 'w1',
        NULL, NULL, 0, 0, 0.0, 1700000000.0, 1700000003.0, 1700000100.0, NULL, NULL);
INSERT INTO attempts VALUES
    (1, 1, 'w1', 'forge', 5, 0, 300, 1700000001.0, 1700000200.0, 'finished', NULL),
    (2, 1, 'w2', 'anvil', 6, 0, 120, 1700000002.0, 1700000090.0, 'failed', 'NaN'),
    (2, 2, 'w1', 'forge', -2, 100, 200, 1700000100.0, NULL, NULL, NULL);
INSERT INTO artifacts VALUES
    (1, 'exemplar', 0, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 10, 1700000000.0), (1, 'generator', 300, 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 20, 1700000190.0),
    (1, 'discriminator', 300, 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 20, 1700000191.0), (1, 'checkpoint', 300, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 50, 1700000189.0),
    (2, 'exemplar', 0, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 10, 1700000000.0), (2, 'checkpoint', 100, 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 50, 1700000080.0),
    (2, 'checkpoint', 200, '1111111111111111111111111111111111111111111111111111111111111111', 50, 1700000150.0), (3, 'exemplar', 0, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 12, 1700000000.0);
INSERT INTO metric_columns (id, names) VALUES (1, '["l1","style"]');
INSERT INTO metrics VALUES (1, 10, 1, 1700000010.0, x'0000003f00000040');
INSERT INTO logs (job, attempt, request, line, at, level, message) VALUES
    (1, 0, NULL, NULL, 1700000000.0, 'info', 'accepted'), (1, 1, 7, 0, 1700000001.0, 'info', 'begun');
INSERT INTO workers VALUES ('w1', 'forge', '0.1.0', 2, 1, 'Zen 4', -2, 0, 1, 1700000000.0, 1700000200.0);
