//! What the board shows of what it is told.

use serde_json::{Value, json};

use super::*;

fn board(servers: &[Server]) -> Board {
    Board::new(servers.iter().copied().collect())
}

fn name() -> FunctionName {
    "penguins".parse().unwrap()
}

fn in_consul() -> Followed {
    Followed { keeper: Server::Consul, function: name() }
}

fn entry(id: &str, status: &str, host: &str) -> Entry {
    let tags = ["drover", &format!("host={host}")];
    serde_json::from_value(json!({
        "Node": {"Address": "10.0.0.1"},
        "Service": {"ID": id, "Address": "", "Port": 80, "Tags": tags, "Meta": {"version": "2"}},
        "Checks": [{"Name": "ready", "Status": status, "Output": ""}],
    }))
    .unwrap()
}

fn described(count: u32, provider: &str) -> BTreeMap<FunctionName, Described> {
    let job: Value = json!({"ID": "penguins", "TaskGroups": [{
        "Name": "function", "Count": count, "Tasks": [{"Name": "function"}],
        "Services": [{"Name": "penguins", "Provider": provider, "Tags": ["drover", "host=job"], "Meta": {"version": "1"}}],
    }]});
    serde_json::from_value::<super::super::nomad::Job>(job).unwrap().functions().into_iter().collect()
}

fn shown(board: &Board) -> Arc<Snapshot> {
    board.watch().borrow().clone()
}

#[test]
fn a_job_at_count_zero_is_a_function_and_its_instances_say_more_than_it_does() {
    let board = board(&[Server::Consul, Server::Nomad]);
    board.jobs(described(0, "consul"));
    let function = Arc::clone(&shown(&board).functions[&name()]);
    assert_eq!((function.hosts().collect::<Vec<_>>(), function.instances.len()), (vec!["job"], 0));
    assert_eq!(*board.followed().borrow(), BTreeSet::from([in_consul()]));
    board.entries(&in_consul(), vec![entry("a", "passing", "instance")]);
    let function = Arc::clone(&shown(&board).functions[&name()]);
    assert_eq!((function.hosts().collect::<Vec<_>>(), function.instances.len()), (vec!["instance"], 1));
    board.jobs(BTreeMap::new());
    assert_eq!(*shown(&board), Snapshot::default());
}

#[test]
fn instances_keep_their_numbers_and_their_past() {
    let board = board(&[Server::Consul]);
    board.services(BTreeMap::from([(name(), ())]));
    let seen = |entries: Vec<Entry>| -> Vec<String> {
        board.entries(&in_consul(), entries);
        let snapshot = shown(&board);
        snapshot.all_instances().map(|i| format!("{} {} {}", i.index, i.id.as_str(), i.state)).collect()
    };
    let (a, b, c) = (entry("a", "passing", ""), entry("b", "critical", ""), entry("c", "passing", ""));
    assert_eq!(seen(vec![a.clone(), b.clone()]), ["0 a ready", "1 b starting"]);
    assert_eq!(seen(vec![b.clone(), entry("a", "critical", "")]), ["0 a unhealthy", "1 b starting"]);
    assert_eq!(seen(vec![c.clone(), b.clone()]), ["1 b starting", "2 c ready"]);
    assert_eq!(seen(vec![a, b, c]), ["0 a ready", "1 b starting", "2 c ready"]);
}

#[test]
fn what_was_known_last_stays_and_says_that_it_is() {
    let board = board(&[Server::Consul]);
    board.services(BTreeMap::from([(name(), ())]));
    board.entries(&in_consul(), vec![entry("a", "passing", "")]);
    let before = shown(&board);
    for source in [Source::Services, Source::Instances(in_consul())] {
        board.lost(source, "refused");
    }
    let lost = shown(&board);
    assert_eq!((&lost.functions, lost.lost.as_deref()), (&before.functions, Some("refused")));
    // It comes back and has forgotten everything: for a while that is not believed.
    board.services(BTreeMap::new());
    board.entries(&in_consul(), Vec::new());
    assert_eq!(*shown(&board), *before);
    board.expire(Instant::now() + super::super::roster::GRACE);
    assert_eq!(*shown(&board), Snapshot::default());
}

#[test]
fn an_outage_makes_nobody_ill() {
    let board = board(&[Server::Consul]);
    board.services(BTreeMap::from([(name(), ())]));
    let states = || -> Vec<InstanceState> { shown(&board).all_instances().map(|i| i.state).collect() };
    let tell = |a: &str, b: &str| board.entries(&in_consul(), vec![entry("a", a, ""), entry("b", b, "")]);
    tell("passing", "critical");
    board.lost(Source::Instances(in_consul()), "refused");
    board.entries(&in_consul(), Vec::new());
    tell("critical", "critical");
    assert_eq!(states(), [InstanceState::Ready, InstanceState::Starting]);
    tell("critical", "passing");
    assert_eq!(states(), [InstanceState::Ready, InstanceState::Ready]);
    // One that passed since then is believed when it says that it does not.
    tell("critical", "critical");
    assert_eq!(states(), [InstanceState::Ready, InstanceState::Unhealthy]);
    board.expire(Instant::now() + TRUST);
    assert_eq!(states(), [InstanceState::Unhealthy, InstanceState::Unhealthy]);
}

#[test]
fn nomad_keeps_the_list_where_the_job_says_so() {
    let board = board(&[Server::Nomad]);
    board.jobs(described(1, "consul"));
    assert_eq!(*board.followed().borrow(), BTreeSet::new(), "there is no Consul");
    board.jobs(described(1, "nomad"));
    let followed = Followed { keeper: Server::Nomad, function: name() };
    assert_eq!(*board.followed().borrow(), BTreeSet::from([followed.clone()]));
    let registration = json!([{"AllocID": "x", "Address": "127.0.0.1", "Port": 81, "Tags": ["drover"]}]);
    board.registrations(&followed, serde_json::from_value(registration).unwrap());
    let snapshot = shown(&board);
    let instance = snapshot.all_instances().next().unwrap();
    assert_eq!((instance.version(), instance.state), (Some("1"), InstanceState::Ready));
}

#[tokio::test]
async fn it_is_settled_once_everybody_was_asked() {
    let board = board(&[Server::Consul, Server::Nomad]);
    let settled = || board.settled().now_or_never().is_some();
    use futures_util::FutureExt as _;
    assert!(board.all_described().is_err());
    board.services(BTreeMap::from([(name(), ())]));
    assert!(!settled(), "Nomad is missing");
    board.lost(Source::Jobs, "refused");
    assert!(!settled(), "the instances are missing");
    assert_eq!(board.all_described(), Err("refused".into()));
    board.entries(&in_consul(), Vec::new());
    assert!(settled());
}
