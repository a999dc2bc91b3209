import GRDB

extension JobStore {
    /// The database's history. Migrations are append-only: never change a released one.
    /// So the column with an artifact's role is still called `kind`.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { db in
            try db.execute(
                sql: """
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
                    """)
        }
        migrator.registerMigration("v2") { db in
            // The recipe's own name, so that queries can filter jobs by it.
            try db.execute(sql: "ALTER TABLE recipes ADD COLUMN name TEXT NOT NULL DEFAULT ''")
            for row in try StoredRow.all(db, sql: "SELECT id, yaml FROM recipes") {
                let (id, yaml): (Int64, String) = (try row["id"], try row["yaml"])
                try db.execute(
                    sql: "UPDATE recipes SET name = ? WHERE id = ?", arguments: [RecipeName.read(from: yaml), id])
            }
            try db.execute(sql: "CREATE INDEX recipes_by_name ON recipes (name)")
        }
        migrator.registerMigration("indexes of the orders") { db in
            // For the first page of each `JobOrder`, of all jobs and of one state, without a sort of all jobs.
            try db.execute(
                sql: """
                    CREATE INDEX jobs_in_order_of_name ON jobs (lower(name), sequence DESC);
                    CREATE INDEX jobs_in_order_of_priority ON jobs (priority, sequence);
                    CREATE INDEX jobs_in_order_of_end ON jobs (IFNULL(finished_at, 0.0), sequence);
                    CREATE INDEX jobs_of_state_in_order_of_end ON jobs (state, IFNULL(finished_at, 0.0), sequence);
                    CREATE INDEX jobs_of_state_in_order_of_priority ON jobs (state, priority, sequence);
                    -- Holds all that `recipeLoads` asks, which event streams do every second.
                    CREATE INDEX jobs_of_recipe
                        ON jobs (recipe, state, iteration, total_iterations, seconds_per_iteration);
                    """)
        }
        migrator.registerMigration("v3") { db in
            // The attempt that measured a row. Rows beyond the checkpoint where the next attempt resumes are no longer
            // part of the training. Older rows have 0 and always count.
            try db.execute(sql: "ALTER TABLE metrics ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0")
        }
        migrator.registerMigration("logs by session") { db in
            // A new worker process restarts its request numbers. Without the session, its first lines looked like
            // repeated ones and were dropped. Older lines have no session.
            try db.execute(
                sql: """
                    CREATE TABLE new_logs (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        job INTEGER NOT NULL REFERENCES jobs (sequence),
                        attempt INTEGER NOT NULL,
                        -- session, request and line are set for a worker's lines: a repeated batch is recognised by them.
                        session INTEGER,
                        request INTEGER,
                        line INTEGER,
                        at REAL NOT NULL,
                        level TEXT NOT NULL,
                        message TEXT NOT NULL,
                        UNIQUE (job, attempt, session, request, line)
                    ) STRICT;
                    INSERT INTO new_logs (id, job, attempt, at, level, message)
                        SELECT id, job, attempt, at, level, message FROM logs ORDER BY id;
                    DROP TABLE logs;
                    ALTER TABLE new_logs RENAME TO logs;
                    CREATE INDEX logs_by_job ON logs (job, id);
                    """)
        }
        migrator.registerMigration("needs of jobs") { db in
            // What a job needs of a worker, as JSON. Without it, any worker may get the job.
            try db.execute(sql: "ALTER TABLE jobs ADD COLUMN needs TEXT")
        }
        migrator.registerMigration("jobs by exemplar") { db in
            // A covering index: pages look for jobs of one exemplar that differ only in the seed.
            try db.execute(sql: "CREATE INDEX jobs_by_exemplar ON jobs (exemplar_sha256, recipe)")
        }
        migrator.registerMigration("kinds of work") { db in
            // Before this migration, every job trained two networks on one exemplar. Now a job has a kind, named inputs
            // and the products of its kind. "recipes" holds the specification of any kind of job.
            try db.execute(
                sql: """
                    ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'train';
                    CREATE TABLE inputs (
                        job INTEGER NOT NULL REFERENCES jobs (sequence),
                        position INTEGER NOT NULL,
                        name TEXT NOT NULL,
                        sha256 TEXT NOT NULL,
                        bytes INTEGER NOT NULL,
                        file_name TEXT NOT NULL,
                        PRIMARY KEY (job, position)
                    ) STRICT, WITHOUT ROWID;
                    -- Pages look for jobs of one exemplar that differ in the seed alone.
                    CREATE INDEX inputs_by_digest ON inputs (sha256, position);
                    INSERT INTO inputs (job, position, name, sha256, bytes, file_name)
                        SELECT sequence, 0, 'exemplar', exemplar_sha256, exemplar_bytes, file_name FROM jobs;
                    CREATE TABLE products (
                        job INTEGER NOT NULL REFERENCES jobs (sequence),
                        role TEXT NOT NULL,
                        sha256 TEXT NOT NULL,
                        PRIMARY KEY (job, role)
                    ) STRICT, WITHOUT ROWID;
                    INSERT INTO products (job, role, sha256)
                        SELECT sequence, 'generator', generator_sha256 FROM jobs WHERE generator_sha256 IS NOT NULL;
                    INSERT INTO products (job, role, sha256)
                        SELECT sequence, 'discriminator', discriminator_sha256 FROM jobs
                        WHERE discriminator_sha256 IS NOT NULL;
                    DROP INDEX jobs_by_exemplar;
                    ALTER TABLE jobs DROP COLUMN exemplar_sha256;
                    ALTER TABLE jobs DROP COLUMN exemplar_bytes;
                    ALTER TABLE jobs DROP COLUMN file_name;
                    ALTER TABLE jobs DROP COLUMN generator_sha256;
                    ALTER TABLE jobs DROP COLUMN discriminator_sha256;
                    """)
        }
        migrator.registerMigration("tokens") { db in
            // The secrets of tokens and sessions are not here: digest is a SHA-256.
            try db.execute(
                sql: """
                    CREATE TABLE tokens (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        name TEXT NOT NULL,
                        role TEXT NOT NULL,
                        digest TEXT NOT NULL UNIQUE,
                        created_at REAL NOT NULL,
                        expires_at REAL,
                        revoked_at REAL
                    ) STRICT;
                    CREATE TABLE sessions (
                        digest TEXT PRIMARY KEY,
                        token INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
                        expires_at REAL NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX sessions_by_token ON sessions (token, expires_at);
                    """)
        }
        migrator.registerMigration("worker keys") { db in
            // Keys are public keys, as hexadecimal digits; secrets are not here.
            try db.execute(
                sql: """
                    CREATE TABLE worker_keys (
                        key TEXT PRIMARY KEY,
                        name TEXT NOT NULL,
                        added_at REAL NOT NULL,
                        revoked_at REAL
                    ) STRICT, WITHOUT ROWID;
                    CREATE TABLE invitations (
                        key TEXT PRIMARY KEY,
                        expires_at REAL NOT NULL,
                        used_by TEXT
                    ) STRICT, WITHOUT ROWID;
                    -- What a worker has shown: its key, and the SHA-256 of its secret.
                    ALTER TABLE workers ADD COLUMN key TEXT;
                    ALTER TABLE workers ADD COLUMN secret_digest TEXT;
                    """)
        }
        migrator.registerBatchesAndLabels()
        registerAwaitedInputs(&migrator)
        registerNotifications(&migrator)
        migrator.registerMigration("index of result names") { db in
            // Lists show results' names, so these are what `JobOrder.name` sorts by.
            try db.execute(
                sql: """
                    DROP INDEX jobs_in_order_of_name;
                    CREATE INDEX jobs_in_order_of_result_name ON jobs (lower(result_name), sequence DESC);
                    """)
        }
        migrator.registerMigration("sizes by digest") { db in
            // Holds all that `distinctArtifactBytesSQL` asks. Without the sizes, SQLite looked up every row.
            try db.execute(
                sql: """
                    DROP INDEX artifacts_by_digest;
                    CREATE INDEX artifacts_by_digest ON artifacts (sha256, bytes);
                    """)
        }
        return migrator
    }
}
