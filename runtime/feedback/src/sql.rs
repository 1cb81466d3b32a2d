//! One way to ask SQLite and PostgreSQL: the same statements, the same four kinds of value.
//!
//! Statements keep to what both understand; parameters are written `$1`, `$2`, ...

mod postgres;
mod sqlite;
mod tls;

use self::postgres::Postgres;
use self::sqlite::Sqlite;
use crate::error::StoreError;

/// A value of a column or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<&str> for Value {
    /// PostgreSQL has no NUL in a text: it is left out.
    fn from(text: &str) -> Self {
        Self::Text(text.replace('\0', ""))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A statement and its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    /// Makes a statement.
    pub(crate) fn new(sql: impl Into<String>, values: impl Into<Vec<Value>>) -> Self {
        Self { sql: sql.into(), values: values.into() }
    }
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row(Vec<Value>);

impl Row {
    /// Returns the text in a column; empty if there is none.
    pub(crate) fn text(&self, column: usize) -> String {
        self.some_text(column).unwrap_or_default()
    }

    /// Returns the text in a column, if there is one.
    pub(crate) fn some_text(&self, column: usize) -> Option<String> {
        match self.0.get(column)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Returns the whole number in a column; 0 if there is none.
    pub(crate) fn count(&self, column: usize) -> u64 {
        match self.0.get(column) {
            Some(Value::Integer(number)) => u64::try_from(*number).unwrap_or_default(),
            _ => 0,
        }
    }

    /// Returns the number in a column, if there is one.
    pub(crate) fn real(&self, column: usize) -> Option<f64> {
        match self.0.get(column)? {
            Value::Real(number) => Some(*number),
            _ => None,
        }
    }
}

/// A database. One statement, or one transaction, at a time.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Database {
    /// Opens `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("sqlite", file)) if !file.is_empty() => Ok(Self::Sqlite(Sqlite::open(file.as_ref()).await?)),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(Postgres::open(url).await?))),
            // Not the URL itself, in which a password may stand.
            _ => Err(StoreError::new("the store", "its URL is neither sqlite:FILE nor postgres://USER@HOST/NAME")),
        }
    }

    /// Runs all statements in one transaction, and returns how many rows each changed. What was changed is on the disk
    /// when this returns.
    pub(crate) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<u64>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(statements).await,
            Self::Postgres(postgres) => postgres.write(&statements).await,
        }
    }

    /// Returns what one statement finds.
    pub(crate) async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.read(statement).await,
            Self::Postgres(postgres) => postgres.read(&statement).await,
        }
    }
}
