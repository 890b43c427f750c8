//! Raw actix-web answering `GET /hello`, and nothing else: the floor that pybolt's cases are measured against.
//!
//! `floor PORT` listens on 127.0.0.1:PORT with one listener and one worker thread, allocates with mimalloc as the
//! engine does, and answers the bytes that the Python handlers' `{"message": "Hello, World!"}` encodes to.
//! `floor PORT POSTGRESQL` also reads rows from the database on that port: [`items`].

mod items;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use actix_web::{App, HttpResponse, HttpServer, web};
use socket2::{Domain, Socket, Type};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BODY: &[u8] = br#"{"message":"Hello, World!"}"#;
const BACKLOG: i32 = 1024;

fn main() -> std::io::Result<()> {
    let ports: Option<Vec<u16>> = std::env::args().skip(1).map(|port| port.parse().ok()).collect();
    let (port, postgresql) = match ports.as_deref() {
        Some(&[port]) => (port, None),
        Some(&[port, postgresql]) => (port, Some(postgresql)),
        _ => {
            eprintln!("usage: floor PORT [POSTGRESQL]");
            std::process::exit(2);
        }
    };
    let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    actix_rt::System::new().block_on(async {
        match postgresql {
            None => {
                HttpServer::new(|| App::new().route("/hello", web::get().to(hello)))
                    .workers(1)
                    .listen(listener)?
                    .run()
                    .await
            }
            Some(postgresql) => {
                HttpServer::new(move || {
                    App::new()
                        .data_factory(move || items::connect(postgresql))
                        .route("/query/ten", web::get().to(items::ten))
                        .route("/query/one/{id}", web::get().to(items::one))
                })
                .workers(1)
                .listen(listener)?
                .run()
                .await
            }
        }
    })
}

async fn hello() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(web::Bytes::from_static(BODY))
}

/// A listening socket that can be bound again at once after the last run.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
