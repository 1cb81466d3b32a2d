//! A function whose needs are known: `BURN_CPU_MS` of CPU for each row, and `BURN_MIB` of memory that it holds.
//!
//! By it is tested that what is found by measurement is what is needed. It needs no ONNX Runtime: any file may be its
//! model.

use std::process::ExitCode;
use std::time::Duration;

use drover::{Class, Failure, Function, Model};
use garde::Validate;
use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A row that is looked at no further.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Any number.
    #[garde(range(min = 0, max = 10))]
    #[schemars(example = 3)]
    number: i64,
}

/// What is answered.
#[derive(Serialize, JsonSchema)]
struct Burnt {
    /// The number, as it came.
    prediction: i64,
}

impl drover::Response for Burnt {
    fn class(&self) -> Option<Class> {
        None
    }
}

struct Burn {
    each: Duration,
    held: Vec<u8>,
}

impl Function for Burn {
    const NAME: &'static str = "burn";
    type Request = Row;
    type Response = Burnt;

    fn load(_: &Model) -> Result<Self, Failure> {
        let setting = |key: &str| std::env::var(key).ok()?.parse::<u64>().ok();
        let mib = usize::try_from(setting("BURN_MIB").unwrap_or(0)).unwrap_or(0);
        Ok(Self { each: Duration::from_millis(setting("BURN_CPU_MS").unwrap_or(0)), held: vec![1; mib << 20] })
    }

    fn predict(&mut self, batch: &[Row]) -> Vec<Result<Burnt, Failure>> {
        let until = on_cpu() + self.each * u32::try_from(batch.len()).unwrap_or(u32::MAX);
        while on_cpu() < until {
            std::hint::black_box(self.held.first());
        }
        batch.iter().map(|row| Ok(Burnt { prediction: row.number })).collect()
    }
}

/// Returns how long this thread has been on a core: what a limit takes from it does not count.
fn on_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn main() -> ExitCode {
    drover::main::<Burn>()
}
