/// What a database file is and how it came to be.
package struct DatabaseSchema: Sendable {
    /// SQLite's `application_id`: tells our files from others.
    package let applicationID: Int64
    /// Each brings the database one version further. Only appended to, never changed: `user_version` counts them.
    package let migrations: [String]

    package init(applicationID: Int64, migrations: [String]) {
        self.applicationID = applicationID
        self.migrations = migrations
    }
}
