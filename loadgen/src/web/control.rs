//! What a person wants of the run, as the page sends it.

use drover_connection::RequestBody;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use tokio::sync::mpsc::error::TrySendError;

use super::Page;
use super::routes::Refused;
use crate::control::Control;
use crate::report::{LoadKind, Report, RunState};

/// The largest body.
const BODY_BYTES_MAX: usize = 4096;
/// Users and requests a second at most: what is more is a slip of the finger.
const MOST: f64 = 1e7;

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
    let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|e| {
        let is_large = e.is::<http_body_util::LengthLimitError>();
        let status = if is_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        Refused::new(status, format!("the body cannot be read, it may have {BODY_BYTES_MAX} bytes: {e}"))
    })?;
    let wish = serde_json::from_slice(&bytes.to_bytes());
    let wish = wish.map_err(|e| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the body: {e}")))?;
    let control = {
        let report = page.reports.borrow();
        checked(&wish, &report)?
    };
    page.control.try_send(control).map_err(|e| match e {
        TrySendError::Full(_) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the generator is busy, try again"),
        TrySendError::Closed(_) => Refused::new(StatusCode::GONE, "the generator has ended"),
    })
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
