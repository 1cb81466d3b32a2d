//! Values of settings as people write them.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::Uri;

/// Reads `true` or `false`.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

/// Reads a share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
    number.ok_or_else(|| format!("`{text}` is not a share from 0 to 1, such as 0.2"))
}

/// Reads a path.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

/// Reads any text.
pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.into())
}

/// Reads texts with commas between; what is empty does not count.
pub(super) fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect()
}

/// Reads an address such as `127.0.0.1:8080`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:8080 or [::]:8080"))
}

/// Reads addresses with commas between, at least one, none twice.
pub(super) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut all = Vec::new();
    for one in list(text) {
        let one = address(one)?;
        // Port 0 is a new port each time.
        if one.port() != 0 && all.contains(&one) {
            return Err(format!("`{one}` is there twice"));
        }
        all.push(one);
    }
    if all.is_empty() { Err("name at least one address such as 127.0.0.1:8080".into()) } else { Ok(all) }
}

/// Reads `host:port`, where the host may be a name.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not an instance such as 10.0.0.7:8000 or models.example:8000");
    let authority: http::uri::Authority = text.parse().map_err(|_| wrong())?;
    let named = !authority.host().is_empty() && !text.contains('@');
    if named && authority.port_u16().is_some_and(|port| port != 0) { Ok(text.into()) } else { Err(wrong()) }
}

/// Reads a host name.
pub(super) fn host(text: &str) -> Result<String, String> {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let good = !text.starts_with('.') && text.len() <= 253 && text.bytes().all(is_part) && !text.is_empty();
    if good { Ok(text.to_ascii_lowercase()) } else { Err(format!("`{text}` is not a host name such as my.own.api")) }
}

/// Reads the URL of a server without a path. `host:port`, as Consul's own tools take it, is plain HTTP.
pub(super) fn server(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not a URL such as http://127.0.0.1:8500");
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = full.trim_end_matches('/').parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri.query().is_none() && matches!(uri.path(), "" | "/");
    let (true, true, Some(authority)) = (is_http, bare, uri.authority().filter(|a| !a.as_str().contains('@'))) else {
        return Err(wrong());
    };
    Ok(format!("{}://{authority}", uri.scheme_str().unwrap_or("http")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_consul_and_nomad_write_them() {
        for (text, wanted) in [
            ("127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("http://consul.example/", "http://consul.example"),
            ("https://[::1]:8501", "https://[::1]:8501"),
        ] {
            assert_eq!(server(text).unwrap(), wanted);
        }
        for bad in ["unix:///run/consul.sock", "http://a/b", "http://", "ftp://a", "http://a?x=1", "http://u:p@a"] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instances_and_hosts() {
        assert!(host_and_port("10.0.0.7:8000").is_ok());
        assert!(host_and_port("[::1]:8000").is_ok());
        assert!(host_and_port("models.example:8000").is_ok());
        for bad in ["10.0.0.7", "a:0", "a:b", ":8000", "http://a:1", "u@a:1", "a:99999"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
        assert_eq!(host("My.Own.API").unwrap(), "my.own.api");
        assert!(host("a/b").is_err());
    }

    #[test]
    fn addresses_are_there_once() {
        assert_eq!(addresses("127.0.0.1:1, [::]:2").unwrap().len(), 2);
        assert_eq!(addresses("127.0.0.1:0,127.0.0.1:0").unwrap().len(), 2);
        assert!(addresses("127.0.0.1:1,127.0.0.1:1").unwrap_err().contains("twice"));
        assert!(addresses(",").is_err());
        assert!(addresses("8080").unwrap_err().contains("`8080`"));
    }
}
