//! `POST /predict`: one row, or an array of rows.

use std::time::Instant;

use serde::Serialize;

use super::{Answer, Service};
use crate::Model;
use crate::batch::Answered;
use crate::decode::Rows;
use crate::error::Error;
use crate::function::{Function, Response};
use crate::log::Call;

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
        call: &Call<'_>,
    ) -> Result<Answer, Error> {
        let inputs = self.log.inputs(|| texts(body));
        let (rows, one) = match self.decoder.decode::<F::Request>(body)? {
            Rows::One(row) => (vec![row], true),
            Rows::Many(rows) => (rows, false),
        };
        self.metrics.input(body);
        let Answered { rows, queued_at, queued, inference } = self.queue.run(rows, deadline).await?;
        call.stages(queued_at, queued, inference);
        self.note(model, call, &rows, &inputs);
        let row = |answer| Row { answer, model_version: model.version(), request_id: call.id.as_str() };
        let answer = match rows.as_slice() {
            [only] if one => Answer::json(&row(only)),
            many => Answer::json(&many.iter().map(row).collect::<Vec<_>>()),
        };
        answer.map(|answer| answer.with_timing(queued, inference))
    }

    /// Counts and logs what was predicted.
    pub(super) fn note(&self, model: &Model, call: &Call<'_>, rows: &[F::Response], inputs: &[String]) {
        let now = Instant::now();
        for (index, row) in rows.iter().enumerate() {
            let class = row.class();
            if let Some(class) = class {
                self.metrics.prediction(class);
            }
            self.log.prediction(model, call, now, class, inputs.get(index).map(String::as_str));
        }
    }
}

/// Returns the text of each row of a body that the decoder has yet to accept.
fn texts(body: &[u8]) -> Vec<String> {
    match serde_json::from_slice::<Vec<serde_json::Value>>(body) {
        Ok(rows) => rows.iter().map(ToString::to_string).collect(),
        Err(_) => vec![String::from_utf8_lossy(body).into_owned()],
    }
}
