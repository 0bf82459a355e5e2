package import A2A
package import AgentTasks
import FoundationEssentials
import GRDB
import JOSE
import SPIFFE
package import SQLiteFile

typealias DatabaseAccess = GRDB.Database

/// An agent's tasks in one SQLite file, or in memory for as long as the process lives.
package final class SQLiteTaskStore: TaskStore {
    private let database: SQLiteDatabase
    private let commits: CommitQueue

    /// The file's name below an agent's data directory.
    package static let fileName = "tasks.sqlite"

    private init(_ database: SQLiteDatabase) {
        self.database = database
        commits = CommitQueue(database)
    }

    /// Opens or creates the file in a directory whose lock the caller holds.
    package static func open(directory: String) throws(SQLiteStorageError) -> SQLiteTaskStore {
        SQLiteTaskStore(try .open(path: "\(directory)/\(fileName)", schema: TaskSchema.schema))
    }

    /// Tasks that end with the process.
    package static func inMemory() throws(SQLiteStorageError) -> SQLiteTaskStore {
        SQLiteTaskStore(try .inMemory(schema: TaskSchema.schema))
    }

    package func close() { database.close() }

    // Writing

    package func commit(_ commit: TaskCommit) async throws(TaskStoreError) {
        try await write { db in
            let task = try Self.put(commit, db)
            try Self.append(commit.messages, to: task, db)
            for write in commit.artifacts { try Self.write(write, of: task, db) }
            for config in commit.pushConfigs { try Self.put(config, of: task, db) }
            for sent in commit.sent {
                try Self.insert(sent, scope: commit.key.scope, task: task, reply: nil, at: commit.changedAt, db)
            }
        }
    }

    private static func put(_ commit: TaskCommit, _ db: Database) throws -> Int64 {
        let metadata = commit.metadata.isEmpty ? nil : BlobValue.make(commit.metadata.serializedBytes)
        let status = BlobValue.make(commit.status.jsonBytes)
        let (owner, tenant) = commit.key.scope.columns
        guard !commit.isNew else {
            try db.cachedStatement(
                sql: """
                    INSERT INTO task (tenant, owner, id, context, state, changed_at, status, metadata)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                tenant, owner, commit.key.id, BlobValue.make(text: commit.contextID), commit.status.state.rawValue,
                commit.changedAt.milliseconds, status, metadata,
            ])
            return db.lastInsertedRowID
        }
        let find = try db.cachedStatement(
            sql: """
                UPDATE task SET state = ?, changed_at = ?, status = ?, metadata = ?
                WHERE id = ? AND owner = ? AND tenant = ? RETURNING number
                """)
        guard
            let number = try Int64.fetchOne(
                find,
                arguments: [
                    commit.status.state.rawValue, commit.changedAt.milliseconds, status, metadata, commit.key.id,
                    owner, tenant,
                ])
        else { throw TaskStoreError("the task is not there") }
        return number
    }

    private static func append(_ messages: [Message], to task: Int64, _ db: Database) throws {
        guard !messages.isEmpty else { return }
        let insert = try db.cachedStatement(
            sql: """
                INSERT INTO message (task, place, body)
                VALUES (?1, (SELECT COALESCE(MAX(place), 0) + 1 FROM message WHERE task = ?1), ?2)
                """)
        for message in messages { try insert.execute(arguments: [task, BlobValue.make(message.jsonBytes)]) }
    }

    private static func write(_ write: TaskCommit.ArtifactWrite, of task: Int64, _ db: Database) throws {
        let (place, artifact, chunk): (Int, Artifact, Int64)
        switch write {
        case .put(let at, let whole):
            try db.cachedStatement(sql: "DELETE FROM artifact WHERE task = ? AND place = ?")
                .execute(arguments: [task, at])
            (place, artifact, chunk) = (at, whole, 0)
        case .append(let at, let more):
            let last = try Int64.fetchOne(
                try db.cachedStatement(sql: "SELECT MAX(chunk) FROM artifact WHERE task = ? AND place = ?"),
                arguments: [task, at])
            guard let last else { throw TaskStoreError("the artifact is not there") }
            (place, artifact, chunk) = (at, more, last + 1)
        }
        try db.cachedStatement(sql: "INSERT INTO artifact (task, place, chunk, body) VALUES (?, ?, ?, ?)")
            .execute(arguments: [task, place, chunk, BlobValue.make(artifact.jsonBytes)])
    }

    private static func put(_ config: PushNotificationConfig, of task: Int64, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO push_config (task, id, body) VALUES (?, ?, ?)
                ON CONFLICT (task, id) DO UPDATE SET body = excluded.body
                """
        ).execute(arguments: [task, BlobValue.make(text: config.id ?? ""), BlobValue.make(config.jsonBytes)])
    }

    private static func insert(
        _ sent: SentMessage, scope: TaskScope, task: Int64?, reply: Message?, at time: UnixTime, _ db: Database
    ) throws {
        let (owner, tenant) = scope.columns
        try db.cachedStatement(
            sql: "INSERT INTO sent (message, owner, tenant, digest, task, reply, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
        ).execute(arguments: [
            BlobValue.make(text: sent.messageID), owner, tenant, BlobValue.make(sent.digest), task,
            reply.map { BlobValue.make($0.jsonBytes) }, time.milliseconds,
        ])
    }

    package func remember(
        _ sent: SentMessage, contextID: String, scope: TaskScope, at now: UnixTime
    ) async throws(TaskStoreError) {
        guard case .reply(let reply) = sent.outcome else { throw TaskStoreError("it is no reply") }
        try await write { db in try Self.insert(sent, scope: scope, task: nil, reply: reply, at: now, db) }
    }

    package func setPushConfig(_ config: PushNotificationConfig, of key: TaskKey) async throws(TaskStoreError) {
        try await write { db in
            guard let task = try Self.number(of: key, db) else { throw TaskStoreError("the task is not there") }
            try Self.put(config, of: task, db)
        }
    }

    package func deletePushConfig(_ id: String, of key: TaskKey) async throws(TaskStoreError) {
        try await write { db in
            guard let task = try Self.number(of: key, db) else { return }
            try db.cachedStatement(sql: "DELETE FROM push_config WHERE task = ? AND id = ?")
                .execute(arguments: [task, BlobValue.make(text: id)])
        }
    }

    package func forget(before time: UnixTime) async throws(TaskStoreError) -> Int {
        try await result(
            await database.write { db in
                try db.cachedStatement(sql: "DELETE FROM task WHERE state IN (3, 4, 5, 7) AND changed_at < ?")
                    .execute(arguments: [time.milliseconds])
                let count = db.changesCount
                try db.cachedStatement(sql: "DELETE FROM sent WHERE task IS NULL AND at < ?")
                    .execute(arguments: [time.milliseconds])
                return count
            })
    }

    // Reading

    package func task(_ key: TaskKey, view: TaskView) async throws(TaskStoreError) -> AgentTask? {
        try await read { db in
            let (owner, tenant) = key.scope.columns
            let statement = try db.cachedStatement(
                sql: """
                    SELECT number, id, context, status, metadata, changed_at FROM task
                    WHERE id = ? AND owner = ? AND tenant = ?
                    """)
            return try Row.fetchOne(statement, arguments: [key.id, owner, tenant]).map { row in
                try Self.task(row, view, db)
            }
        }
    }

    package func tasks(_ query: TaskQuery, scope: TaskScope) async throws(TaskStoreError) -> TaskPage {
        try await read { db in
            let (owner, tenant) = scope.columns
            var conditions = ["owner = :owner", "tenant = :tenant"]
            var arguments: StatementArguments = ["owner": owner, "tenant": tenant]
            if let context = query.contextID {
                conditions.append("context = :context")
                arguments += ["context": BlobValue.make(text: context)]
            }
            if let state = query.state {
                conditions.append("state = :state")
                arguments += ["state": state.rawValue]
            }
            if let since = query.changedSince {
                conditions.append("changed_at >= :since")
                arguments += ["since": since.milliseconds]
            }
            let total = try Int.fetchOne(
                db.cachedStatement(sql: "SELECT COUNT(*) FROM task WHERE \(conditions.joined(separator: " AND "))"),
                arguments: arguments)
            if let after = query.after {
                conditions.append("(changed_at, id) < (:time, :id)")
                arguments += ["time": after.changedAt.milliseconds, "id": after.id]
            }
            arguments += ["limit": query.limit + 1]
            let statement = try db.cachedStatement(
                sql: """
                    SELECT number, id, context, status, metadata, changed_at FROM task
                    WHERE \(conditions.joined(separator: " AND "))
                    ORDER BY changed_at DESC, id DESC LIMIT :limit
                    """)
            let rows = try Row.fetchAll(statement, arguments: arguments)
            let page = rows.prefix(query.limit)
            let next: TaskQuery.Position? =
                try rows.count > page.count
                ? page.last.map { .init(changedAt: try $0.time(5), id: try $0.decode(atIndex: 1)) } : nil
            return TaskPage(
                tasks: try page.map { try Self.task($0, query.view, db) }, next: next, total: total ?? 0)
        }
    }

    package func sent(_ messageID: String, scope: TaskScope) async throws(TaskStoreError) -> SentMessage? {
        try await read { db in
            let (owner, tenant) = scope.columns
            let statement = try db.cachedStatement(
                sql: """
                    SELECT sent.digest, task.id, sent.reply FROM sent LEFT JOIN task ON task.number = sent.task
                    WHERE sent.message = ? AND sent.owner = ? AND sent.tenant = ?
                    """)
            let found = try Row.fetchOne(
                statement, arguments: [BlobValue.make(text: messageID), owner, tenant])
            guard let row = found else { return nil }
            let outcome: SentMessage.Outcome
            if let task = try row.decodeIfPresent(String.self, atIndex: 1) {
                outcome = .task(task)
            } else {
                outcome = .reply(try Self.read(Message.self, row.bytes(2)))
            }
            return SentMessage(messageID: messageID, digest: try row.bytes(0), outcome: outcome)
        }
    }

    package func unfinished() async throws(TaskStoreError) -> [(key: TaskKey, task: AgentTask)] {
        let found: [Unfinished] = try await read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT number, id, context, status, metadata, changed_at, owner, tenant FROM task
                    WHERE state IN (0, 1, 2)
                    """)
            return try rows.map { row in
                let task = try Self.task(row, TaskView(historyLength: 0, includesArtifacts: false), db)
                let scope = TaskScope(owner: try row.freeText(6), tenant: try row.freeText(7))
                return Unfinished(key: TaskKey(scope: scope, id: task.id), task: task)
            }
        }
        return found.map { ($0.key, $0.task) }
    }

    private struct Unfinished: Sendable {
        let key: TaskKey
        let task: AgentTask
    }

    package func pushConfigs(of key: TaskKey) async throws(TaskStoreError) -> [PushNotificationConfig] {
        try await read { db in
            let (owner, tenant) = key.scope.columns
            let statement = try db.cachedStatement(
                sql: """
                    SELECT push_config.body FROM push_config JOIN task ON task.number = push_config.task
                    WHERE task.id = ? AND task.owner = ? AND task.tenant = ? ORDER BY push_config.id
                    """)
            return try Row.fetchAll(statement, arguments: [key.id, owner, tenant]).map { row in
                try Self.read(PushNotificationConfig.self, row.bytes(0))
            }
        }
    }

    private static func number(of key: TaskKey, _ db: Database) throws -> Int64? {
        let (owner, tenant) = key.scope.columns
        return try Int64.fetchOne(
            try db.cachedStatement(sql: "SELECT number FROM task WHERE id = ? AND owner = ? AND tenant = ?"),
            arguments: [key.id, owner, tenant])
    }

    private static func task(_ row: Row, _ view: TaskView, _ db: Database) throws -> AgentTask {
        let number: Int64 = try row.decode(atIndex: 0)
        var task = AgentTask(
            id: try row.decode(atIndex: 1), contextID: try row.freeText(2),
            status: try read(TaskStatus.self, row.bytes(3)))
        if let metadata = try row.optionalBytes(4) {
            task.metadata = try JSONValue(parsing: metadata, limits: limits).objectValue ?? JSONObject()
        }
        if view.historyLength != 0 {
            let messages = try db.cachedStatement(
                sql: "SELECT body FROM message WHERE task = ? ORDER BY place DESC LIMIT ?")
            let rows = try Row.fetchAll(messages, arguments: [number, view.historyLength ?? -1])
            task.history = try rows.reversed().map { try read(Message.self, $0.bytes(0)) }
        }
        guard view.includesArtifacts else { return task }
        let chunks = try db.cachedStatement(
            sql: "SELECT chunk, body FROM artifact WHERE task = ? ORDER BY place, chunk")
        for row in try Row.fetchAll(chunks, arguments: [number]) {
            let artifact = try read(Artifact.self, row.bytes(1))
            if try row.decode(Int64.self, atIndex: 0) == 0 {
                task.artifacts.append(artifact)
            } else {
                task.artifacts[task.artifacts.count - 1].extend(by: artifact)
            }
        }
        return task
    }

    /// What was written was within the limits of whoever wrote it.
    private static let limits = JSONLimits(maximumBytes: 1 << 30, maximumDepth: JSONLimits.deepestMaximumDepth)

    private static func read<Value: ProtoJSONMessage>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Value {
        try Value(json: JSONValue(parsing: bytes, limits: limits))
    }

    // The database

    private func write(_ body: @escaping @Sendable (Database) throws -> Void) async throws(TaskStoreError) {
        do {
            try await commits.write(body)
        } catch {
            throw error as? TaskStoreError ?? TaskStoreError("\(SQLiteStorageError(error, path: database.path))")
        }
    }

    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(TaskStoreError) -> Value {
        try await result(await database.read(body))
    }

    private func result<Value>(_ result: Result<Value, any Error>) async throws(TaskStoreError) -> Value {
        switch result {
        case .success(let value): return value
        case .failure(let error):
            throw error as? TaskStoreError ?? TaskStoreError("\(SQLiteStorageError(error, path: database.path))")
        }
    }
}

extension TaskScope {
    /// The columns `owner` and `tenant`.
    fileprivate var columns: (owner: Data, tenant: Data) { (BlobValue.make(text: owner), BlobValue.make(text: tenant)) }
}
