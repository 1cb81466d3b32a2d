//! PostgreSQL: one connection, made again when it is lost.

use std::error::Error;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Row, Statement, Value, tls};
use crate::error::StoreError;

/// How long a connection, or a transaction, may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A database of PostgreSQL.
pub(crate) struct Postgres {
    config: Config,
    /// How TLS is spoken, if it is.
    tls: Option<MakeRustlsConnect>,
    /// Where it is, without its password.
    place: String,
    client: Mutex<Option<Client>>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Postgres").field(&self.place).finish()
    }
}

impl Postgres {
    /// Connects.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let (mut config, tls) = tls::read(url).map_err(|why| StoreError::new("the store", why))?;
        config.connect_timeout(LIMIT).application_name("drover-feedback");
        let hosts: Vec<_> = config.get_hosts().iter().map(|host| format!("{host:?}")).collect();
        let place = format!("PostgreSQL at {}, database {}", hosts.join(", "), config.get_dbname().unwrap_or_default());
        let postgres = Self { config, tls, place, client: Mutex::default() };
        drop(postgres.connected().await?);
        Ok(postgres)
    }

    pub(super) async fn write(&self, statements: &[Statement]) -> Result<Vec<u64>, StoreError> {
        let mut client = self.connected().await?;
        let run = async |client: &mut Client| {
            let transaction = client.transaction().await?;
            let mut changed = Vec::with_capacity(statements.len());
            for statement in statements {
                changed.push(transaction.execute(&statement.sql, &parameters(statement)).await?);
            }
            transaction.commit().await?;
            Ok(changed)
        };
        let done = match client.as_mut() {
            Some(client) => tokio::time::timeout(LIMIT, run(client)).await,
            None => return Err(self.failed("not connected")),
        };
        self.done(&mut client, done)
    }

    pub(super) async fn read(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        let mut client = self.connected().await?;
        let done = match client.as_mut() {
            Some(client) => tokio::time::timeout(LIMIT, client.query(&statement.sql, &parameters(statement))).await,
            None => return Err(self.failed("not connected")),
        };
        let rows = self.done(&mut client, done)?;
        rows.iter().map(|found| row(found).map_err(|e| self.failed(said(&e)))).collect()
    }

    /// Returns the connection, made anew if it was lost.
    async fn connected(&self) -> Result<MutexGuard<'_, Option<Client>>, StoreError> {
        let mut client = self.client.lock().await;
        if client.as_ref().is_some_and(|client| !client.is_closed()) {
            return Ok(client);
        }
        let new = match &self.tls {
            Some(tls) => self.connect(tls.clone()).await?,
            None => self.connect(NoTls).await?,
        };
        // Whatever the server's default is: an answer is given after the disk has it.
        let durable = tokio::time::timeout(LIMIT, new.batch_execute("SET synchronous_commit = on")).await;
        self.done(&mut None, durable)?;
        *client = Some(new);
        Ok(client)
    }

    async fn connect<T>(&self, tls: T) -> Result<Client, StoreError>
    where
        T: MakeTlsConnect<Socket, Stream: Send + 'static>,
    {
        let (client, connection) = tokio::time::timeout(LIMIT, self.config.connect(tls))
            .await
            .map_err(|_| self.failed(format!("no connection within {LIMIT:?}")))?
            .map_err(|e| self.failed(said(&e)))?;
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::warn!("the connection to PostgreSQL ended: {}", said(&e));
            }
        });
        Ok(client)
    }

    /// Drops a connection of which it is not known what it still does.
    fn done<T>(
        &self,
        client: &mut Option<Client>,
        done: Result<Result<T, tokio_postgres::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(done) => done.map_err(|e| self.failed(said(&e))),
            Err(_) => {
                *client = None;
                Err(self.failed(format!("no answer within {LIMIT:?}")))
            }
        }
    }

    fn failed(&self, why: impl std::fmt::Display) -> StoreError {
        StoreError::new(&*self.place, why)
    }
}

fn parameters(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    statement.values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn row(found: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let value = |(column, kind): (usize, &tokio_postgres::Column)| {
        Ok(match *kind.type_() {
            Type::INT8 => found.try_get::<_, Option<i64>>(column)?.map_or(Value::Null, Value::Integer),
            Type::FLOAT8 => found.try_get::<_, Option<f64>>(column)?.map_or(Value::Null, Value::Real),
            _ => found.try_get::<_, Option<String>>(column)?.map_or(Value::Null, Value::Text),
        })
    };
    found.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(Row)
}

/// Says what went wrong: the error itself keeps that for its source.
pub(super) fn said(e: &tokio_postgres::Error) -> String {
    e.source().map_or_else(|| e.to_string(), |source| format!("{e}: {source}"))
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql_checked(kind, out),
            Self::Real(number) => number.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
