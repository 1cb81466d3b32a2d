//! How targets are found: by URL, through a gateway, in Consul.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use drover_engine::cluster::{Endpoint, Servers};
use drover_engine::{Alone, Fixed, FixedFunction};
use drover_gateway::access::{Access, AccessConfig, Functions, NewKey};
use drover_gateway::tls::Tls;
use drover_gateway::{Gateway, Parts, Settings, serve};
use drover_testkit::{Consul, Probe, eventually};
use loadgen::drive::Pem;
use loadgen::guard::Reach;
use loadgen::scenario::{Preparing, Scenario, Single};
use loadgen::target::usage::Usage;
use loadgen::target::{Target, TargetError, TargetSpec, Via, resolve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::crew;

/// How long a change may take to be seen on a busy machine.
const SEEN: Duration = Duration::from_secs(20);

/// A gateway in this process, before instances of `probe` at these addresses.
async fn gateway(instances: &[&str]) -> String {
    format!("http://{}", gateway_for(instances, AccessConfig::default(), None).await)
}

/// As [`gateway`]: for whom it is, with TLS or not; returns where it listens.
async fn gateway_for(instances: &[&str], access: AccessConfig, tls: Option<Tls>) -> SocketAddr {
    let function = FixedFunction {
        instances: instances.iter().map(|&address| address.to_owned()).collect(),
        slots: None,
        pure: false,
        hosts: Vec::new(),
    };
    let fixed = Fixed::start([("probe".parse().unwrap(), function)].into()).await;
    let stop = CancellationToken::new();
    let gateway = Gateway::new(Parts {
        catalog: Arc::clone(&fixed) as _,
        scheduler: fixed,
        peers: Arc::new(Alone::default()),
        access: Access::open(access).await.unwrap(),
        settings: Settings::default(),
        load: None,
        stop: stop.clone(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(vec![listener], tls, gateway.unwrap(), stop));
    address
}

fn spec(target: &str) -> TargetSpec {
    TargetSpec { target: target.into(), reads_schema: true, ..TargetSpec::default() }
}

async fn said(spec: &TargetSpec) -> String {
    resolve(spec).await.unwrap_err().to_string()
}

/// Sends `n` valid rows and checks that all are answered.
async fn load(target: &Target, n: usize) {
    let set = [("act".to_owned(), "answer".into())].into_iter().collect();
    let path = target.path.to_owned();
    let scenario = Scenario::single(Single { name: "predict".into(), path, generate: true, set, ..Single::default() });
    let (openapi, base_path) = (target.openapi.as_ref(), &*target.base_path);
    let work = scenario.prepare(&Preparing { openapi, base_path, ..Preparing::default() }).unwrap();
    let tally = crew::run(&work, target, 1, n).await;
    assert_eq!((tally.failures.len(), tally.statuses[&200]), (0, n as u64), "{tally:?}");
}

#[tokio::test]
async fn what_cannot_be_reached_or_is_no_target_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{free}/predict");
    assert_eq!(
        said(&spec(&url)).await,
        format!("the target at {url} cannot be reached: Connection refused (os error 111)")
    );
    let nobody = TargetSpec { gateway: Some(format!("http://{free}")), ..spec("penguins") };
    let wrong = said(&nobody).await;
    let (before, after) = (
        format!("the gateway at http://{free}/ cannot be reached: "),
        "; is `drover up` running here? --gateway says where else",
    );
    assert!(wrong.starts_with(&before) && wrong.ends_with(after), "{wrong}");
    let wrong = said(&spec("Penguins!")).await;
    assert!(wrong.starts_with("`Penguins!` is neither a URL such as"), "{wrong}");
    let wrong = said(&spec("ftp://localhost/x")).await;
    assert!(wrong.ends_with("the scheme `ftp` is neither http nor https"), "{wrong}");
    let nowhere = TargetSpec { via: Via::Cluster(servers(None).into()), ..spec("penguins") };
    assert!(said(&nowhere).await.starts_with("neither Consul nor Nomad is configured"));
}

/// `0.0.0.0` is this machine, and no address of anybody's: whoever asked it before looking would have an answer.
#[tokio::test]
async fn who_is_told_of_a_cluster_by_another_believes_only_a_near_one() {
    let probe = Probe::start(&[]).await;
    let gateway = gateway(&[probe.address()]).await.replace("127.0.0.1", "0.0.0.0");
    let through = TargetSpec { gateway: Some(gateway.clone()), ..spec("probe") };
    assert_eq!(resolve(&through).await.unwrap().name, "probe");
    let direct = TargetSpec { via: Via::Instances, ..through.clone() };
    let listed = TargetSpec { via: Via::Cluster(servers(Some(&gateway)).into()), ..spec("probe") };
    let url = spec(&format!("{gateway}/functions/probe/predict"));
    for told in [&through, &direct, &listed, &url] {
        let wrong = resolve(&TargetSpec { reach: Reach::Near, ..told.clone() }).await.unwrap_err();
        assert!(matches!(wrong, TargetError::Foreign(_)), "{wrong:?}");
    }
    assert!(matches!(resolve(&url).await, Err(TargetError::Foreign(_))), "a URL is nobody's cluster");
    for owned in [&through, &url] {
        resolve(&TargetSpec { reach: Reach::Anywhere, ..owned.clone() }).await.unwrap();
    }
}

#[tokio::test]
async fn a_function_is_loaded_through_its_gateway_or_directly() {
    let (a, b) = (Probe::start(&[]).await, Probe::start(&[]).await);
    let gateway = gateway(&[a.address(), b.address()]).await;
    let through = TargetSpec { gateway: Some(gateway.clone()), ..spec("probe") };
    let target = resolve(&through).await.unwrap();
    assert_eq!((&target.name[..], &target.base_path[..], target.path), ("probe", "/functions/probe", "/predict"));
    assert_eq!(target.endpoints.borrow().len(), 1);
    load(&target, 20).await;
    let behind = target.instances.clone().unwrap();
    let addresses: Vec<_> = behind.borrow().iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(addresses, [a.address(), b.address()]);

    let direct = TargetSpec { via: Via::Instances, ..through.clone() };
    let target = resolve(&direct).await.unwrap();
    assert_eq!(*target.endpoints.borrow(), *behind.borrow());
    load(&target, 20).await;

    for via in [Via::Gateway, Via::Instances] {
        let unknown = TargetSpec { target: "prone".into(), via, reads_schema: false, ..through.clone() };
        let wrong = resolve(&unknown).await.unwrap_err();
        assert!(matches!(wrong, TargetError::UnknownFunction(_)), "{wrong:?}");
        assert_eq!(wrong.to_string(), "no function is called `prone`; near: `probe`");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_keys_and_tls_is_found_and_loaded() {
    let probe = Probe::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (file("cert.pem", &pair.cert.pem()), file("key.pem", &pair.signing_key.serialize_pem()));
    let new_key = NewKey::new("load", &Functions::All).unwrap();
    let access = AccessConfig { keys: Some(file("keys.toml", &new_key.toml)), ..AccessConfig::default() };
    let address = gateway_for(&[probe.address()], access, Some(Tls::open(&cert, &key).unwrap())).await;
    let gateway = format!("https://localhost:{}", address.port());
    let stranger = TargetSpec { gateway: Some(gateway.clone()), ..spec("probe") };
    let wrong = said(&stranger).await;
    assert!(wrong.contains("UnknownIssuer") || wrong.contains("certificate"), "{wrong}");
    let trusting = TargetSpec { ca: Some(Pem { file: "cert.pem".into(), text: pair.cert.pem().into() }), ..stranger };
    let wrong = said(&trusting).await;
    assert!(wrong.contains("401"), "{wrong}");
    let known = TargetSpec { key: Some(new_key.secret.clone()), ..trusting };
    let target = resolve(&known).await.unwrap();
    assert!(target.tls && target.openapi.is_some());
    assert_eq!(target.host, format!("localhost:{}", address.port()));

    // The command itself, over both protocols.
    for words in [&["--http2"][..], &[]] {
        let json = dir.path().join("a.json");
        let mut command =
            crate::command::loadgen(&["-u", "2", "-t", "1", "--wait-time", "20ms", "--headless", "probe"]);
        command.args(words).args(["--gateway", &gateway, "--key", &new_key.secret, "--data"]);
        command.args([r#"{"length": 1, "count": 1, "text": "a", "colour": "red"}"#, "--ca-file"]).arg(&cert);
        let output = command.arg("--json").arg(&json).output().await.unwrap();
        let report = loadgen::report::json::read(&std::fs::read(&json).unwrap()).unwrap();
        assert!(report.total.requests > 10 && report.total.failures == 0, "{:?}: {output:?}", report.failures);
    }
}

fn servers(consul: Option<&str>) -> Servers {
    Servers { consul: consul.map(Endpoint::new), nomad: None, datacenter: None, namespace: "default".into() }
}

#[tokio::test]
async fn instances_in_consul_are_followed() {
    let (a, b) = (Probe::start(&[]).await, Probe::start(&[]).await);
    let address = |probe: &Probe| probe.address().parse::<SocketAddr>().unwrap();
    let Some(consul) = Consul::start().await else { return };
    consul.register("probe", "a", address(&a), &["drover"], "passing").await;
    let direct = |name: &str| TargetSpec { via: Via::Cluster(servers(Some(&consul.url)).into()), ..spec(name) };
    let target = resolve(&direct("probe")).await.unwrap();
    load(&target, 5).await;
    let shows = async |wanted: &[SocketAddr]| {
        eventually(&format!("{wanted:?} are listed"), SEEN, || {
            let found: Vec<_> = target.endpoints.borrow().iter().map(|endpoint| endpoint.address).collect();
            async move { (found == wanted).then_some(()) }
        })
        .await;
    };
    shows(&[address(&a)]).await;
    consul.register("probe", "b", address(&b), &["drover"], "passing").await;
    shows(&[address(&a), address(&b)]).await;
    consul.set_status("a", "critical", "").await;
    shows(&[address(&b)]).await;
    assert_eq!(said(&direct("prode")).await, "no function is called `prode`; near: `probe`");
    consul.set_status("b", "critical", "").await;
    shows(&[]).await;
    assert!(said(&direct("probe")).await.starts_with("`probe` has no instance that is ready"));
}

#[tokio::test]
async fn the_needs_of_instances_are_sampled_against_their_limits() {
    let probe = Probe::start(&[("NOMAD_MEMORY_LIMIT", "64"), ("DROVER_CPU", "0.5")]).await;
    let gateway = Some(gateway(&[probe.address()]).await);
    let target = resolve(&TargetSpec { via: Via::Instances, gateway, ..spec("probe") }).await.unwrap();
    let usage = Usage::start(target.instances.clone().unwrap()).unwrap();
    eventually("the first sample", SEEN, || async { usage.now().ram_percent }).await;
    load(&target, 200).await;
    let report = eventually("all requests are seen", SEEN, || async {
        usage.instances().into_iter().find(|instance| instance.requests == 200)
    })
    .await;
    assert_eq!((report.cpu_limit_cores, report.memory_limit_bytes), (Some(0.5), Some(64 << 20)));
    let (cpu, ram) = (report.cpu_percent.unwrap(), report.ram_percent.unwrap());
    assert!(cpu.max > 0.0 && cpu.mean <= cpu.max, "{cpu:?}");
    assert!(ram.max > 1.0 && ram.max < 100.0, "{ram:?}");
    usage.reset();
    assert_eq!(usage.instances()[0].requests, 0);
    assert_eq!(usage.now().instances, 1);
}
