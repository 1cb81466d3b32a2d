//! SQLite: one file, one connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql, params_from_iter};
use tokio::sync::Mutex;

use super::{Row, Statement, Value};
use crate::error::StoreError;

/// How long another process may keep the file to itself.
const BUSY: Duration = Duration::from_secs(5);

/// What was committed is on the disk, also if the machine loses power (`EXTRA`); what was deleted is overwritten.
const PRAGMAS: &str = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;";

/// A file of SQLite.
#[derive(Debug)]
pub(crate) struct Sqlite {
    file: String,
    connection: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// Opens the file, or makes it, and its folder.
    pub(super) async fn open(file: &Path) -> Result<Self, StoreError> {
        let (path, shown) = (file.to_owned(), file.display().to_string());
        let open = move || {
            if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
            }
            let connect = || {
                let connection = Connection::open(&path)?;
                connection.busy_timeout(BUSY)?;
                connection.execute_batch(PRAGMAS)?;
                Ok(connection)
            };
            connect().map_err(|e: rusqlite::Error| e.to_string())
        };
        let opened = tokio::task::spawn_blocking(open).await.map_err(|e| StoreError::new(&*shown, e))?;
        let connection = opened.map_err(|e| StoreError::new(&*shown, e))?;
        Ok(Self { file: shown, connection: Arc::new(Mutex::new(connection)) })
    }

    pub(super) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<u64>, StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let run = |s: &Statement| transaction.execute(&numbered(&s.sql), params_from_iter(&s.values));
            let changed: Result<Vec<_>, _> = statements.iter().map(run).collect();
            let changed = changed?.into_iter().map(|n| n as u64).collect();
            transaction.commit()?;
            Ok(changed)
        })
        .await
    }

    pub(super) async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        self.run(move |connection| {
            let mut prepared = connection.prepare(&numbered(&statement.sql))?;
            let n_columns = prepared.column_count();
            let rows = prepared.query_map(params_from_iter(&statement.values), |row| {
                (0..n_columns).map(|column| Ok(Value::from(row.get_ref(column)?))).collect::<Result<_, _>>().map(Row)
            })?;
            rows.collect()
        })
        .await
    }

    /// Runs `work` on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut connection)).await;
        let failed = |e: &dyn std::fmt::Display| StoreError::new(&*self.file, e);
        done.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }
}

/// Writes parameters as SQLite numbers them: it takes `$1` for a name.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Self::Text(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Null => Ok(rusqlite::types::Null.into()),
            Self::Integer(number) => Ok((*number).into()),
            Self::Real(number) => Ok((*number).into()),
            Self::Text(text) => text.to_sql(),
        }
    }
}
