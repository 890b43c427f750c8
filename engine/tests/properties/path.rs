//! Path identity: a path has one meaning, and the meaning has no second spelling that is another.

use pybolt_engine::path;

/// Decodes `raw`; what comes out is safe, and every byte of it escaped is the same path again.
pub fn holds(raw: &str) {
    let Ok(decoded) = path::decode(raw) else { return };
    let meant = decoded.as_deref().unwrap_or(raw);
    assert_eq!(decoded.is_some(), raw.contains('%'), "only an escape is decoded: {raw:?}");
    if meant == "*" {
        return;
    }
    assert!(meant.starts_with('/'), "{raw:?}");
    let forbidden = |byte: u8| byte < 0x20 || byte == 0x7f || byte == b'\\';
    assert!(!meant.bytes().any(forbidden), "{raw:?}");
    assert!(!meant.split('/').any(|segment| matches!(segment, "." | "..")), "{raw:?}");
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    assert_eq!(slashes(meant), slashes(raw), "an escape made or hid a separator: {raw:?}");
    let escape = |byte: u8| match byte {
        b'/' => "/".to_owned(),
        byte => format!("%{byte:02x}"),
    };
    let spelled: String = meant.bytes().map(escape).collect();
    let again = path::decode(&spelled).expect("another spelling of a path that was accepted");
    assert_eq!(again.as_deref().unwrap_or(&spelled), meant, "{raw:?}");
}
