//! `GET /docs/`: Swagger UI, its files inside the binary, so that it works with no internet.

use std::io::{Cursor, Read as _};

use drover_core::ErrorKind;
use http::HeaderValue;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;
use zip::result::ZipError;

use super::Answer;
use crate::error::Error;

/// Starts the page on our document. The address is relative, so that the page also works below a
/// gateway's path.
const INITIALIZER: &str = r##"window.onload = () => {
  window.ui = SwaggerUIBundle({
    url: "../openapi.json",
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: "StandaloneLayout",
    validatorUrl: null,
    tryItOutEnabled: true,
    displayRequestDuration: true,
  });
};
"##;

/// Returns one file of the page.
pub(super) fn file(path: &str) -> Result<Answer, Error> {
    let path = if path.is_empty() { "index.html" } else { path };
    let content_type = HeaderValue::from_static(match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("png") => "image/png",
        _ => return Err(missing(path)),
    });
    if path == "swagger-initializer.js" {
        return Ok(Answer::new(content_type, INITIALIZER));
    }
    match unpack(path) {
        Ok(bytes) => Ok(Answer::new(content_type, bytes)),
        Err(ZipError::FileNotFound) => Err(missing(path)),
        Err(e) => Err(Error::new(ErrorKind::Internal, "the page could not be made").because(e)),
    }
}

/// Reads one file out of the archive; people look at a page so seldom that nothing is kept.
fn unpack(path: &str) -> Result<Vec<u8>, ZipError> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let below = |name: &str| name.split_once('/').and_then(|(_, below)| below.strip_prefix("dist/")) == Some(path);
    let index = (0..archive.len())
        .find(|index| archive.name_for_index(*index).is_some_and(|name| name.as_deref().is_ok_and(below)));
    let mut bytes = Vec::new();
    archive.by_index(index.ok_or(ZipError::FileNotFound)?)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn missing(path: &str) -> Error {
    Error::new(ErrorKind::UnknownRoute, format!("no file `{path}` below /docs/"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_that_the_page_asks_for_is_there() {
        let page = String::from_utf8(super::unpack("index.html").unwrap()).unwrap();
        let asked: Vec<&str> = page.split(['"', '\'']).filter_map(|part| part.strip_prefix("./")).collect();
        assert!(asked.len() >= 4, "{page}");
        for file in asked.into_iter().chain(["index.css"]) {
            assert!(super::file(file).is_ok(), "{file}");
        }
        assert!(super::file("../README.md").is_err());
        assert!(super::file("").is_ok());
    }
}
