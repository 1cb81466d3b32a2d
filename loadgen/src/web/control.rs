//! What a person wants of the run, as the page sends it.

use std::time::Duration;

use drover_connection::RequestBody;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::Page;
use super::routes::Refused;
use crate::control::{Choice, Chosen, Control};
use crate::report::{LoadKind, Report, RunState};

/// The largest body.
const BODY_BYTES_MAX: usize = 4096;
/// Users and requests a second at most: what is more is a slip of the finger.
const MOST: f64 = 1e7;
/// What times may be multiplied by.
const SCALE_MOST: f64 = 10.0;
/// How long a run may take to be prepared: the function is asked what it takes.
const PREPARE_LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Wish {
    Start {},
    Stop {},
    Users { count: u64, spawn_rate: f64 },
    Rate { rate: f64 },
}

/// Passes on what `body` asks for, if it fits the run as it stands.
pub(super) async fn take(page: &Page, body: RequestBody) -> Result<(), Refused> {
    let wish = read(body).await?;
    let control = {
        let report = page.reports.borrow();
        checked(&wish, &report)?
    };
    page.control.try_send(control).map_err(|e| not_taken(&e))
}

/// Has the run prepared and begun that `body` chooses, or says why it cannot be.
pub(super) async fn choose(page: &Page, body: RequestBody) -> Result<(), Refused> {
    let choice: Choice = read(body).await?;
    let conflict = |why: &str| Err(Refused::new(StatusCode::CONFLICT, why));
    let unprocessable = |why: String| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    let Some(choices) = &page.choices else {
        return conflict("what this generator runs was said on its command line: start that");
    };
    if !(choice.scale_time > 0.0 && choice.scale_time <= SCALE_MOST) {
        let why = format!("scale_time is {}, it must be above 0 and at most {SCALE_MOST}", choice.scale_time);
        return Err(unprocessable(why));
    }
    let state = page.reports.borrow().state;
    if state != RunState::Ready && !state.is_over() {
        return conflict("the run goes on already");
    }
    let (told, answer) = oneshot::channel();
    choices.try_send(Chosen { choice, told }).map_err(|e| not_taken(&e))?;
    match tokio::time::timeout(PREPARE_LIMIT, answer).await {
        Ok(Ok(begun)) => begun.map_err(unprocessable),
        Ok(Err(_gone)) => Err(Refused::new(StatusCode::GONE, "the generator has ended")),
        Err(_late) => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the generator is busy, try again")),
    }
}

async fn read<T: DeserializeOwned>(body: RequestBody) -> Result<T, Refused> {
    let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|e| {
        let is_large = e.is::<http_body_util::LengthLimitError>();
        let status = if is_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        Refused::new(status, format!("the body cannot be read, it may have {BODY_BYTES_MAX} bytes: {e}"))
    })?;
    let read = serde_json::from_slice(&bytes.to_bytes());
    read.map_err(|e| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the body: {e}")))
}

fn not_taken<T>(e: &TrySendError<T>) -> Refused {
    match e {
        TrySendError::Full(_) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the generator is busy, try again"),
        TrySendError::Closed(_) => Refused::new(StatusCode::GONE, "the generator has ended"),
    }
}

/// Returns what is to be done for `wish`, if it makes sense for the run that `report` shows.
fn checked(wish: &Wish, report: &Report) -> Result<Control, Refused> {
    let conflict = |why: &str| Err(Refused::new(StatusCode::CONFLICT, why));
    let within = |name: &str, value: f64, least: f64| {
        if value >= least && value <= MOST {
            return Ok(value);
        }
        let why = format!("{name} is {value}, it must be between {least} and {MOST}");
        Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why))
    };
    let runs = matches!(report.state, RunState::Ramping | RunState::Holding);
    match (wish, report.load) {
        (Wish::Start {}, _) if report.target.is_empty() => conflict("say first what is to be run: a preset"),
        (Wish::Start {}, _) if report.state == RunState::Ready || report.state.is_over() => Ok(Control::Start),
        (Wish::Start {}, _) => conflict("the run goes on already"),
        (Wish::Stop {}, _) if runs => Ok(Control::Stop),
        (Wish::Users { .. } | Wish::Rate { .. }, _) if report.state.is_over() => conflict("the run is over"),
        (Wish::Users { .. } | Wish::Rate { .. }, _) if report.state == RunState::Stopping => {
            conflict("the run is being stopped")
        }
        (Wish::Stop {}, _) => conflict("the run does not go on"),
        (Wish::Users { count, spawn_rate }, LoadKind::Users) => {
            within("count", *count as f64, 0.0)?;
            Ok(Control::Users { count: *count, spawn_rate: within("spawn_rate", *spawn_rate, 0.001)? })
        }
        (Wish::Rate { rate }, LoadKind::Rate) => Ok(Control::Rate(within("rate", *rate, 0.0)?)),
        (Wish::Users { .. }, LoadKind::Rate) => conflict("this run is steered by its rate"),
        (Wish::Rate { .. }, LoadKind::Users) => conflict("this run is steered by its users"),
    }
}
