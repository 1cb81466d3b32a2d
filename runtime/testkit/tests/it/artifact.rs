//! A function that comes as an archive, on a node that has nothing of it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use drover_testkit::{built, checkout, eventually};
use serde_json::Value;

use crate::cluster::{Cluster, READY, predict};
use crate::limits::{cores_under_load, process_of, quarter_of_a_core};

#[tokio::test]
async fn an_archive_runs_as_it_is_in_a_chroot_and_in_a_container() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(dir.path());
    let checksum = format!("checksum={}", checksum_of(&archive));
    let artifact = format!("artifact=http://{}/penguins.tar.gz", serve(std::fs::read(&archive).unwrap()));
    let image = Image::of_libraries(dir.path());
    let image_variable = format!("image={}", image.as_ref().map_or("", |_| Image::NAME));
    let cpu = quarter_of_a_core(&cluster).await;
    for driver in ["raw_exec", "exec", "docker"] {
        if !has_driver(&cluster, driver).await || (driver == "docker" && image.is_none()) {
            eprintln!("skipped: this node has no driver {driver}");
            continue;
        }
        let chosen = format!("driver={driver}");
        let variables = [&artifact, &checksum, &chosen, &image_variable, &cpu, "model_dir=/nowhere", "memory=512"];
        cluster.run("penguins", &variables);
        let began = std::time::Instant::now();
        let found = cluster.passing("penguins", 1).await;
        predict(&found[0].address, "penguins").await.unwrap();
        eprintln!("{driver}: passing after {:?}", began.elapsed());
        // A chroot shows no control group to the function, so `exec` gives it shares only: it says so in its log.
        if driver != "exec" {
            let used = cores_under_load(&found[0].address, &process_of(&found[0].address).await).await;
            assert!((0.15..0.30).contains(&used), "{driver}: it used {used:.3} cores of 0.25");
            eprintln!("{driver}: held to {used:.3} cores of 0.25");
        }
        cluster.nomad(&["job", "stop", "-detach", "penguins"]);
        eventually("its process has ended", READY, || async {
            let all = cluster.nomad.get("/v1/job/penguins/allocations").await;
            all.as_array()?.iter().all(|a| a["ClientStatus"] == "complete").then_some(())
        })
        .await;
    }
}

/// A container image with the C and C++ libraries of this machine and nothing else.
struct Image;

impl Image {
    const NAME: &'static str = "drover-test-libraries:1";

    /// Makes the image for what is in `dir`, if Docker runs here.
    fn of_libraries(dir: &Path) -> Option<Self> {
        if !Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success()) {
            return None;
        }
        let needed = Command::new("ldd").args(["penguins", "libonnxruntime.so"]).current_dir(dir).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        let libraries = needed.split_whitespace().filter_map(|word| word.strip_prefix('/'));
        let libraries: BTreeSet<_> = libraries.collect();
        let tar = dir.join("image.tar");
        let packed = Command::new("tar").arg("-chf").arg(&tar).args(["-C", "/"]).args(libraries).status().unwrap();
        assert!(packed.success());
        let made = Command::new("docker").arg("import").arg(&tar).arg(Self::NAME).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        Some(Self)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _may_be_gone = Command::new("docker").args(["rmi", "-f", Self::NAME]).output();
    }
}

/// Packs the binary, the model and ONNX Runtime as `jobs/predict.nomad` wants them.
fn archive(dir: &Path) -> std::path::PathBuf {
    let binary = built(&["penguins"]).join("penguins");
    let fetched = Command::new(&binary).arg("--fetch-runtime").output().unwrap();
    assert!(fetched.status.success(), "{fetched:?}");
    let library = String::from_utf8(fetched.stdout).unwrap();
    std::fs::copy(&binary, dir.join("penguins")).unwrap();
    std::fs::copy(library.trim(), dir.join("libonnxruntime.so")).unwrap();
    let archive = dir.join("penguins.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(dir).args(["penguins", "libonnxruntime.so", "-C"]);
    tar.arg(checkout().join("functions/penguins")).arg("model");
    assert!(tar.status().unwrap().success());
    archive
}

fn checksum_of(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    format!("sha256:{}", text.split(' ').next().unwrap())
}

async fn has_driver(cluster: &Cluster, driver: &str) -> bool {
    let nodes = cluster.nomad.get("/v1/nodes").await;
    let node: Value = cluster.nomad.get(&format!("/v1/node/{}", nodes[0]["ID"].as_str().unwrap())).await;
    node["Drivers"][driver]["Healthy"] == true
}

/// Answers every request with `body`, and returns where.
fn serve(body: Vec<u8>) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let body: Arc<[u8]> = body.into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, body) = (stream.unwrap(), Arc::clone(&body));
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while !request.ends_with(b"\r\n\r\n") {
                    let read = stream.read(&mut part).unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    request.extend_from_slice(&part[..read]);
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes());
                if !request.starts_with(b"HEAD") {
                    let _ = stream.write_all(&body);
                }
            });
        }
    });
    address
}
