/// What a database file is and how it came to be.
struct DatabaseSchema: Sendable {
    /// SQLite's `application_id`: tells our files from others.
    let applicationID: Int64
    /// Each brings the database one version further. Only appended to, never changed: `user_version` counts them.
    let migrations: [String]
}
