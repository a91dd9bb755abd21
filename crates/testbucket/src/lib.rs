//! A bucket for tests: a real server of S3 on this machine, which can be told to fail.
//!
//! The server is `s3s` with files behind it. It checks every signature, also those in presigned URLs, takes uploads in parts
//! with S3's rules about their sizes, and lists, ranges and copies. It runs on a thread of its own, so that tests that block
//! and processes that tests start can use it, too. Faults come before it or behind it, where the network would be.

mod faults;

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{
    HttpResponse,
    auth::SimpleAuth,
    host::MultiDomain,
    service::{S3Service, S3ServiceBuilder},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};

pub use faults::{Fault, Rule};

/// The key's id.
pub const ACCESS_KEY_ID: &str = "kinora-test";
/// The key.
pub const SECRET_ACCESS_KEY: &str = "not-a-secret-at-all";
/// The bucket that is there.
pub const BUCKET: &str = "kinora";
/// The name of the host, for who names the bucket in front of it.
pub const DOMAIN: &str = "s3.test";

/// A server with one bucket. Ends with this.
pub struct TestBucket {
    address: SocketAddr,
    folder: TempDir,
    shared: Arc<Shared>,
    /// Its end is the server's.
    _alive: oneshot::Sender<Infallible>,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<String>>,
}

impl TestBucket {
    /// A server on a free port of this machine. It listens already.
    pub fn start() -> TestBucket {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join(BUCKET)).expect("a folder for the bucket");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket of a runtime");
        let address = listener.local_addr().expect("an address");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a file system for the server");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let domains = [address.to_string(), format!("{DOMAIN}:{}", address.port())];
        builder.set_host(MultiDomain::new(&domains).expect("two domains"));
        let service = builder.build();
        let shared = Arc::new(Shared::default());
        let (alive, dead) = oneshot::channel();
        let known = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve(listener, service, known) => {}
                    _ = dead => {}
                }
            });
        });
        TestBucket {
            address,
            folder,
            shared,
            _alive: alive,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client calls the endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder in which the bucket's objects lie as files.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// The names of all objects below a prefix, in order.
    pub fn objects(&self, prefix: &str) -> Vec<String> {
        let root = self.folder();
        let mut names: Vec<String> = files_below(&root.join(prefix))
            .iter()
            .filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// How many parts lie about of uploads that are not put together.
    pub fn parts(&self) -> usize {
        let entries = fs::read_dir(self.folder.path()).expect("the server's folder");
        entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(".upload_id-")
            })
            .count()
    }

    /// Lets matching requests fail from now on, as often as the rule says.
    pub fn fail(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Whether every fault has happened as often as it was to.
    pub fn has_failed_enough(&self) -> bool {
        self.rules().iter().all(Rule::is_over)
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.rules().clear();
    }

    /// The requests since the last call, as `PUT /kinora/blobs/…`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        lock(&self.shared.rules)
    }
}

async fn serve(listener: TcpListener, service: S3Service, shared: Arc<Shared>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (service, shared) = (service.clone(), Arc::clone(&shared));
                async move { shared.answer(&service, request).await }
            });
            // A connection that ends badly was meant to.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer)
                .await;
        });
    }
}

impl Shared {
    async fn answer(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Result<HttpResponse, faults::Cut> {
        let line = format!("{} {}", request.method(), request.uri());
        lock(&self.requests).push(line.clone());
        let fault = lock(&self.rules).iter_mut().find_map(|rule| rule.strikes(&line));
        faults::answer(service, request, fault).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
