//! Rows of PostgreSQL by tokio-postgres: one connection, on which requests are pipelined, statements prepared once,
//! the SQL that Django's compiler makes, and the bytes that `json.dumps` makes of the rows.

use actix_web::error::{ErrorInternalServerError, ErrorNotFound};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpResponse, Result};
use rust_decimal::Decimal;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

const TEN: &str = r#"SELECT "reads_item"."id" AS "id", "reads_item"."name" AS "name", "reads_item"."price" AS "price", "reads_item"."stock" AS "stock" FROM "reads_item" ORDER BY 1 ASC LIMIT 10"#;
const ONE: &str = r#"SELECT "reads_item"."id" AS "id", "reads_item"."name" AS "name", "reads_item"."price" AS "price", "reads_item"."stock" AS "stock" FROM "reads_item" WHERE "reads_item"."id" = $1 LIMIT 1"#;
/// What ten rows come to.
const CAPACITY: usize = 1024;

/// A connection with its statements.
pub struct Items {
    client: Client,
    ten: Statement,
    one: Statement,
}

/// Connects to the database on this port of 127.0.0.1, as the harness has made it.
pub async fn connect(port: u16) -> std::result::Result<Items, Error> {
    let address = format!("host=127.0.0.1 port={port} user=bolt dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await?;
    actix_rt::spawn(connection);
    let (ten, one) = (client.prepare(TEN).await?, client.prepare(ONE).await?);
    Ok(Items { client, ten, one })
}

/// The first ten rows.
pub async fn ten(items: Data<Items>) -> Result<HttpResponse> {
    let rows = items.client.query(&items.ten, &[]).await.map_err(ErrorInternalServerError)?;
    let mut body = Vec::with_capacity(CAPACITY);
    body.push(b'[');
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            body.extend_from_slice(b", ");
        }
        write(&mut body, row)?;
    }
    body.push(b']');
    Ok(answer(body))
}

/// The row with this key, or 404.
pub async fn one(items: Data<Items>, id: Path<i64>) -> Result<HttpResponse> {
    let row =
        items.client.query_opt(&items.one, &[&*id]).await.map_err(ErrorInternalServerError)?;
    let row = row.ok_or_else(|| ErrorNotFound("no such row"))?;
    let mut body = Vec::with_capacity(CAPACITY);
    write(&mut body, &row)?;
    Ok(answer(body))
}

fn answer(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(Bytes::from(body))
}

fn write(body: &mut Vec<u8>, row: &Row) -> Result<()> {
    let mut digits = itoa::Buffer::new();
    body.extend_from_slice(br#"{"id": "#);
    body.extend_from_slice(digits.format(row.get::<_, i64>(0)).as_bytes());
    body.extend_from_slice(br#", "name": "#);
    serde_json::to_writer(&mut *body, row.get::<_, &str>(1))?;
    body.extend_from_slice(br#", "price": ""#);
    body.extend_from_slice(row.get::<_, Decimal>(2).to_string().as_bytes());
    body.extend_from_slice(br#"", "stock": "#);
    body.extend_from_slice(digits.format(row.get::<_, i32>(3)).as_bytes());
    body.push(b'}');
    Ok(())
}
