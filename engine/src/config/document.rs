//! The documents: what a configuration file or a Python module declares, as it is written.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::decode::{Decode, Lenient, Named, Node, OneOrMany, Spanned};
use super::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use super::include::IncludeConfig;
use super::route::{HandlerConfig, MethodName, QueryTarget};
use super::schema::{self, Book, Field};
use super::slot::{AuthSlot, Limits, Slot, Switch};
use super::target::TargetConfig;
use super::units::{Size, Span};
use crate::answer::redirect::RedirectConfig;
use crate::answer::respond::RespondConfig;
use crate::config;
use crate::files::FilesConfig;
use crate::middleware::access_log::AccessLogConfig;
use crate::middleware::authenticate::AuthConfig;
use crate::middleware::compress::CompressConfig;
use crate::middleware::cors::CorsConfig;
use crate::middleware::csrf::CsrfConfig;
use crate::middleware::in_flight::InFlightConfig;
use crate::middleware::ip::IpConfig;
use crate::middleware::maintenance::MaintenanceConfig;
use crate::middleware::rate_limit::RateLimitConfig;
use crate::middleware::request_headers::RequestHeadersConfig;
use crate::middleware::request_id::RequestIdConfig;
use crate::middleware::response_headers::ResponseHeadersConfig;
use crate::middleware::rewrite::RewriteConfig;
use crate::middleware::security_headers::SecurityHeadersConfig;
use crate::middleware::timeout::TimeoutConfig;
use crate::server::limits::LimitsConfig;

/// One source of declarations.
#[derive(Debug)]
pub struct Document {
    /// What to call it in messages: a file name, a module.
    pub source: String,
    /// Its number, with which its locations begin.
    pub index: usize,
    /// Where it is: what the paths of files in it are relative to.
    pub directory: PathBuf,
    /// What it declares.
    pub config: Config,
}

config! {
    /// A whole configuration.
    pub struct Config {
        /// The version of the format: 1.
        version: Lenient<Spanned<u64>> = optional(1) of [1],
        /// The Django settings module; left out: embedded Django. With it, a route that names nothing
        /// that answers it is answered by the project's own URLs.
        settings: String = optional like "mysite.settings",
        /// The routes declared in Python, `module:attribute`.
        app: String = optional like "mysite.api:api",
        /// Files with more `define`, `groups`, `routes` and `include`: patterns relative to this
        /// file, below the directory of the configuration.
        include: Vec<IncludeConfig> = optional like ["routes/*.yaml"],
        /// The server.
        server: Lenient<ServerConfig> = optional,
        /// Named definitions, by kind.
        define: Lenient<DefineConfig> = optional,
        /// What every route inherits.
        defaults: Slots = default(Slots::default()),
        /// Groups of routes.
        groups: Vec<GroupConfig> = default(Vec::new()),
        /// Routes outside any group.
        routes: Vec<RouteConfig> = default(Vec::new()),
    }
}

config! {
    /// The server: where it listens and whom it believes.
    pub struct ServerConfig {
        /// The addresses to listen on, `host:port`.
        listen: Spanned<Vec<String>> = optional(["127.0.0.1:8000"]),
        /// The hosts that are ours, `example.com` or `*.example.com`; none = any.
        hosts: Spanned<Vec<Spanned<String>>> = optional like ["example.com", "*.example.com"],
        /// Whether clients that did not speak TLS to a trusted proxy are sent to `https`.
        https_redirect: Spanned<bool> = optional(false),
        /// The one host that clients are sent to, `host` or `host:port`.
        canonical_host: Spanned<String> = optional like "example.com",
        /// What clients may take, send and open.
        limits: Spanned<LimitsConfig> = optional,
        /// How paths are read.
        paths: Spanned<PathsConfig> = optional,
        /// How many worker processes; `auto` = one for each core.
        workers: Spanned<Workers> = optional(1),
        /// The proxies whose forwarding header is believed, as networks.
        trusted_proxies: Spanned<Vec<Spanned<String>>> = optional([] as [&str; 0]) like ["10.0.0.0/8"],
        /// The header that trusted proxies name the client in.
        client_ip_header: Spanned<String> = optional like "x-forwarded-for",
        /// The memory in which all workers count for rate limits, 64KiB to 4GiB; 16 bytes a key.
        rate_limit_memory: Spanned<Size> = optional("32MiB"),
        /// How long a worker that is told to end waits for its requests; 1ms to 1d.
        drain_timeout: Spanned<Span> = optional("30s"),
        /// The Python side of a worker.
        python: Spanned<ServerPythonConfig> = optional,
    }
}

config! {
    /// How paths are read.
    pub struct PathsConfig {
        /// `reject`: a path with an encoded slash is refused; there is no other way.
        encoded_slash: Spanned<String> = optional("reject") of ["reject"],
        /// `reject`: a path with dot segments is refused; there is no other way.
        dot_segments: Spanned<String> = optional("reject") of ["reject"],
        /// `strict`: a path is what it is; `django`: one that is there only with a slash at its end
        /// is redirected to it (`GET` and `HEAD`).
        trailing_slash: Spanned<String> = optional("strict") of ["strict", "django"],
    }
}

config! {
    /// The Python side of a worker process.
    pub struct ServerPythonConfig {
        /// Threads for sync handlers that wait, and as many for the sync code of async ones.
        threads: Spanned<u64> = optional(8),
        /// How often Python offers to switch threads; 1ms to 1s.
        switch_interval: Spanned<Span> = optional("1ms"),
    }
}

config! {
    /// Named definitions, by kind of middleware.
    pub struct DefineConfig {
        /// CORS policies.
        cors: Named<CorsConfig> = default(Named::default()),
        /// Authentication methods.
        auth: Named<AuthConfig> = default(Named::default()),
        /// Rate limits.
        rate_limit: Named<RateLimitConfig> = default(Named::default()),
        /// In-flight limits.
        in_flight: Named<InFlightConfig> = default(Named::default()),
        /// Security header policies.
        security_headers: Named<SecurityHeadersConfig> = default(Named::default()),
        /// Compression policies.
        compress: Named<CompressConfig> = default(Named::default()),
        /// Access logs.
        access_log: Named<AccessLogConfig> = default(Named::default()),
        /// Request ids.
        request_id: Named<RequestIdConfig> = default(Named::default()),
        /// Maintenance.
        maintenance: Named<MaintenanceConfig> = default(Named::default()),
        /// Address rules.
        ip: Named<IpConfig> = default(Named::default()),
        /// Protection against cross-site request forgery.
        csrf: Named<CsrfConfig> = default(Named::default()),
        /// Header fields of answers.
        response_headers: Named<ResponseHeadersConfig> = default(Named::default()),
        /// Header fields of requests, as handlers see them.
        request_headers: Named<RequestHeadersConfig> = default(Named::default()),
        /// Rewrites of the path, as handlers see it.
        rewrite: Named<RewriteConfig> = default(Named::default()),
        /// Bulkheads.
        python: Named<PythonConfig> = default(Named::default()),
    }
}

config! {
    /// How a route's handler runs, and how many at once.
    pub struct PythonConfig {
        /// `auto`, `inline`, `queue` or `thread`; a Django project runs on threads (E128).
        run: Spanned<String> = optional("auto") of ["auto", "inline", "queue", "thread"],
        /// How many requests may be with Python at once.
        concurrency: Spanned<u64> = optional like 64,
        /// How many more may wait; 0 = none.
        queue: Spanned<u64> = optional like 128,
        /// How long they wait at most; 1ms to 60s.
        max_wait: Spanned<Span> = optional("250ms"),
    }
}

/// Declares the slots once: the struct, its keys, and how they are decoded out of a mapping.
macro_rules! slots {
    ($($(#[$($doc:tt)*])* $field:ident : $type:ty $(= $default:literal)?),* $(,)?) => {
        /// The slots of the defaults, a group or a route: one for each kind of middleware.
        #[derive(Debug, Clone, Default)]
        pub struct Slots { $($(#[$($doc)*])* pub $field: Option<Spanned<$type>>),* }

        impl Slots {
            /// The keys of all slots.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Every slot's key with where it is set, if it is.
            pub fn places(&self) -> Vec<(&'static str, Option<&Location>)> {
                vec![$((stringify!($field), self.$field.as_ref().map(|slot| &slot.at))),*]
            }

            /// Every slot's key as a schema has it.
            fn fields(book: &mut Book) -> Vec<Field> {
                vec![$({
                    let docs = [$($crate::config!(@doc $($doc)*)),*];
                    Field::new(stringify!($field), &docs, <$type>::schema(book))
                        $(.default(Some($default.into())))?
                }),*]
            }

            /// Decodes the slots out of `object`, whose other keys are the caller's.
            fn read(object: &serde_json::Map<String, Value>, at: &Location, out: &mut Diagnostics) -> Self {
                $(let $field = object.get(stringify!($field)).and_then(|value| {
                    let at = at.key(stringify!($field));
                    Spanned::<$type>::decode(Node { value, at: &at }, out)
                });)*
                Self { $($field),* }
            }
        }
    };
}

slots! {
    /// Names every request.
    request_id: Slot<RequestIdConfig>,
    /// One line for every answer.
    access_log: Slot<AccessLogConfig>,
    /// Header fields of answers, set and removed.
    response_headers: Slot<ResponseHeadersConfig>,
    /// Header fields that make browsers careful.
    security_headers: Slot<SecurityHeadersConfig>,
    /// Cross-origin resource sharing.
    cors: Slot<CorsConfig>,
    /// Compression of answers.
    compress: Slot<CompressConfig>,
    /// Closing for maintenance.
    maintenance: Slot<MaintenanceConfig>,
    /// Which addresses may come.
    ip: Slot<IpConfig>,
    /// Protection against cross-site request forgery.
    csrf: Slot<CsrfConfig>,
    /// Rate limits, by name.
    rate_limit: Limits,
    /// How many requests may be under way at once, by client or another key.
    in_flight: Slot<InFlightConfig>,
    /// Who may ask: `public`, `deny`, an authentication method, or `any` of several; `django` where
    /// the Django project answers and decides itself; `deny` where nothing is said and any method is
    /// declared.
    auth: AuthSlot = "public",
    /// What the one who asks must have.
    allow: Switch<Spanned<String>>,
    /// How long an answer may take to begin; or `{first_byte: 5s, total: 10m}`, how long to begin and
    /// to end; at most a day.
    timeout: Switch<TimeoutConfig>,
    /// How long a request's body may be; `0B` = there may be none.
    body_limit: Switch<Size> = "2MiB",
    /// Header fields of requests, set and removed for the handler.
    request_headers: Slot<RequestHeadersConfig>,
    /// The path that the handler sees.
    rewrite: Slot<RewriteConfig>,
    /// How the handler runs.
    python: Slot<PythonConfig>,
}

impl Decode for Slots {
    const EXPECTED: &'static str = "a mapping";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        unknown_keys(object, node.at, &[], out);
        Some(Self::read(object, node.at, out))
    }

    fn schema(book: &mut Book) -> Value {
        schema::block(&["What every route inherits."], &[], Self::fields(book))
    }
}

/// A group of routes.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// What explains call it.
    pub name: Option<String>,
    /// What the paths of its routes begin with.
    pub prefix: Spanned<String>,
    /// What its routes inherit.
    pub slots: Slots,
    /// Groups within.
    pub groups: Vec<GroupConfig>,
    /// Its routes.
    pub routes: Vec<RouteConfig>,
}

impl Decode for GroupConfig {
    const EXPECTED: &'static str = "a group: a mapping with routes";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        unknown_keys(object, node.at, &["name", "prefix", "groups", "routes"], out);
        let slots = Slots::read(object, node.at, out);
        let name = field(object, node.at, "name", out);
        let prefix = field(object, node.at, "prefix", out);
        let groups = field(object, node.at, "groups", out);
        let routes = field(object, node.at, "routes", out);
        let empty = || Spanned { value: String::new(), at: node.at.clone() };
        Some(Self {
            name,
            prefix: prefix.unwrap_or_else(empty),
            slots,
            groups: groups.unwrap_or_default(),
            routes: routes.unwrap_or_default(),
        })
    }

    fn schema(book: &mut Book) -> Value {
        book.define("Group", |book| {
            let mut fields = vec![
                own::<String>("name", "What explains call it.", json!("api"), book),
                own::<String>(
                    "prefix",
                    "What the paths of its routes begin with.",
                    json!("/api"),
                    book,
                ),
                own::<Vec<Self>>("groups", "Groups within.", json!([]), book),
                own::<Vec<RouteConfig>>("routes", "Its routes.", json!([]), book),
            ];
            fields.extend(Slots::fields(book));
            schema::block(
                &["Routes with what they have in common: a prefix, and any slot."],
                &[],
                fields,
            )
        })
    }
}

/// A route: what answers it with its policies, or policies for a route declared elsewhere.
#[derive(Debug, Clone)]
pub struct RouteConfig {
    /// Where it is declared.
    pub at: Location,
    /// The pattern, without the groups' prefixes.
    pub path: Spanned<String>,
    /// The methods; `None` = `GET`, or for a policy alone all that the route has; of what Django
    /// answers, all.
    pub methods: Option<Vec<Spanned<MethodName>>>,
    /// What explains call it.
    pub name: Option<String>,
    /// What answers it.
    pub target: Option<Spanned<TargetConfig>>,
    /// Its slots.
    pub slots: Slots,
}

impl Decode for RouteConfig {
    const EXPECTED: &'static str = "a route: a mapping with a path";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        let own = [
            "path", "methods", "name", "handler", "respond", "redirect", "health", "files", "query",
        ];
        unknown_keys(object, node.at, &own, out);
        let slots = Slots::read(object, node.at, out);
        let name = field(object, node.at, "name", out);
        let methods = field::<OneOrMany<Spanned<MethodName>>>(object, node.at, "methods", out);
        if object.get("methods").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            out.push(
                Diagnostic::error("E055", &node.at.key("methods"), "no methods")
                    .hint("name one, or leave the key out"),
            );
        }
        let target = TargetConfig::read(object, node.at, out);
        let path: Option<Spanned<String>> = field(object, node.at, "path", out);
        if !object.contains_key("path") {
            out.push(
                Diagnostic::error("E013", node.at, "missing key `path`")
                    .hint("a route needs a path, such as `/items/{id}`"),
            );
        }
        Some(Self {
            at: node.at.clone(),
            path: path?,
            methods: methods.map(|methods: OneOrMany<_>| methods.0),
            name,
            target,
            slots,
        })
    }

    fn schema(book: &mut Book) -> Value {
        book.define("Route", |book| {
            let methods =
                "The methods; `GET` where nothing is said, all where the Django project answers.";
            let mut fields = vec![
                own::<String>(
                    "path",
                    "The pattern below the groups' prefixes: `/items/{id}`, `/{*rest}`.",
                    json!("/items/{id}"),
                    book,
                )
                .required(),
                own::<OneOrMany<MethodName>>("methods", methods, json!(["GET"]), book),
                own::<String>("name", "What explains call it.", json!("item"), book),
                own::<HandlerConfig>(
                    "handler",
                    "The handler in Python, `module:function`.",
                    json!("shop.api:item"),
                    book,
                ),
                own::<RespondConfig>(
                    "respond",
                    "What Rust answers, always the same.",
                    Value::Null,
                    book,
                ),
                own::<RedirectConfig>(
                    "redirect",
                    "Where Rust sends the client.",
                    Value::Null,
                    book,
                ),
                own::<Spanned<String>>(
                    "health",
                    "What Rust tells of the worker: `live` or `ready`.",
                    json!("ready"),
                    book,
                )
                .words(json!(["live", "ready"])),
                own::<FilesConfig>(
                    "files",
                    "A directory whose files Rust sends.",
                    Value::Null,
                    book,
                ),
                own::<QueryTarget>(
                    "query",
                    "A queryset whose rows are the answer, `module:attribute`.",
                    json!("shop.queries:latest"),
                    book,
                ),
            ];
            fields.extend(Slots::fields(book));
            schema::block(&["A route: its path, what answers it, and any slot."], &[], fields)
        })
    }
}

/// Decodes a field that may be left out; a mistake is recorded, then it counts as left out.
pub(super) fn field<T: Decode>(
    object: &serde_json::Map<String, Value>,
    at: &Location,
    key: &str,
    out: &mut Diagnostics,
) -> Option<T> {
    T::decode(Node { value: object.get(key)?, at: &at.key(key) }, out)
}

/// A key of a group or a route that is no slot; an example of nothing is none.
fn own<T: Decode>(key: &'static str, docs: &str, example: Value, book: &mut Book) -> Field {
    let field = Field::new(key, &[docs], T::schema(book));
    if example.is_null() { field } else { field.example(example) }
}

fn unknown_keys(
    object: &serde_json::Map<String, Value>,
    at: &Location,
    own: &[&str],
    out: &mut Diagnostics,
) {
    let known = || own.iter().chain(Slots::KEYS).copied();
    for key in object.keys().filter(|key| !known().any(|known| known == key.as_str())) {
        let message = format!("unknown key `{key}` in {}", at.dotted());
        let mut diagnostic = Diagnostic::error("E014", &at.key(key), message).at_key();
        diagnostic.hint = Some(match did_you_mean(key, known()) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => format!("known keys: {}", known().collect::<Vec<_>>().join(", ")),
        });
        out.push(diagnostic);
    }
}

/// A number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each core that the container may use.
    Auto,
    /// So many.
    Count(u64),
}

impl Decode for Workers {
    const EXPECTED: &'static str = "`auto` or a number of workers";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        if node.value.as_str() == Some("auto") {
            return Some(Self::Auto);
        }
        let count = u64::decode(node, out)?;
        if !(1..=256).contains(&count) {
            out.error("E015", node.at, format!("{count} workers: write `auto` or 1 to 256"));
            return None;
        }
        Some(Self::Count(count))
    }

    fn schema(_: &mut Book) -> Value {
        schema::either([json!({"const": "auto"}), schema::whole(1, Some(256))])
    }
}

/// Decodes the wire: `{"documents": [{"source": …, "directory": …, "config": …}, …]}`.
pub fn decode(wire: &Value, out: &mut Diagnostics) -> Vec<Document> {
    let Some(documents) = wire.get("documents").and_then(Value::as_array) else {
        out.error("E010", &Location::default(), "the wire has no documents");
        return Vec::new();
    };
    documents
        .iter()
        .enumerate()
        .filter_map(|(index, document)| {
            let source = document.get("source").and_then(Value::as_str).unwrap_or("?").to_owned();
            let value = document.get("config").unwrap_or(&Value::Null);
            let at = Location::document(index);
            let config = Config::decode(Node { value, at: &at }, out)?;
            if let Some(version) = config
                .version
                .as_ref()
                .and_then(|version| version.0.as_ref())
                .filter(|version| version.value != 1)
            {
                out.error(
                    "E011",
                    &version.at,
                    format!("version {} is not known; this is version 1", version.value),
                );
            }
            let directory = document.get("directory").and_then(Value::as_str).unwrap_or_default();
            Some(Document { source, index, directory: directory.into(), config })
        })
        .collect()
}

/// The Django project as a handler, where there is one: what answers routes that name nothing else.
pub fn django(wire: &Value, out: &mut Diagnostics) -> Option<HandlerConfig> {
    let value = wire.get("django")?;
    HandlerConfig::decode(Node { value, at: &Location::default() }, out)
}
