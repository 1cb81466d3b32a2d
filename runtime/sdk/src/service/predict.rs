//! `POST /predict`: one row, or an array of rows.

use std::time::Instant;

use drover_core::RequestId;
use serde::Serialize;

use super::{Answer, Service};
use crate::Model;
use crate::batch::Answered;
use crate::decode::Rows;
use crate::error::Error;
use crate::function::{Function, Response};

/// One row's answer, with what joins it to its request and its model.
#[derive(Serialize)]
struct Row<'a, R> {
    #[serde(flatten)]
    answer: &'a R,
    model_version: &'a str,
    request_id: &'a str,
}

impl<F: Function> Service<F> {
    /// Answers one row with an object, an array with an array.
    pub(super) async fn predict(
        &self,
        model: &Model,
        body: &[u8],
        deadline: Instant,
        id: &RequestId,
    ) -> Result<Answer, Error> {
        let (rows, one) = match self.decoder.decode::<F::Request>(body)? {
            Rows::One(row) => (vec![row], true),
            Rows::Many(rows) => (rows, false),
        };
        let Answered { rows, queued, inference } = self.queue.run(rows, deadline).await?;
        self.count(&rows);
        let row = |answer| Row { answer, model_version: model.version(), request_id: id.as_str() };
        let answer = match rows.as_slice() {
            [only] if one => Answer::json(&row(only)),
            many => Answer::json(&many.iter().map(row).collect::<Vec<_>>()),
        };
        answer.map(|answer| answer.with_timing(queued, inference))
    }

    /// Counts the classes that were predicted.
    pub(super) fn count(&self, rows: &[F::Response]) {
        for class in rows.iter().filter_map(Response::class) {
            self.metrics.prediction(class);
        }
    }
}
