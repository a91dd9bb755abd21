//! A network between a node and what it needs, which can be cut or fall silent.

use std::{net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Open,
    /// Connections end, and new ones are refused.
    Cut,
    /// Connections stay, and nothing arrives: as behind a firewall that forgot them.
    Silent,
}

/// Where a proxy leads.
#[derive(Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Listens on a port of its own and passes everything on, as long as the network is open.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    network: watch::Sender<Network>,
}

impl Proxy {
    pub(crate) async fn to(target: Target) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (network, seen) = watch::channel(Network::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, target.clone(), seen.clone()));
            }
        });
        Proxy { address, network }
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

/// One connection. Dropping both ends is all that a cut has to do.
async fn join(client: TcpStream, target: Target, network: watch::Receiver<Network>) {
    if *network.borrow() == Network::Cut {
        return;
    }
    match target {
        Target::Tcp(address) => {
            if let Ok(server) = TcpStream::connect(address).await {
                carry(client, server, network).await;
            }
        }
        Target::Unix(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                carry(client, server, network).await;
            }
        }
    }
}

async fn carry<S: AsyncRead + AsyncWrite>(
    client: TcpStream,
    server: S,
    mut network: watch::Receiver<Network>,
) {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let (there, back) = (
        pump(from_client, to_server, network.clone()),
        pump(from_server, to_client, network.clone()),
    );
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = network.wait_for(|network| *network == Network::Cut) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut network: watch::Receiver<Network>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer).await {
        if network
            .wait_for(|network| *network != Network::Silent)
            .await
            .is_err()
        {
            return;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // The other end is told; what it still has to say may come.
    let _ = to.shutdown().await;
}
