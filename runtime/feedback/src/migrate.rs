//! The tables, and how they came to be what they are: each change once, in order.

use crate::error::StoreError;
use crate::sql::{Database, Statement};

/// Every change of the tables since the first. What has been released is not edited: add another.
const CHANGES: &[&[&str]] = &[&[
    "CREATE TABLE feedback (
        request_id TEXT PRIMARY KEY,
        function TEXT NOT NULL,
        version TEXT NOT NULL,
        answered_ms BIGINT NOT NULL,
        verdict TEXT NOT NULL,
        expected TEXT,
        comment TEXT,
        prediction TEXT,
        confidence DOUBLE PRECISION,
        input TEXT,
        answer TEXT NOT NULL,
        input_words TEXT NOT NULL,
        comment_words TEXT NOT NULL,
        counted BIGINT NOT NULL
    )",
    "CREATE INDEX feedback_newest ON feedback (answered_ms, request_id)",
    "CREATE INDEX feedback_of ON feedback (function, answered_ms)",
    "CREATE TABLE totals (
        function TEXT NOT NULL,
        version TEXT NOT NULL,
        verdict TEXT NOT NULL,
        n BIGINT NOT NULL,
        PRIMARY KEY (function, version, verdict)
    )",
]];

/// How often a change is tried that another process may be making at the same time.
const TRIES: usize = 3;

/// Brings the tables up to date.
///
/// # Errors
/// If the store cannot be reached, or a newer version of this program has changed it.
pub(crate) async fn migrate(database: &Database) -> Result<(), StoreError> {
    let table = "CREATE TABLE IF NOT EXISTS migrations (n BIGINT PRIMARY KEY)";
    let mut tried = 0;
    loop {
        let upgraded = async {
            database.write(vec![Statement::new(table, [])]).await?;
            upgrade(database).await
        };
        match upgraded.await {
            Err(e) if tried + 1 == TRIES => return Err(e),
            // Another process has made the change meanwhile: there is less to do now.
            Err(_) => tried += 1,
            done => return done,
        }
    }
}

async fn upgrade(database: &Database) -> Result<(), StoreError> {
    let found = database.read(Statement::new("SELECT COUNT(*) FROM migrations", [])).await?;
    let done = usize::try_from(found.first().map_or(0, |row| row.count(0))).unwrap_or(usize::MAX);
    if done > CHANGES.len() {
        return Err(StoreError::new("the store", "a newer version of drover has changed its tables: use that one"));
    }
    for (n, change) in CHANGES.iter().enumerate().skip(done) {
        let mut statements = vec![Statement::new("INSERT INTO migrations VALUES ($1)", [(n as u64).into()])];
        statements.extend(change.iter().map(|sql| Statement::new(*sql, [])));
        database.write(statements).await?;
    }
    Ok(())
}
