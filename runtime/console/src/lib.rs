//! The console's pages, as the gateway serves them: what `app` is built to, embedded and compressed.
//!
//! `npm ci && npm run build` in this folder makes `dist` from `app`; both are committed, so that `cargo build`
//! needs no Node.

use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// The name of the page in which all else runs.
pub const PAGE: &str = "index.html";

/// What a browser may do on the page: run and show what comes from the same origin, nothing inline, and in no
/// frame. The value of `Content-Security-Policy`.
pub const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                          img-src 'self' data:; object-src 'none'";

/// One file of the console.
#[derive(Debug)]
pub struct Asset {
    /// Its name below `/console/`.
    pub name: &'static str,
    /// What it is, for `Content-Type`.
    pub content_type: &'static str,
    /// Changes when the content does; 16 hexadecimal digits.
    pub version: String,
    /// Its content.
    pub plain: Bytes,
    /// Its content, compressed by gzip.
    pub gzip: Bytes,
}

/// Returns the file called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Made when the first page is asked for. The page names the others with their versions, so that browsers may
/// keep them for ever.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let mut assets = vec![
        asset("app.js", "text/javascript; charset=utf-8", include_str!("../dist/app.js")),
        asset("app.css", "text/css; charset=utf-8", include_str!("../dist/app.css")),
        asset("icon.svg", "image/svg+xml", include_str!("../dist/icon.svg")),
        asset("licences.txt", "text/plain; charset=utf-8", include_str!("../dist/licences.txt")),
    ];
    let page = assets.iter().fold(include_str!("../dist/index.html").to_owned(), |page, asset| {
        let Asset { name, version, .. } = asset;
        page.replace(&format!("/console/{name}\""), &format!("/console/{name}?v={version}\""))
    });
    assets.push(asset(PAGE, "text/html; charset=utf-8", &page));
    assets
});

fn asset(name: &'static str, content_type: &'static str, text: &str) -> Asset {
    let plain = Bytes::copy_from_slice(text.as_bytes());
    let version = Sha256::digest(&plain).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Asset { name, content_type, version, gzip: compress(&plain), plain }
}

fn compress(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // A vector takes all that is written to it.
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn the_page_names_the_others_with_their_versions() {
        let page = String::from_utf8(find(PAGE).unwrap().plain.to_vec()).unwrap();
        for name in ["app.js", "app.css", "icon.svg"] {
            let versioned = format!("/console/{name}?v={}\"", find(name).unwrap().version);
            assert!(page.contains(&versioned), "{page}");
        }
        assert!(find("app.ts").is_none());
    }

    #[test]
    fn nothing_stands_inline_on_the_page() {
        let page = String::from_utf8(find(PAGE).unwrap().plain.to_vec()).unwrap();
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains(" on"), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
    }

    #[test]
    fn all_that_a_browser_loads_is_less_than_300_kb() {
        let names = [PAGE, "app.js", "app.css", "icon.svg"];
        let n_bytes: usize = names.iter().map(|name| find(name).unwrap().gzip.len()).sum();
        println!("first load: {n_bytes} bytes, compressed");
        assert!((10_000..300_000).contains(&n_bytes), "{n_bytes} bytes");
        for asset in ASSETS.iter() {
            let mut unpacked = Vec::new();
            GzDecoder::new(&asset.gzip[..]).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, asset.plain, "{}", asset.name);
        }
    }
}
