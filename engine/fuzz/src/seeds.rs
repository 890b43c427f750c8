//! Where the mutations begin, and the words that they are made with.

/// The seeds of a target, then words to put between.
pub type Seeds = (&'static [&'static str], &'static [&'static str]);

/// Of `plan`.
pub const PLAN: Seeds = (
    &[
        "",
        "abcdef",
        r#"{"documents": [{"source": "x", "config": {"routes": [{"path": "/", "respond": {}}]}}]}"#,
        r#"{"documents": []}"#,
    ],
    &[
        "{",
        "}",
        "[",
        "]",
        "\"routes\"",
        "\"path\"",
        "null",
        "true",
        "-1",
        "1e999",
        "\"\\u0000\"",
        ",",
        ":",
    ],
);

/// Of `path`.
pub const PATH: Seeds = (
    &["/", "/a/b", "/caf%C3%A9/", "/%41%2e", "*", "//a//", "/a;b/~c"],
    &[
        "%2F", "%2f", "%5C", "%00", "%2e", "%2E%2e", "..", ".", "/", "\\", "%", "%c0%af", "%ff",
        "\u{e9}", "?",
    ],
);

/// Of `expression`.
pub const EXPRESSION: Seeds = (
    &[
        r#"role("a")"#,
        r#"scope("a") || role("b") && !claim("c.d")"#,
        r#"!(claim("x") == 5 || claim("y") == "z")"#,
        r#"claim("x") == -1.5e3"#,
        r#"claim("x") == true"#,
    ],
    &[
        "role(", "scope(", "claim(", "\"a\"", ")", "(", "!", "&&", "||", "==", "null", "\\u0041",
        "\\\"", "1e999", " ",
    ],
);

/// Of `forwarded`.
pub const FORWARDED: Seeds = (
    &[
        "192.0.2.1, 10.0.0.2",
        "for=192.0.2.1;proto=https, for=\"[2001:db8::1]:80\"",
        "::ffff:10.0.0.1, [fe80::1%25eth0]:5",
        "for=\"a\\\"b\";host=x",
        "unknown, _hidden",
    ],
    &[
        "for=",
        "proto=https",
        ";",
        ",",
        "\"",
        "\\",
        "\\\"",
        "10.0.0.1",
        "[::1]",
        ":80",
        "%eth0",
        "=",
        " ",
        "\t",
        "for",
    ],
);

/// Of `request`.
pub const REQUEST: Seeds = (
    &[
        "GET /\nauthorization: Bearer a.b.c\naccept: text/html;q=0.5, */*",
        "OPTIONS /\norigin: https://app.example.com\naccess-control-request-method: POST\naccess-control-request-headers: a, b",
        "POST /\norigin: null\nsec-fetch-site: cross-site\ncookie: session=a; b=c\ncontent-length: 5",
        "GET /public/7\naccept-encoding: zstd;q=1, br;q=0.9, gzip, identity;q=0\nrange: bytes=0-5,-5",
        "HEAD /old/a/b?c=d\nx-forwarded-for: 192.0.2.1\nx-request-id: 5",
        "GET /ip\nforwarded: for=192.0.2.1\nx-forwarded-for: 192.0.2.1",
        "GET /\nx-api-key: a\nauthorization: Basic YTpi",
        "GET http://localhost/\nhost: localhost",
    ],
    &[
        "\n",
        ":",
        "authorization: ",
        "Bearer ",
        "Basic ",
        "cookie: session=",
        "origin: https://app.example.com",
        "null",
        "accept-encoding: ",
        "q=",
        ";",
        ",",
        "*",
        "gzip",
        "host: ",
        "localhost",
        "/old//evil.test",
        "//",
        "%2F",
        "..",
        "?",
        "OPTIONS",
        "POST",
        "access-control-request-method: GET",
        "access-control-request-headers: ",
        "content-length: ",
        "expect: 100-continue",
        "x-user: root",
        "x_user: root",
        "eyJhbGciOiJub25lIn0.",
        "\u{ff}",
    ],
);

/// Of `wire`.
pub const WIRE: Seeds = (
    &[
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n00",
        "POST /a?b=c HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n\x30z",
        "POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n\x10\x7f",
        "PUT http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\nUpgrade: websocket\r\nConnection: upgrade, keep-alive\r\nX_A: b\r\n\r\nab\x40\x41",
        "\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nContent-Type: a/b\r\nX-A: \t caf\u{e9} \t\r\n\r\nHEAD // HTTP/1.1\r\nhost:a\r\n\r\n00",
    ],
    &[
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "\0",
        "\u{b}",
        "\u{7f}",
        "\u{ff}",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "HTTP/1.0",
        "HTTP/1.1",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "content-length: 0\r\n",
        "Content_Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding:\tchunked \r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Connection: close\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: h2c\r\n",
        "Expect: 100-continue\r\n",
        "Trailer: a\r\n",
        "0\r\n\r\n",
        "1\r\na\r\n",
        "ffffffffffffffff\r\n",
        "00000000000000001\r\n",
        "0x1",
        "+1",
        "-1",
        "1;",
        "1 ;x\r\n",
        "http://a/",
        "https://",
        "@",
        "#",
        "?",
        "\\",
        "%00",
        "`",
        "\"",
        "<>",
        "{|}",
        "POST ",
        "CONNECT ",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
);
