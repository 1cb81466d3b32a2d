//! Gives a function a size through the control API of its gateway, and gives it back what it had.
//!
//! Each trial has instances of its own: what an earlier one left in memory, or prepared for another CPU, is not measured.
//! While trials run the gateway holds the count; the hold ends by itself if nobody renews it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use drover_core::{FunctionName, InstanceId, Problem};
use drover_engine::local::cgroup::Cgroup;
use drover_engine::{EngineKind, Instance, Size};
use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Candidate, Error};
use crate::target::find::{at, client};
use crate::target::{GATEWAY, TargetSpec};

/// How long the count is held from one trial to the next.
const HOLD: Duration = Duration::from_secs(1800);
/// How long instances may take until they are ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long a control call may take: a resize waits for new instances, one after the other.
const CALL_LIMIT: Duration = Duration::from_secs(600);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// What the engines say of an instance that the kernel has killed.
const OUT_OF_MEMORY: &str = "out of memory";
/// What they say of one that they could not even start, whatever its size.
const NO_LAUNCH: &str = "cannot launch";

/// Deploys sizes of one function.
#[derive(Debug, Clone)]
pub struct Deployer {
    client: Client,
    gateway: Url,
    key: Option<String>,
    function: FunctionName,
}

/// What a function has, as it is put back later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What runs it.
    pub engine: EngineKind,
    /// What each instance may use.
    pub size: Option<Size>,
    /// How many there are.
    pub count: u32,
    /// The fewest that its job allows.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// Why a size does not run.
#[derive(Debug)]
pub enum NotDeployed {
    /// The kernel kills its instances as they start.
    OutOfMemory(String),
    /// Its instances do not become ready.
    NotReady(String),
    /// It could not even be tried.
    Error(Error),
}

impl Deployer {
    /// Talks to the gateway that `spec` names.
    ///
    /// # Errors
    /// [`Error::Target`] if no client can be made of it, or the target is no function.
    pub fn new(spec: &TargetSpec) -> Result<Self, Error> {
        let bad = |why: String| crate::target::TargetError::Name { target: spec.target.clone(), why };
        let function = spec.target.parse::<FunctionName>().map_err(|e| bad(e.to_string()))?;
        let text = spec.gateway.as_deref().unwrap_or(GATEWAY);
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let gateway = Url::parse(&text).map_err(|e| bad(format!("--gateway {text}: {e}")))?;
        Ok(Self { client: client(spec)?, gateway, key: spec.key.clone(), function })
    }

    /// Returns where the gateway is, to find what was left there.
    #[must_use]
    pub fn gateway(&self) -> &str {
        self.gateway.as_str()
    }

    /// Returns the function.
    #[must_use]
    pub fn function(&self) -> &FunctionName {
        &self.function
    }

    /// Returns what the function has now.
    ///
    /// # Errors
    /// [`Error::Gateway`].
    pub async fn look(&self) -> Result<Held, Error> {
        self.call(self.client.get(self.url(""))).await
    }

    /// Returns the instances that there are now.
    ///
    /// # Errors
    /// [`Error::Gateway`].
    pub async fn instances(&self) -> Result<Vec<Instance>, Error> {
        let all: Vec<Instance> = self.call(self.client.get(at(&self.gateway, "/api/instances"))).await?;
        Ok(all.into_iter().filter(|instance| instance.function == self.function).collect())
    }

    /// Makes sure that an instance runs, and returns what it is: version and checksum of its model, its program.
    ///
    /// # Errors
    /// [`NotDeployed`].
    pub async fn code(&self, held: &Held) -> Result<String, NotDeployed> {
        if held.count == 0 {
            let size = held.size.ok_or_else(|| Error::Asked("what an instance may use is not known".into()))?;
            self.bring(size, 1, HOLD).await?;
        }
        let all = self.instances().await?;
        let Some(one) = all.iter().find(|instance| instance.state.is_ready()) else { return Ok(String::new()) };
        let mut parts: Vec<String> = one.version().map(|version| format!("version {version}")).into_iter().collect();
        if let Some(address) = one.address
            && let Ok(answer) = self.client.get(format!("http://{address}/metrics")).timeout(READY_LIMIT).send().await
            && let Ok(text) = answer.text().await
        {
            let model = text.lines().find_map(|line| line.strip_prefix("drover_model_info{")?.split('}').next());
            parts.extend(model.map(|labels| labels.replace('"', "")));
        }
        if let Some(program) = one.pid.and_then(|pid| std::fs::metadata(format!("/proc/{pid}/exe")).ok()) {
            let built = program.modified().map(|at| humantime::format_rfc3339_seconds(at).to_string());
            parts.push(format!("program of {} bytes, built {}", program.len(), built.unwrap_or_default()));
        }
        Ok(parts.join(", "))
    }

    /// Deploys `candidate` and waits until all of its instances are ready and no other is left; returns them.
    ///
    /// # Errors
    /// [`NotDeployed`].
    pub async fn deploy(&self, candidate: &Candidate) -> Result<Vec<Instance>, NotDeployed> {
        let size = Size { cpu_cores: candidate.cpu_cores, memory_mib: candidate.memory_mib, memory_max_mib: None };
        self.bring(size, candidate.count, HOLD).await
    }

    /// Gives the function back what it had, and its count to scaling.
    ///
    /// # Errors
    /// [`Error::Gateway`], or what does not become ready.
    pub async fn restore(&self, held: &Held) -> Result<(), Error> {
        let Some(size) = held.size else { return Ok(()) };
        let done = self.bring(size, held.count, HOLD).await;
        self.scale(held.count, Duration::ZERO).await?;
        match done {
            Ok(_) => Ok(()),
            Err(NotDeployed::Error(e)) => Err(e),
            Err(NotDeployed::OutOfMemory(why) | NotDeployed::NotReady(why)) => Err(Error::Gateway(why)),
        }
    }

    async fn bring(&self, size: Size, count: u32, hold: Duration) -> Result<Vec<Instance>, NotDeployed> {
        let now = self.look().await?;
        let before: BTreeSet<InstanceId> = self.instances().await?.into_iter().map(|instance| instance.id).collect();
        // Nomad leaves instances alone whose size it is not asked to change.
        let is_same = now.size.is_some_and(|now| {
            (now.cpu_cores - size.cpu_cores).abs() < 0.005
                && now.memory_mib == size.memory_mib
                && now.memory_max_mib == size.memory_max_mib
        });
        let keeps = now.engine == EngineKind::Nomad && is_same;
        // What is surplus need not be replaced first.
        self.scale(now.count.min(count), hold).await?;
        if !keeps {
            self.resize(size).await?;
        }
        self.scale(count, hold).await?;
        let old = if keeps { BTreeSet::new() } else { before };
        self.until_ready(count, &old).await
    }

    async fn scale(&self, count: u32, hold: Duration) -> Result<(), Error> {
        let wish = json!({ "count": count, "hold_s": hold.as_secs() });
        self.call::<Value>(self.client.post(self.url("/scale")).json(&wish)).await.map(|_| ())
    }

    async fn resize(&self, size: Size) -> Result<(), NotDeployed> {
        let wish = json!({
            "cpu": size.cpu_cores, "memory": size.memory_mib, "memory_max": size.memory_max_mib, "replace": true,
        });
        match self.call::<Value>(self.client.post(self.url("/resize")).json(&wish)).await {
            Ok(_) => Ok(()),
            Err(Error::Gateway(why)) if why.contains(OUT_OF_MEMORY) => Err(NotDeployed::OutOfMemory(why)),
            Err(Error::Gateway(why)) if why.contains("did not become ready") && !why.contains(NO_LAUNCH) => {
                Err(NotDeployed::NotReady(why))
            }
            Err(e) => Err(NotDeployed::Error(e)),
        }
    }

    /// Waits until `count` instances are ready, none of `old` is left and no other runs.
    async fn until_ready(&self, count: u32, old: &BTreeSet<InstanceId>) -> Result<Vec<Instance>, NotDeployed> {
        let began = Instant::now();
        loop {
            let all = self.instances().await?;
            let (ready, rest): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|instance| instance.state.is_ready() && !old.contains(&instance.id));
            let reason = |instance: &Instance| instance.reason.clone().filter(|_| !old.contains(&instance.id));
            let why = rest.iter().find_map(reason);
            if let Some(killed) = why.as_ref().filter(|why| why.contains(OUT_OF_MEMORY)) {
                return Err(NotDeployed::OutOfMemory(killed.clone()));
            }
            if let Some(why) = why.as_ref().filter(|why| why.contains(NO_LAUNCH)) {
                return Err(Error::Gateway(why.clone()).into());
            }
            if rest.is_empty() && ready.len() == count as usize {
                return Ok(ready);
            }
            if began.elapsed() > READY_LIMIT {
                let n = ready.len();
                let why = why.unwrap_or_else(|| "nobody says why".into());
                return Err(NotDeployed::NotReady(format!(
                    "{n} of {count} instances ready after {READY_LIMIT:?}: {why}"
                )));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn url(&self, below: &str) -> Url {
        at(&self.gateway, &format!("/api/functions/{}{below}", self.function))
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let failed = |e: reqwest::Error| Error::Gateway(format!("the gateway at {}: {e}", self.gateway));
        let answer = request.timeout(CALL_LIMIT).send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&text).map(|problem| problem.detail);
            return Err(Error::Gateway(problem.unwrap_or_else(|_| format!("the gateway answers {status}"))));
        }
        serde_json::from_slice(&text).map_err(|e| Error::Gateway(format!("the gateway's answer: {e}")))
    }
}

impl From<Error> for NotDeployed {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

/// Makes sure that the limits of instances that run on this machine are those of `candidate`, by what the kernel says;
/// returns whether there was one to look at.
///
/// # Errors
/// [`Error::Limits`].
pub fn verify(candidate: &Candidate, instances: &[Instance]) -> Result<bool, Error> {
    let mut is_seen = false;
    for group in groups(instances) {
        let none =
            || Error::Limits("no limit of CPU and memory holds for an instance: is drover allowed to set them?".into());
        let limits = group.limits().ok_or_else(none)?;
        is_seen = true;
        check(candidate, limits.cpu_cores, limits.memory_bytes)?;
    }
    Ok(is_seen)
}

/// Makes sure that these limits are those of `candidate`.
///
/// # Errors
/// [`Error::Limits`].
pub fn check(candidate: &Candidate, cpu_cores: f64, memory_bytes: u64) -> Result<(), Error> {
    // A quota is a whole number of MHz, and of microseconds.
    let is_cpu = (cpu_cores - candidate.cpu_cores).abs() <= 0.02 * candidate.cpu_cores + 0.001;
    if is_cpu && memory_bytes >> 20 == candidate.memory_mib {
        return Ok(());
    }
    let mib = memory_bytes >> 20;
    Err(Error::Limits(format!("asked for {candidate}, and an instance has {cpu_cores:.3} CPU, {mib} MiB")))
}

/// Returns the control groups of those instances that run on this machine.
pub fn groups(instances: &[Instance]) -> Vec<Cgroup> {
    instances.iter().filter_map(|instance| Cgroup::of_process(instance.pid?)).collect()
}
