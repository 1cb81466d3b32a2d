//! What a worker saw, as it is sent: histograms as the counts of their values, which loses nothing.

use std::net::SocketAddr;

use hdrhistogram::Histogram;
use http::Method;
use serde::{Deserialize, Serialize};

use crate::stats::{Failures, Kind, Seen, Snapshot, Tally};

/// As [`Snapshot`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packed {
    tasks: Vec<Task>,
    failures: Vec<(Kind, Seen)>,
    sent: u64,
    late: u64,
    waited: u64,
    unsent: u64,
    endpoints: Vec<(SocketAddr, u64)>,
    users: u64,
    in_flight: u64,
}

/// As [`Tally`].
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    method: Option<String>,
    requests: u64,
    failures: u64,
    bytes: u64,
    latency: Times,
    service: Times,
}

/// Microseconds, each with how often they were seen.
type Times = Vec<(u64, u64)>;

impl Packed {
    pub(super) fn of(seen: &Snapshot) -> Self {
        let task = |tally: &Tally| Task {
            method: tally.method.as_ref().map(ToString::to_string),
            requests: tally.requests,
            failures: tally.failures,
            bytes: tally.bytes,
            latency: times(&tally.latency),
            service: times(&tally.service),
        };
        let failures = seen.failures.by_count().into_iter();
        Self {
            tasks: seen.tasks.iter().map(task).collect(),
            failures: failures.map(|(kind, seen)| (kind.clone(), seen.clone())).collect(),
            sent: seen.sent,
            late: seen.late,
            waited: seen.waited,
            unsent: seen.unsent,
            endpoints: seen.endpoints.clone(),
            users: seen.users,
            in_flight: seen.in_flight,
        }
    }

    /// Returns what was seen; nothing if it does not fit a run of `n_tasks` tasks.
    pub(super) fn open(self, n_tasks: usize) -> Option<Snapshot> {
        if self.tasks.len() != n_tasks {
            return None;
        }
        let tally = |task: Task| {
            let mut tally = Tally {
                method: task.method.and_then(|method| method.parse::<Method>().ok()),
                requests: task.requests,
                failures: task.failures,
                bytes: task.bytes,
                ..Tally::default()
            };
            let all = [(&mut tally.latency, task.latency), (&mut tally.service, task.service)];
            for (histogram, times) in all {
                for (us, count) in times {
                    histogram.record_n(us, count).ok()?;
                }
            }
            Some(tally)
        };
        Some(Snapshot {
            tasks: self.tasks.into_iter().map(tally).collect::<Option<_>>()?,
            failures: Failures::of(self.failures.into_iter().filter(|(kind, _)| kind.task < n_tasks)),
            sent: self.sent,
            late: self.late,
            waited: self.waited,
            unsent: self.unsent,
            endpoints: self.endpoints,
            users: self.users,
            in_flight: self.in_flight,
        })
    }
}

fn times(histogram: &Histogram<u64>) -> Times {
    histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect()
}

/// Files by their paths, their contents in base 64.
pub(super) mod files {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    type Files = BTreeMap<PathBuf, Bytes>;

    pub(in super::super) fn serialize<S: Serializer>(files: &Files, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(files.iter().map(|(path, content)| (path, BASE64_STANDARD.encode(content))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Files, D::Error> {
        let files = BTreeMap::<PathBuf, String>::deserialize(from)?.into_iter();
        let open = |(path, text)| Ok((path, BASE64_STANDARD.decode(text).map_err(D::Error::custom)?.into()));
        files.map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::stats::{Ended, Recorder};
    use crate::work::Failure;

    proptest! {
        /// Every percentile, count and sample of what arrives is that of what was sent.
        #[test]
        fn nothing_is_lost(times in prop::collection::vec((0u64..10_000_000_000, 0usize..2, any::<bool>()), 0..300)) {
            let mut recorder = Recorder::new(2);
            for (us, task, fails) in times {
                let (time, method) = (Duration::from_micros(us), Method::POST);
                let failure = Failure { kind: "http_503".into(), detail: "no".into() };
                let failure = fails.then_some(&failure);
                recorder.sent(fails, !fails);
                recorder.went(([127, 0, 0, 1], 80).into());
                let times = Some((time, time / 2));
                recorder.ended(&Ended { task, method: Some(&method), times, body: b"why", failure });
            }
            let before = recorder.take();
            let text = serde_json::to_vec(&Packed::of(&before)).unwrap();
            prop_assert!(serde_json::from_slice::<Packed>(&text).unwrap().open(3).is_none());
            let after = serde_json::from_slice::<Packed>(&text).unwrap().open(2).unwrap();
            for (a, b) in before.tasks.iter().zip(&after.tasks) {
                prop_assert_eq!((&a.latency, &a.service), (&b.latency, &b.service));
                prop_assert_eq!((a.latency.max(), a.latency.min()), (b.latency.max(), b.latency.min()));
                prop_assert_eq!((a.requests, a.failures, a.bytes), (b.requests, b.failures, b.bytes));
                prop_assert_eq!(&a.method, &b.method);
            }
            prop_assert_eq!(format!("{:?}", before.failures), format!("{:?}", after.failures));
            prop_assert_eq!((before.sent, before.late, before.waited), (after.sent, after.late, after.waited));
            prop_assert_eq!(&before.endpoints, &after.endpoints);
        }
    }
}
