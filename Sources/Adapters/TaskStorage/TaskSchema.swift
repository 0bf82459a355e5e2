import SQLiteFile

/// The tables of `tasks.sqlite`. Texts that come from outside are blobs: SQLite's own texts end at the first NUL.
enum TaskSchema {
    static let schema = DatabaseSchema(
        // "ASTK"
        applicationID: 0x4153_544B,
        migrations: [
            """
            CREATE TABLE task (
                number INTEGER PRIMARY KEY,
                tenant BLOB NOT NULL,
                owner BLOB NOT NULL,
                id TEXT NOT NULL,
                context BLOB NOT NULL,
                state INTEGER NOT NULL,
                changed_at INTEGER NOT NULL,
                status BLOB NOT NULL,
                metadata BLOB,
                UNIQUE (id, owner, tenant)
            ) STRICT;
            CREATE INDEX task_of_caller ON task (owner, tenant, changed_at DESC, id DESC);
            CREATE INDEX task_by_end ON task (changed_at) WHERE state IN (3, 4, 5, 7);
            CREATE INDEX task_unfinished ON task (number) WHERE state IN (0, 1, 2);

            CREATE TABLE message (
                task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
                place INTEGER NOT NULL,
                body BLOB NOT NULL,
                PRIMARY KEY (task, place)
            ) STRICT, WITHOUT ROWID;

            CREATE TABLE artifact (
                task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
                place INTEGER NOT NULL,
                chunk INTEGER NOT NULL,
                body BLOB NOT NULL,
                PRIMARY KEY (task, place, chunk)
            ) STRICT, WITHOUT ROWID;

            CREATE TABLE push_config (
                task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
                id BLOB NOT NULL,
                body BLOB NOT NULL,
                PRIMARY KEY (task, id)
            ) STRICT, WITHOUT ROWID;

            CREATE TABLE sent (
                message BLOB NOT NULL,
                owner BLOB NOT NULL,
                tenant BLOB NOT NULL,
                digest BLOB NOT NULL,
                task INTEGER REFERENCES task (number) ON DELETE CASCADE,
                reply BLOB,
                at INTEGER NOT NULL,
                PRIMARY KEY (message, owner, tenant)
            ) STRICT, WITHOUT ROWID;
            CREATE INDEX sent_of_task ON sent (task) WHERE task IS NOT NULL;
            CREATE INDEX sent_reply ON sent (at) WHERE task IS NULL;
            """
        ])
}
