//! What is kept, for how long, and how it is found again.

use std::time::Duration;

use drover_core::ErrorKind;
use drover_core::feedback::{Judgement, Kept, Opinion, Verdict, classes, predicted};
use serde_json::Value as Json;

use crate::entry::{Entry, texts};
use crate::error::{Refusal, StoreError};
use crate::filter::{Cursor, Filter};
use crate::migrate::migrate;
use crate::sql::{Database, Statement, Value};

/// Verdicts that are deleted at once when there are too many.
const SWEEP_MAX: u64 = 10_000;

/// For how long verdicts are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Verdicts on older answers are deleted; 90 days unless set.
    pub keep: Duration,
    /// The most verdicts: the oldest are deleted; 1,000,000 unless set.
    pub rows: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: Duration::from_secs(90 * 24 * 3600), rows: 1_000_000 }
    }
}

/// The verdicts and their answers.
#[derive(Debug)]
pub struct Store {
    pub(crate) database: Database,
    retention: Retention,
}

/// What became of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the first on its answer.
    New,
    /// It is what was there before.
    Same,
    /// It replaced another.
    Replaced,
}

impl Store {
    /// Opens a store, `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be reached or made.
    pub async fn open(url: &str, retention: Retention) -> Result<Self, StoreError> {
        let database = Database::open(url).await?;
        migrate(&database).await?;
        Ok(Self { database, retention })
    }

    /// Keeps a verdict, on the disk before this returns; returns the function that it is about, too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`], [`ErrorKind::UnknownRequest`] if neither the gateway nor the store has the answer,
    /// [`ErrorKind::StoreUnavailable`].
    pub(crate) async fn add(&self, judgement: &Judgement) -> Result<(String, Outcome), Refusal> {
        let Judgement { opinion, kept } = judgement;
        opinion.check().map_err(|(field, why)| Refusal::field(field, why))?;
        let (function, answer) = match kept {
            Some(kept) => (kept.function.to_string(), kept.answer.clone()),
            None => self.answer(opinion).await?,
        };
        check_expected(opinion, &answer)?;
        let mut statements = Vec::new();
        if let Some(kept) = kept {
            // Another answer that had the same id, which a client may choose: the newer one counts.
            let older = "DELETE FROM feedback WHERE request_id = $1 AND answered_ms <> $2";
            statements.push(Statement::new(older, [opinion.request_id.as_str().into(), kept.at_ms.into()]));
            statements.push(insert(opinion, kept));
        }
        statements.extend(judge(opinion));
        let changed = self.database.write(statements).await?;
        let outcome = match changed.as_slice() {
            [_, 1, ..] if kept.is_some() => Outcome::New,
            [.., 1, _, _] => Outcome::Replaced,
            _ => Outcome::Same,
        };
        Ok((function, outcome))
    }

    /// Returns the function and the answer that are stored with an earlier verdict.
    async fn answer(&self, opinion: &Opinion) -> Result<(String, Json), Refusal> {
        let sql = "SELECT function, answer FROM feedback WHERE request_id = $1";
        let found = self.database.read(Statement::new(sql, [opinion.request_id.as_str().into()])).await?;
        let row = found.first().ok_or_else(|| {
            let detail = format!("no answer of request {} is kept", opinion.request_id);
            Refusal::new(ErrorKind::UnknownRequest, detail)
        })?;
        Ok((row.text(0), serde_json::from_str(&row.text(1)).unwrap_or_default()))
    }

    /// Returns the newest verdicts, and where the list goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn page(
        &self,
        filter: &Filter,
        limit: usize,
        before: Option<&Cursor>,
    ) -> Result<(Vec<Entry>, Option<Cursor>), StoreError> {
        let mut values = Vec::new();
        let condition = filter.condition(before, &mut values);
        values.push((limit as u64 + 1).into());
        let sql = format!(
            "SELECT {} FROM feedback WHERE {condition} ORDER BY answered_ms DESC, request_id DESC LIMIT ${}",
            Entry::COLUMNS,
            values.len()
        );
        let rows = self.database.read(Statement::new(sql, values)).await?;
        let page: Vec<_> = rows.iter().take(limit).map(Entry::of).collect();
        let next = page.last().filter(|_| rows.len() > limit).map(Cursor::of);
        Ok((page, next))
    }

    /// Deletes a verdict and all that is kept of its request; returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn delete(&self, request_id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM feedback WHERE request_id = $1";
        let changed = self.database.write(vec![Statement::new(sql, [request_id.into()])]).await?;
        Ok(changed.first().is_some_and(|n| *n > 0))
    }

    /// Deletes what is too old at `now_ms`, Unix time, and what is too much; returns how many verdicts those were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn sweep(&self, now_ms: u64) -> Result<u64, StoreError> {
        let keep_ms = u64::try_from(self.retention.keep.as_millis()).unwrap_or(u64::MAX);
        let old =
            Statement::new("DELETE FROM feedback WHERE answered_ms < $1", [now_ms.saturating_sub(keep_ms).into()]);
        let sql = "DELETE FROM feedback WHERE request_id IN \
                   (SELECT request_id FROM feedback ORDER BY answered_ms DESC, request_id DESC LIMIT $1 OFFSET $2)";
        let many = Statement::new(sql, [SWEEP_MAX.into(), self.retention.rows.into()]);
        Ok(self.database.write(vec![old, many]).await?.iter().sum())
    }

    /// Says that the store answers.
    ///
    /// # Errors
    /// [`StoreError`] if it does not.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.database.read(Statement::new("SELECT COUNT(*) FROM migrations", [])).await.map(drop)
    }
}

/// Refuses an expected class that the function does not have, and one that contradicts the verdict.
fn check_expected(opinion: &Opinion, answer: &Json) -> Result<(), Refusal> {
    let Some(expected) = &opinion.expected else { return Ok(()) };
    let all = classes(answer);
    if let Some(all) = all.filter(|all| !all.contains(expected)) {
        return Err(Refusal::field("/expected", format!("must be one of {}; is {expected:?}", all.join(", "))));
    }
    let is_predicted = predicted(answer).as_ref() == Some(expected);
    match opinion.verdict {
        Verdict::Down if is_predicted => {
            Err(Refusal::field("/expected", format!("is what was predicted, {expected:?}, and the verdict is `down`")))
        }
        Verdict::Up if !is_predicted => Err(Refusal::field(
            "/expected",
            format!("is not what was predicted, {expected:?}, and the verdict is `up`"),
        )),
        _ => Ok(()),
    }
}

fn insert(opinion: &Opinion, kept: &Kept) -> Statement {
    let sql = "INSERT INTO feedback (request_id, function, version, answered_ms, verdict, expected, comment, prediction, \
               confidence, input, answer, input_words, comment_words, counted) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0) ON CONFLICT (request_id) DO NOTHING";
    let input = kept.input.as_ref().map(ToString::to_string);
    let words = kept.input.as_ref().map(|input| texts(input).join("\n").to_lowercase()).unwrap_or_default();
    let values = [
        opinion.request_id.as_str().into(),
        kept.function.as_str().into(),
        kept.version().into(),
        kept.at_ms.into(),
        opinion.verdict.label().into(),
        opinion.expected.as_deref().into(),
        opinion.comment.as_deref().into(),
        kept.prediction().as_deref().into(),
        kept.confidence().map_or(Value::Null, Value::Real),
        input.as_deref().into(),
        kept.answer.to_string().as_str().into(),
        words.as_str().into(),
        comment_words(opinion).as_str().into(),
    ];
    Statement::new(sql, values)
}

/// Makes the verdict that of the row that is there, and counts it if it is another one.
fn judge(opinion: &Opinion) -> [Statement; 3] {
    let id = || Value::from(opinion.request_id.as_str());
    let replace = "UPDATE feedback SET counted = CASE WHEN verdict = $2 THEN counted ELSE 0 END, verdict = $2, \
                   expected = $3, comment = $4, comment_words = $5 WHERE request_id = $1 AND \
                   (verdict <> $2 OR expected IS DISTINCT FROM $3 OR comment IS DISTINCT FROM $4)";
    let values = [
        id(),
        opinion.verdict.label().into(),
        opinion.expected.as_deref().into(),
        opinion.comment.as_deref().into(),
        comment_words(opinion).as_str().into(),
    ];
    let count = "INSERT INTO totals (function, version, verdict, n) \
                 SELECT function, version, verdict, 1 FROM feedback WHERE request_id = $1 AND counted = 0 \
                 ON CONFLICT (function, version, verdict) DO UPDATE SET n = totals.n + 1";
    let counted = "UPDATE feedback SET counted = 1 WHERE request_id = $1 AND counted = 0";
    [Statement::new(replace, values), Statement::new(count, [id()]), Statement::new(counted, [id()])]
}

fn comment_words(opinion: &Opinion) -> String {
    opinion.comment.as_deref().unwrap_or_default().to_lowercase()
}
